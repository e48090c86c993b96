-- Rebuild session_stats if anything was counted since its last refresh. Returns {"as_of"}, or null if p_wait is false
-- and another refresh runs. The schedule sets p_wait. Then the view is also rebuilt if it differs from the
-- sessions, for example from replicated ones that were never counted. If the rebuild fails, view_due stays true, and
-- the next refresh tries again. The row of refresh_state may be missing, for example after a restore of some tables.
-- Then the view is rebuilt, too.
-- REFRESH ... CONCURRENTLY needs a temporary table. A dump does not have the right to make one, and the database that
-- it is restored into may deny that right. The rebuild then locks the view against readers, until make migrate ran.
set local role robot_brain_stats;

create or replace function robot_brain.refresh_view(p_wait boolean)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- With this setting on, PostgreSQL builds statements for REFRESH ... CONCURRENTLY that it cannot parse (measured with
-- 15 and 18).
set quote_all_identifiers = off
as $$
declare
  v_state robot_brain.refresh_state;
  v_as_of timestamptz;
begin
  if not robot_brain.refresh_lock(p_wait) then
    return null;
  end if;

  select r.* into v_state from robot_brain.refresh_state r where r.tenant_id = '*';
  if robot_brain.view_is_empty() then
    v_as_of := clock_timestamp();
    refresh materialized view robot_brain.session_stats;
  elsif coalesce(v_state.view_due, true) or (p_wait and robot_brain.view_differs()) then
    v_as_of := clock_timestamp();
    if has_database_privilege(current_database(), 'temporary') then
      refresh materialized view concurrently robot_brain.session_stats;
    else
      raise log 'robot_brain: robot_brain_stats may make no temporary table here, so readers waited: run make migrate';
      refresh materialized view robot_brain.session_stats;
    end if;
  else
    -- The view shows everything that was written before this moment.
    v_as_of := v_state.counted_at;
  end if;

  insert into robot_brain.refresh_state (counted_at, refreshed_at, view_due) values (v_as_of, v_as_of, false)
  on conflict (tenant_id) do update set refreshed_at = v_as_of, view_due = false;
  return jsonb_build_object('as_of', robot_brain.iso_time(v_as_of));
end
$$;

grant execute on function robot_brain.refresh_view to robot_brain_owner;
