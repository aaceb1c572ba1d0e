-- Which calendar a new event goes to: the nearest fence that holds it, else the default calendar.
-- A new city is a new row in public.calendars.

create or replace function luma.distance_km(lat1 double precision, lng1 double precision, lat2 double precision, lng2 double precision)
returns double precision language sql immutable set search_path = ''
-- least(1, …): rounding can lift the haversine of antipodes over 1, where asin fails.
return 2 * 6371.0088 * asin(sqrt(least(1,
  sin(radians(lat2 - lat1) / 2) ^ 2
  + cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lng2 - lng1) / 2) ^ 2
)));
comment on function luma.distance_km(double precision, double precision, double precision, double precision) is
  'Great-circle distance in kilometres between two points in degrees (haversine, mean Earth radius).';

create or replace function luma.route_event(lat double precision, lng double precision)
returns text language sql stable set search_path = ''
-- A point off the globe is no place; (0, 0) is one.
return (
  select c.luma_key
  from public.calendars c
  left join lateral (
    select luma.distance_km(lat, lng, c.fence_lat, c.fence_lng) as km
    where lat between -90 and 90 and lng between -180 and 180
  ) d on true
  where c.luma_key is not null and (d.km < c.fence_radius_km or c.luma_is_default)
  order by d.km < c.fence_radius_km desc nulls last, d.km
  limit 1
);
comment on function luma.route_event(double precision, double precision) is
  'luma_key of the calendar for an event at this place (either may be null), or null when no calendar takes it.';
