-- Refresh the view that top_sessions reads. body is null if p_wait is false and another refresh runs.
set local role robot_brain_owner;

create or replace function robot_brain_api.refresh_view(
  p_wait boolean default true,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := robot_brain.refresh_view(p_wait);
end
$$;

grant execute on function robot_brain_api.refresh_view to robot_brain_app;
