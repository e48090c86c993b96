-- Delete up to 20,000 expired idempotency keys. Returns {"keys_cleared": number of keys}.
set local role robot_brain_owner;

create or replace function robot_brain_api.clear_keys(p_schema_version integer default null, out body text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := json_build_object('keys_cleared', robot_brain.clear_keys(20000, true));
end
$$;

grant execute on function robot_brain_api.clear_keys to robot_brain_app;
