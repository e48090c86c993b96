-- Step of stats. Returns the ten longest of a tenant's sessions that were active in the last 31 days, up to p_today.
set local role robot_brain_owner;

create or replace function robot_brain.top_sessions(p_tenant_id text, p_today date)
returns json
language plpgsql
-- So that it sees what the statement of stats sees.
stable
as $$
declare
  v_sessions json;
begin
  select coalesce(json_agg(json_build_object(
    'session_id', t.session_id,
    'message_count', t.message_count,
    'last_message', robot_brain.iso_time(t.last_message)
  ) order by t.message_count desc, t.last_message desc, t.session_id collate "C"), '[]')
  into v_sessions
  from (
    select t.*
    from robot_brain.session_stats t
    where t.tenant_id = p_tenant_id
      -- The view is refreshed if something was written; its window of days moves on all the same.
      and t.last_message >= (p_today - 30)::timestamp at time zone interval '0'
    order by t.message_count desc, t.last_message desc, t.session_id collate "C"
    limit 10
  ) t;
  return v_sessions;
end
$$;
