-- Step of health. Return which turns have no words yet, as JSON.
--   p_max_age   seconds that a turn may be queued
--   language               null if the search is off
--   queued_turns           the turns in the queue. Each search of their tenants reads them one by one
--   oldest_queued_seconds  the age of the oldest row of the queue, null if the queue is empty
--   filled_from            older turns have no words, and no search finds them. Null if all have words
--   is_behind              over 1,000 turns are queued, and the oldest one for longer than p_max_age. Fewer do no harm
set local role robot_brain_search;

create or replace function robot_brain.search_progress(p_max_age integer)
returns json
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_turns bigint;
  v_age bigint;
  v_filled_from timestamptz;
begin
  select
    coalesce(sum(q.to_seq - q.from_seq + 1), 0),
    -- greatest would leave the null out
    case when count(*) > 0 then greatest(0, floor(extract(epoch from clock_timestamp() - min(q.queued_at)))) end
  into v_turns, v_age
  from robot_brain.search_queue q;
  select nullif(s.filled_from, '-infinity') into v_filled_from from robot_brain.search_state s where s.tenant_id = '*';
  return json_build_object(
    'language', (select c.cfgname from pg_ts_config c where c.oid = robot_brain.search_language()),
    'queued_turns', v_turns,
    'oldest_queued_seconds', v_age,
    'filled_from', case when robot_brain.search_language() is not null then robot_brain.iso_time(v_filled_from) end,
    'is_behind', v_turns > 1000 and v_age > p_max_age
  );
end
$$;

grant execute on function robot_brain.search_progress to robot_brain_owner;
