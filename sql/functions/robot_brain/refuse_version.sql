-- Raise RB503. A function calls this function if its caller needs a newer schema.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_version(p_schema_version integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using
    errcode = 'RB503',
    message = format('the schema has version %s, and the caller needs %s', robot_brain.schema_version(), p_schema_version),
    hint = 'Run make migrate with DIRECT_DATABASE_URL.';
end
$$;
