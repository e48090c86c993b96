-- Whether a refresh would change anything and is due: the view is older than p_max_age seconds, or was made by a clock
-- that is ahead of this one; or too much is not counted yet.
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
    return true;  -- the row was lost, as by a restore of some tables; a refresh makes it again
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
