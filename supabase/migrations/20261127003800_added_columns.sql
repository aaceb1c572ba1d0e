-- What this project has put into the app's tables, in one place: for luma.uninstall(), and for whoever wants to know.

create or replace function luma.added_columns()
returns table (in_table regclass, in_column text) language sql immutable set search_path = '' as $$
  select t.name::regclass, c.name
  from (values
    ('public.canonical_events', array['meeting_url', 'visibility', 'luma_sync_status', 'luma_synced_at']),
    ('public.event_rsvps', array['luma_guest_id', 'luma_synced_at']),
    ('public.calendars', array[
      'has_api_key', 'sync_method', 'luma_calendar_id', 'luma_key', 'luma_is_default',
      'fence_lat', 'fence_lng', 'fence_radius_km'
    ])
  ) t (name, columns)
  cross join lateral unnest(t.columns) c (name)
$$;
comment on function luma.added_columns() is 'The columns that this project has added to the app''s tables.';

create or replace function luma.added_indexes()
returns text[] language sql immutable set search_path = ''
-- Those of added columns go with their columns.
return '{users_email_as_luma,users_phone_tail,event_rsvps_user_id}'::text[];
comment on function luma.added_indexes() is 'The indexes that this project has made on columns of the app''s, in schema public.';

select luma.restrict_access();
