-- Count the turns of one partition. A day is counted only if daily_stats has no row for it. A recount does not correct
-- an existing row, because the row is history: a removed turn stays counted on its day.
set local role robot_brain_stats;

create or replace function robot_brain.recount_part(p_tenant_id text, p_part text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- A generic plan would open and lock all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_from timestamptz;
  v_to timestamptz;
  v_missing date[];
begin
  select p.from_at, p.to_at into strict v_from, v_to from robot_brain.recount_parts() p where p.part = p_part;

  with turns as materialized (
    select
      t.day,
      t.robot_personality,
      count(*) as messages,
      sum(length(t.robot_response)) as response_length,
      count(*) filter (where t.robot_response = '') as unanswered
    from robot_brain.recount_turns(p_tenant_id, v_from, v_to) t
    group by 1, 2
  ),
  days as (
    select t.day, sum(t.messages) as messages
    from turns t
    where not exists (select from robot_brain.daily_stats d where d.tenant_id = p_tenant_id and d.day = t.day)
    group by 1
  ),
  kept as (
    insert into pg_temp.recounted (figure, name, counted)
    select f.figure, p.robot_personality, f.counted
    from (
      select
        t.robot_personality,
        sum(t.messages) as messages,
        sum(t.response_length) as response_length,
        sum(t.unanswered) as unanswered
      from turns t
      group by 1
    ) p
    cross join lateral (
      values
        ('personality messages', p.messages),
        ('personality response_length', p.response_length),
        ('personality unanswered', p.unanswered)
    ) f (figure, counted)
    union all
    select 'day messages', to_char(d.day::timestamp, 'YYYY-MM-DD'), d.messages from days d
  )
  select array_agg(d.day) into v_missing from days d;

  if v_missing is not null then
    insert into pg_temp.recounted (figure, name, counted)
    select 'day sessions', to_char(t.day::timestamp, 'YYYY-MM-DD'), count(distinct t.session_id)
    from robot_brain.recount_turns(p_tenant_id, v_from, v_to) t
    where t.day = any (v_missing)
    group by t.day;
  end if;
end
$$;
