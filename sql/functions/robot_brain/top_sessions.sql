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
    select s.*
    from robot_brain.session_stats s
    where s.tenant_id = p_tenant_id
      -- The view is refreshed only after writes, but its window of days moves every day.
      and s.last_message >= (p_today - 30)::timestamp at time zone interval '0'
      -- A subquery and no join, so that PostgreSQL reads session_stats_top_idx in its order and looks up only as many
      -- sessions as it needs. created_at differs if another session of this id was made after the erasure.
      -- A condition on erasing_at would let the planner take sessions_listed_idx while the table is small.
      and (
        select e.erasing_at is null and e.created_at = s.created_at
        from robot_brain.sessions e
        where e.tenant_id = s.tenant_id and e.id = s.session_id
      )
    order by s.message_count desc, s.last_message desc, s.session_id collate "C"
    limit 10
  ) t;
end;
