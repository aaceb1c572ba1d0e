-- Covers on Luma's CDN: each source image is uploaded once and remembered.

create table if not exists luma.covers (
  source_url text primary key,
  luma_url text,
  tries integer not null default 0,
  busy_until timestamptz,
  retry_at timestamptz,
  error text,
  updated_at timestamptz not null default now()
);
alter table luma.covers enable row level security;
comment on table luma.covers is 'Source images of covers and where they are on Luma''s CDN.';
comment on column luma.covers.luma_url is 'https://images.lumacdn.com/…; null until uploaded.';
comment on column luma.covers.tries is
  'Tries that have begun since the last that ended. An image that kills the function leaves this growing, and is given up at 3.';
comment on column luma.covers.busy_until is 'Until then somebody is uploading it.';
comment on column luma.covers.retry_at is 'A failed image is not tried again before this.';

create or replace function public.luma_cover_begin(source_url text)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  cover luma.covers;
begin
  insert into luma.covers as c (source_url) values (source_url) on conflict do nothing;
  select * into cover from luma.covers c where c.source_url = luma_cover_begin.source_url for update;
  if cover.luma_url is not null then
    return jsonb_build_object('state', 'uploaded', 'luma_url', cover.luma_url);
  elsif cover.busy_until > clock_timestamp() then
    return jsonb_build_object('state', 'busy');
  elsif cover.retry_at > now() then
    return jsonb_build_object(
      'state', 'failed', 'error', cover.error, 'transient', cover.retry_at < cover.updated_at + interval '1 hour'
    );
  elsif cover.tries >= 3 then
    update luma.covers c
    set tries = 0, busy_until = null, retry_at = now() + interval '1 day',
        error = format('%s: the function died three times while converting this image; use a smaller one or a JPEG.', cover.source_url)
    where c.source_url = cover.source_url returning * into cover;
    return jsonb_build_object('state', 'failed', 'error', cover.error, 'transient', false);
  end if;
  update luma.covers c set tries = c.tries + 1, busy_until = clock_timestamp() + interval '30 seconds', updated_at = now()
  where c.source_url = cover.source_url;
  return jsonb_build_object('state', 'upload');
end
$$;
comment on function public.luma_cover_begin(text) is
  'luma-drain: what to do about a cover. {state: uploaded (with luma_url) | busy (ask again) | failed (with error, and transient: try again later; use the next candidate) | upload (it is yours)}.';

create or replace function public.luma_cover_end(source_url text, luma_url text default null, error text default null, transient boolean default false)
returns void language sql security definer set search_path = '' as $$
  update luma.covers c
  set luma_url = luma_cover_end.luma_url, error = luma_cover_end.error, tries = 0, busy_until = null, updated_at = now(),
      retry_at = case when luma_cover_end.error is not null then
        now() + case when transient then interval '5 minutes' else interval '1 day' end end
  where c.source_url = luma_cover_end.source_url
$$;
comment on function public.luma_cover_end(text, text, text, boolean) is
  'luma-drain: the upload''s end: its address on Luma''s CDN, or why it failed and whether that may pass by itself, or neither: the image is free for the next try at once.';

select luma.restrict_access();
