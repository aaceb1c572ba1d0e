-- The two calendars that events are pushed to (the plan's LUMA_CALENDARS). The rows exist on the live
-- database as iCal feeds and are recognised by the calendar id in their address.

update public.calendars
set luma_key = 'blr',
    luma_calendar_id = 'cal-ZVonmjVxLk7F2oM',
    fence_lat = 12.93, fence_lng = 77.63, fence_radius_km = 500
where url like '%entity=calendar%id=cal-ZVonmjVxLk7F2oM%' and luma_key is null;

update public.calendars
set luma_key = 'zo_events',
    luma_calendar_id = 'cal-3YNnBTToy9fnnjQ',
    luma_is_default = true
where url like '%entity=calendar%id=cal-3YNnBTToy9fnnjQ%' and luma_key is null;

-- On a database without them (a fresh one) they are created; is_active stays false so that the app's
-- iCal worker, which reads every active calendar, does not fetch the same events a second way.
-- The id is given because old databases have it as text without a default.
insert into public.calendars (id, name, url, type, is_active, luma_key, luma_calendar_id, fence_lat, fence_lng, fence_radius_km)
select gen_random_uuid(), 'Zo House Bangalore', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-ZVonmjVxLk7F2oM', 'luma', false,
       'blr', 'cal-ZVonmjVxLk7F2oM', 12.93, 77.63, 500
where not exists (select from public.calendars where luma_key = 'blr')
on conflict (url) do nothing;

insert into public.calendars (id, name, url, type, is_active, luma_key, luma_calendar_id, luma_is_default)
select gen_random_uuid(), 'Zo Events', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-3YNnBTToy9fnnjQ', 'luma', false,
       'zo_events', 'cal-3YNnBTToy9fnnjQ', true
where not exists (select from public.calendars where luma_key = 'zo_events')
on conflict (url) do nothing;
