-- depends: 0005_api
-- Count again from what is stored (make recount). The operator's connection takes these steps as robot_brain_stats:
--   recount_alone     once: one recount at a time
--   next_tenant       for each tenant, and for it:
--     recount_begin   in a transaction with one snapshot (repeatable read): sessions and interactions
--     recount_part    in the same transaction: the turns of each of recount_parts
--     recount_compare in the same transaction: what differs from the sums plus what is not counted yet
--     recount_mend    in a transaction of its own, under the refresh's lock: adds the differences to the sums
--   recount_end       once: the next refresh makes session_stats anew
-- Turns, sums and uncounted rows fit each other in each snapshot. So nothing waits while a recount reads. A difference
-- stays right whatever writes and refreshes add later, because they only add too.
--
-- Temporary tables hold the figures, so a tenant may have any number of personalities:
--   recounted         what is stored: figure, name (a personality or a day, or ''), counted
--   recount_differs   what differs: figure, name, was, counted

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local row_security = on;
set local role robot_brain_owner;
grant create on schema robot_brain to robot_brain_stats;
reset role;

set local role robot_brain_stats;

-- Whether no other recount of this database runs. If so, none can begin until this connection unlocks or ends.
create function robot_brain.recount_alone()
returns boolean
language sql
set search_path = pg_catalog, pg_temp
return pg_try_advisory_lock(hashtextextended('robot_brain.recount', 0));

-- The first tenant that has rows after p_after (null: of all), or null. Looks once into each index, not at each row.
create function robot_brain.next_tenant(p_after text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select min(t.tenant_id)
    from (
      select min(s.tenant_id) from robot_brain.sessions s where p_after is null or s.tenant_id > p_after
      union all
      select min(c.tenant_id) from robot_brain.conversations c where p_after is null or c.tenant_id > p_after
      union all
      select min(i.tenant_id) from robot_brain.robot_interactions i where p_after is null or i.tenant_id > p_after
      union all
      select min(s.tenant_id) from robot_brain.tenant_stats s where p_after is null or s.tenant_id > p_after
      union all
      select min(p.tenant_id) from robot_brain.personality_stats p where p_after is null or p.tenant_id > p_after
      union all
      select min(u.tenant_id) from robot_brain.uncounted u where p_after is null or u.tenant_id > p_after
    ) t (tenant_id)
  );
end
$$;

-- The partitions of the turns, DEFAULT (without bounds) first.
create function robot_brain.recount_parts()
returns table (part text, from_at timestamptz, to_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
-- The bounds are text and are read again.
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
begin atomic
  select c.relname::text, b.bounds[1]::timestamptz, b.bounds[2]::timestamptz
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class c on c.oid = i.inhrelid
  cross join lateral pg_catalog.replace(
    pg_catalog.replace(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'MINVALUE', '''-infinity'''),
    'MAXVALUE', '''infinity'''
  ) e (bound)
  cross join lateral pg_catalog.regexp_match(e.bound, 'FROM \(''(.*)''\) TO \(''(.*)''\)') b (bounds)
  where i.inhparent = 'robot_brain.conversations'::regclass
  order by 2 nulls first;
end;

-- A tenant's turns between two moments, or with p_from null those in DEFAULT. DEFAULT is read by its name: if a month was
-- made after the snapshot, a condition on the parent would lead to the new month, whose rows the snapshot does not see.
-- It has no settings, so that PostgreSQL can inline it.
create function robot_brain.recount_turns(p_tenant_id text, p_from timestamptz, p_to timestamptz)
returns table (day date, session_id text, robot_personality text, robot_response text)
language sql
stable
begin atomic
  select (c.created_at at time zone interval '0')::date, c.session_id, c.robot_personality, c.robot_response
  from robot_brain.conversations c
  where c.tenant_id = p_tenant_id and c.created_at >= p_from and c.created_at < p_to
  union all
  select (c.created_at at time zone interval '0')::date, c.session_id, c.robot_personality, c.robot_response
  from robot_brain.conversations_default c
  where c.tenant_id = p_tenant_id and p_from is null;
end;

create function robot_brain.recount_begin(p_tenant_id text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  create temporary table if not exists recounted (
    figure text not null, name text not null, counted numeric not null
  );
  create temporary table if not exists recount_differs (
    figure text not null, name text not null, was numeric not null, counted numeric not null
  );
  truncate pg_temp.recounted, pg_temp.recount_differs;

  insert into pg_temp.recounted (figure, name, counted)
  select 'sessions', '', count(*) from robot_brain.sessions s where s.tenant_id = p_tenant_id
  union all
  select 'interactions', '', count(*) from robot_brain.robot_interactions i where i.tenant_id = p_tenant_id;
end
$$;

-- Count the turns of one partition. A day gets figures only if daily_stats has no row of it: days are history.
create function robot_brain.recount_part(p_tenant_id text, p_part text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- A generic plan opens and locks all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_from timestamptz;
  v_to timestamptz;
  v_missing date[];
begin
  select p.from_at, p.to_at into strict v_from, v_to from robot_brain.recount_parts() p where p.part = p_part;

  with turns as materialized (
    select t.day, t.robot_personality, count(*) as messages, sum(length(t.robot_response)) as response_length
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
      select t.robot_personality, sum(t.messages) as messages, sum(t.response_length) as response_length
      from turns t
      group by 1
    ) p
    cross join lateral (
      values ('personality messages', p.messages), ('personality response_length', p.response_length)
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

-- The figures that differ: `was` is what /stats answered, `counted` what is stored.
-- A day without a row lacks something only if it has more turns than uncounted rows name. It may have fewer: removed turns
-- stay on their day.
create function robot_brain.recount_compare(p_tenant_id text)
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
          ('personality response_length', p.robot_personality, p.response_length)
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

-- Add the differences to the sums. Rows that show nothing any more go.
create function robot_brain.recount_mend(p_tenant_id text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(robot_brain.refresh_lock());

  insert into robot_brain.tenant_stats as t (tenant_id, sessions, messages, interactions)
  select
    p_tenant_id,
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'sessions'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'messages'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'interactions'), 0)
  from pg_temp.recount_differs d
  on conflict (tenant_id) do update set
    sessions = t.sessions + excluded.sessions,
    messages = t.messages + excluded.messages,
    interactions = t.interactions + excluded.interactions;

  insert into robot_brain.personality_stats as p (tenant_id, robot_personality, messages, response_length)
  select
    p_tenant_id,
    d.name,
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'personality messages'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'personality response_length'), 0)
  from pg_temp.recount_differs d
  where d.figure like 'personality %'
  group by d.name
  on conflict (tenant_id, robot_personality) do update set
    messages = p.messages + excluded.messages,
    response_length = p.response_length + excluded.response_length;

  insert into robot_brain.daily_stats as s (tenant_id, day, sessions, messages)
  select
    p_tenant_id,
    d.name::date,
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'day sessions'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'day messages'), 0)
  from pg_temp.recount_differs d
  where d.figure like 'day %'
  group by d.name
  -- A refresh may have made the row since, of what was not counted then.
  on conflict (tenant_id, day) do update set
    sessions = s.sessions + excluded.sessions,
    messages = s.messages + excluded.messages;

  delete from robot_brain.tenant_stats t
  where t.tenant_id = p_tenant_id and t.sessions = 0 and t.messages = 0 and t.interactions = 0;
  delete from robot_brain.personality_stats p
  where p.tenant_id = p_tenant_id and p.messages = 0 and p.response_length = 0;
end
$$;

create function robot_brain.recount_end()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update robot_brain.refresh_state r set view_due = true where r.tenant_id = '*';
end;

reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;
reset role;
