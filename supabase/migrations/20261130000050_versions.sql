-- Uninstalling takes the migrations of this release out of the CLI's list too.

create or replace function luma.forget_versions()
returns integer language plpgsql set search_path = '' as $$
declare
  forgotten integer := 0;
begin
  -- Else `supabase db push` would take what it applied for being there. Not there where psql was used.
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations m where m.version ~ '^202611(22|24|26|27|28|29|30)00[0-9]{4}$';
    get diagnostics forgotten = row_count;
  end if;
  return forgotten;
end
$$;

select luma.restrict_access();
