-- Step of find_turns. Return the beginnings of the months that have words or queued turns, newest first.
set local role robot_brain_search;

create or replace function robot_brain.search_months(p_queued timestamptz[], p_from timestamptz, p_to timestamptz)
returns setof timestamptz
language plpgsql
stable
-- find_turns plans each statement for its months.
set plan_cache_mode = force_generic_plan
as $$
begin
  return query
    select m.month
    from (
      select to_date(right(k.relname, 7), 'YYYY_MM')::timestamptz
      from pg_inherits i
      join pg_class k on k.oid = i.inhrelid
      where i.inhparent = 'robot_brain.turn_words'::regclass
      union
      select date_trunc('month', q) from unnest(p_queued) q
    ) m (month)
    where m.month < p_to and m.month + interval '1 month' > p_from
    order by m.month desc;
end
$$;
