-- Everything of this project lives in schema luma, which the Data API does not expose. The few functions
-- that the Edge Functions call are in public, named luma_*, for service_role alone.

create schema if not exists extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron with schema pg_catalog;
create schema if not exists vault;
create extension if not exists supabase_vault with schema vault;

create schema if not exists luma;
revoke all on schema luma from public, anon, authenticated;
comment on schema luma is 'Two-way sync with Luma. Admins use its views and functions in SQL; the app never needs it.';
