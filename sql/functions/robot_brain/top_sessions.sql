-- Step of stats. Returns the ten longest sessions of a tenant among those active in the 31 days up to p_today, with the
-- figures of the view. Leaves out a session that is erased or being erased, also if the view still has it.
-- The function returns a table and has no settings, so that PostgreSQL inlines it into the statement of stats.
set local role robot_brain_owner;

create or replace function robot_brain.top_sessions(p_tenant_id text, p_today date)
returns table (sessions json)
language sql
stable
begin atomic
  select coalesce(json_agg(json_build_object(
    'session_id', t.session_id,
    'message_count', t.message_count,
    'last_message', robot_brain.iso_time(t.last_message)
  ) order by t.message_count desc, t.last_message desc, t.session_id collate "C"), '[]')
  from (
    select l.session_id, l.message_count, l.last_message
    from (
      -- More than ten, because some may be erased since the refresh. This limit lets PostgreSQL read
      -- session_stats_top_idx in its order, and then look up only as many sessions as the answer needs.
      select
        s.tenant_id, s.session_id, s.created_at, s.message_count, s.last_message, s.session_id collate "C" as sorted_id
      from robot_brain.session_stats s
      where s.tenant_id = p_tenant_id
        -- The view is refreshed only after writes, but its window of days moves every day.
        and s.last_message >= (p_today - 30)::timestamp at time zone interval '0'
      order by s.message_count desc, s.last_message desc, sorted_id
      limit 100
    ) l
    -- created_at differs if another session of this id was made after the erasure.
    -- A condition on erasing_at would let the planner take sessions_listed_idx while the table is small.
    where (
      select e.erasing_at is null and e.created_at = l.created_at
      from robot_brain.sessions e
      where e.tenant_id = l.tenant_id and e.id = l.session_id
    )
    order by l.message_count desc, l.last_message desc, l.sorted_id
    limit 10
  ) t;
end;
