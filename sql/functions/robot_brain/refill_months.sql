-- Step of make ops DO=refill-search. Return the months that have turns or words, newest first.
set local role robot_brain_search;

create or replace function robot_brain.refill_months()
returns setof timestamptz
language plpgsql
set search_path = pg_catalog, pg_temp
-- The steps reckon with months.
set timezone = 'UTC'
as $$
declare
  v_month timestamptz := robot_brain.month_before('infinity');
begin
  return query
    with recursive turns (month) as (
      select v_month where v_month is not null
      union all
      select robot_brain.month_before(t.month) from turns t where t.month is not null
    )
    select m.month
    from (
      select t.month from turns t where t.month is not null
      union
      select w.month from robot_brain.search_months(null, '-infinity', 'infinity') w (month)
    ) m
    order by m.month desc;
end
$$;
