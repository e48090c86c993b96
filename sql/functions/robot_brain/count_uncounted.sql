-- Add the uncounted rows of every tenant to the sums, and queue their turns for the search. Returns {"counted": number of
-- rows added}.
--   p_if_older   null for the schedule: wait for a refresh that runs, then add the rows that came since.
--                Seconds for a reader: return null at once if another refresh runs or if no refresh is due.
-- The delete takes exactly the rows that its snapshot sees, so no row is skipped or counted twice.
-- Sums may reach zero after removals. Such a row does no harm, because stats leaves it out.
set local role robot_brain_stats;

create or replace function robot_brain.count_uncounted(p_if_older integer)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_at timestamptz;
  v_rows bigint;
begin
  if not robot_brain.refresh_lock(p_wait => p_if_older is null) then
    return null;
  end if;
  if p_if_older is not null and not robot_brain.refresh_due(p_if_older) then
    return null;
  end if;

  v_at := clock_timestamp();
  with taken as (
    delete from robot_brain.uncounted returning *
  ),
  personalities as (
    insert into robot_brain.personality_stats as p (
      tenant_id, robot_personality, messages, response_length, unanswered
    )
    select t.tenant_id, t.robot_personality, sum(t.messages), sum(t.response_length), sum(t.unanswered)
    from taken t
    group by 1, 2
    -- Without turns and differences there is nothing to add. Rows of '' belong to no personality.
    having sum(t.messages) <> 0 or sum(t.response_length) <> 0 or sum(t.unanswered) <> 0
    on conflict (tenant_id, robot_personality) do update set
      messages = p.messages + excluded.messages,
      response_length = p.response_length + excluded.response_length,
      unanswered = p.unanswered + excluded.unanswered
  ),
  days as (
    insert into robot_brain.daily_stats as d (tenant_id, day, sessions, messages)
    select t.tenant_id, t.day, sum(t.opened), sum(t.messages) from taken t where t.day is not null group by 1, 2
    on conflict (tenant_id, day) do update set
      sessions = d.sessions + excluded.sessions,
      messages = d.messages + excluded.messages
  ),
  queued as (
    insert into robot_brain.search_queue (tenant_id, session_id, from_seq, to_seq, day)
    select t.tenant_id, t.session_id, t.from_seq, t.to_seq, t.day
    from taken t
    where t.session_id is not null and robot_brain.search_language() is not null
  ),
  tenants as (
    insert into robot_brain.tenant_stats as s (tenant_id, sessions, messages, interactions)
    select t.tenant_id, sum(t.sessions), sum(t.messages), sum(t.interactions) from taken t group by 1
    on conflict (tenant_id) do update set
      sessions = s.sessions + excluded.sessions,
      messages = s.messages + excluded.messages,
      interactions = s.interactions + excluded.interactions
  )
  select count(*) into v_rows from taken;

  insert into robot_brain.refresh_state as r (counted_at, refreshed_at, view_due) values (v_at, v_at, true)
  on conflict (tenant_id) do update set counted_at = v_at, view_due = r.view_due or v_rows > 0;

  return jsonb_build_object('counted', v_rows);
end
$$;

grant execute on function robot_brain.count_uncounted to robot_brain_owner;
