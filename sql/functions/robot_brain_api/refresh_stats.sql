-- Add the uncounted rows to the sums. body is null if p_if_older is given and no refresh was due or another refresh
-- runs.
set local role robot_brain_owner;

create or replace function robot_brain_api.refresh_stats(
  p_if_older integer default null,
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
  body := robot_brain.count_uncounted(p_if_older);
end
$$;

grant execute on function robot_brain_api.refresh_stats to robot_brain_app;
