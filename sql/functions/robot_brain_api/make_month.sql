-- Make one missing month. Repeat the call until its "made" is null.
set local role robot_brain_owner;

create or replace function robot_brain_api.make_month(p_schema_version integer default null, out body text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := robot_brain.make_next_month(3);
end
$$;

grant execute on function robot_brain_api.make_month to robot_brain_app;
