-- Return the facts about the server that an operator needs, as JSON text. The caller adds those that only clients see.
--   p_max_age   the allowed age of the statistics in seconds. 0 means that only the schedule refreshes them. The
--               allowed age is then two days.
-- search says which turns have no words yet (search_progress).
-- stats_due is true if a refresh is due by this age (refresh_due), or if the view was never filled.
set local role robot_brain_owner;

create or replace function robot_brain_api.health(
  p_max_age integer default 0,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_max_age constant integer := case when p_max_age > 0 then p_max_age else 172800 end;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := (
    select json_build_object(
      'server_version', current_setting('server_version'),
      'schema_version', robot_brain.schema_version(),
      'read_only', pg_is_in_recovery() or current_setting('transaction_read_only')::boolean,
      'backend_pid', pg_backend_pid(),
      'stats_as_of', robot_brain.iso_time(least(r.refreshed_at, clock_timestamp())),
      'stats_age_seconds', greatest(0, floor(extract(epoch from clock_timestamp() - r.refreshed_at)))::bigint,
      'stats_due',
        robot_brain.view_is_empty() or robot_brain.refresh_due(v_max_age),
      'search', robot_brain.search_progress(v_max_age)
    )
    from (values ('*')) everybody (tenant_id)
    left join robot_brain.refresh_state r using (tenant_id)
  );
end
$$;

grant execute on function robot_brain_api.health to robot_brain_app;
