-- Return the figures that differ: `was` is the value that /stats returned, `counted` the value counted from stored
-- rows. A day without a row in daily_stats differs only if it has more turns than its uncounted rows say. It may have
-- fewer, because a removed turn stays counted on its day.
set local role robot_brain_stats;

create or replace function robot_brain.recount_compare(p_tenant_id text)
returns table (figure text, name text, was numeric, counted numeric)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  insert into pg_temp.recount_differs (figure, name, was, counted)
  with shown as (
    select f.figure, f.name, sum(f.value) as value
    from (
      select v.*
      from robot_brain.tenant_stats t
      cross join lateral (
        values ('sessions', '', t.sessions), ('messages', '', t.messages), ('interactions', '', t.interactions)
      ) v
      where t.tenant_id = p_tenant_id
      union all
      select v.*
      from robot_brain.personality_stats p
      cross join lateral (
        values
          ('personality messages', p.robot_personality, p.messages),
          ('personality response_length', p.robot_personality, p.response_length),
          ('personality unanswered', p.robot_personality, p.unanswered)
      ) v
      where p.tenant_id = p_tenant_id
      union all
      select v.*
      from robot_brain.uncounted u
      cross join lateral (
        values
          ('sessions', '', u.sessions::bigint),
          ('messages', '', u.messages),
          ('interactions', '', u.interactions),
          ('personality messages', u.robot_personality, u.messages),
          ('personality response_length', u.robot_personality, u.response_length),
          ('personality unanswered', u.robot_personality, u.unanswered),
          ('day sessions', to_char(u.day::timestamp, 'YYYY-MM-DD'), u.opened),
          ('day messages', to_char(u.day::timestamp, 'YYYY-MM-DD'), u.messages)
      ) v
      where u.tenant_id = p_tenant_id
    ) f (figure, name, value)
    group by 1, 2
  ),
  stored as (
    select r.figure, r.name, sum(r.counted) as value from pg_temp.recounted r group by 1, 2
    union all
    select 'messages', '', coalesce(sum(r.counted), 0) from pg_temp.recounted r where r.figure = 'personality messages'
  ),
  differs as (
    select figure, name, coalesce(s.value, 0) as was, coalesce(c.value, 0) as counted
    from shown s
    full join stored c using (figure, name)
    where coalesce(s.value, 0) <> coalesce(c.value, 0)
  )
  select d.figure, d.name, d.was, d.counted
  from differs d
  where d.figure not like 'day %'
    or (d.counted > d.was
      and d.name in (select m.name from differs m where m.figure = 'day messages' and m.counted > m.was));

  return query
    select d.figure, d.name, d.was, d.counted from pg_temp.recount_differs d order by d.name, d.figure;
end
$$;
