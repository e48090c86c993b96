-- Raise RB503, because the caller of a function needs a newer schema than this one, or because the functions belong to
-- another role (served_version).
set local role robot_brain_owner;

create or replace function robot_brain.refuse_version(p_schema_version integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using
    errcode = 'RB503',
    message = case
      when current_user = 'robot_brain_owner' then
        format('the schema has version %s, and the caller needs %s', robot_brain.schema_version(), p_schema_version)
      else format('the functions belong to %s, and must belong to robot_brain_owner', current_user)
    end,
    hint = 'Run make migrate with DIRECT_DATABASE_URL.';
end
$$;
