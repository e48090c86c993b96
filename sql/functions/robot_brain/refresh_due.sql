-- Return whether a refresh is due. It is due if there are too many uncounted rows. It is also due if it would change
-- something and the view is older than p_max_age seconds. A view from the future, made by a clock that was ahead,
-- counts as older.
set local role robot_brain_stats;

create or replace function robot_brain.refresh_due(p_max_age integer)
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_state robot_brain.refresh_state;
begin
  select r.* into v_state from robot_brain.refresh_state r where r.tenant_id = '*';
  if not found then
    return true;  -- the row is missing, for example after a restore of some tables; a refresh creates it
  end if;
  if v_state.refreshed_at > v_now - make_interval(secs => p_max_age) and v_state.refreshed_at <= v_now then
    return robot_brain.most_uncounted() < (
      select count(*) from (select from robot_brain.uncounted limit robot_brain.most_uncounted() + 1) u
    );
  end if;
  return v_state.view_due or exists (select from robot_brain.uncounted);
end
$$;

grant execute on function robot_brain.refresh_due to robot_brain_owner;
