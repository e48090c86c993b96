-- depends: 0003_partitions
-- Figures that cost what happened since the last refresh, not what is stored, and that no clock can make wrong.
--
-- Whoever writes turns adds a row to `uncounted` in the same transaction: what the figures do not hold yet, one row per
-- personality. A refresh takes the rows it sees and adds them to the sums, in one statement. `stats` answers sums plus
-- uncounted rows, also in one statement. So each figure is exact for all that is committed, whatever the clock says: a
-- commit in flight, a restored dump and a replicated row are simply counted by the next refresh.
--
-- A refresh has steps, each a transaction of its own, so that a later one that fails undoes no earlier one:
--   count_uncounted    adds what is not counted yet to the sums
--   refresh_view       makes session_stats (the sessions active in the last 31 days) anew, if anything was counted
--   make_next_month    0003_partitions.sql
--   clear_keys         deletes expired idempotency keys
--
-- All of it belongs to robot_brain_stats, which sees every tenant.
--
-- What one write leaves uncounted fits an integer: it has 100 turns at the most.
-- squawk-ignore-file prefer-bigint-over-int

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local role robot_brain_owner;
grant create on schema robot_brain to robot_brain_stats;
grant execute on function robot_brain.iso_time(timestamptz) to robot_brain_stats;
grant execute on function robot_brain.current_tenant() to robot_brain_stats;
reset role;

set local role robot_brain_stats;

create table robot_brain.tenant_stats (
  tenant_id text not null,
  sessions bigint not null,
  messages bigint not null,
  interactions bigint not null,
  constraint tenant_stats_pkey primary key (tenant_id)
);

create table robot_brain.personality_stats (
  tenant_id text not null,
  robot_personality text not null,
  messages bigint not null,
  response_length bigint not null,
  constraint personality_stats_pkey primary key (tenant_id, robot_personality)
);

create table robot_brain.daily_stats (
  tenant_id text not null,
  day date not null,
  sessions bigint not null,
  messages bigint not null,
  constraint daily_stats_pkey primary key (tenant_id, day)
);

-- What the sums above do not hold yet. Rows are inserted by writes and deleted by refreshes, and never updated, so writers
-- do not wait for each other. No index: each write would pay for it, and a refresh reads all rows anyway.
create table robot_brain.uncounted (
  tenant_id text not null,
  -- null: counts in the totals and on no day
  day date,
  robot_personality text not null,
  messages integer not null,
  response_length bigint not null,
  sessions integer not null,
  -- sessions whose first turn of this day is among the messages
  opened integer not null,
  interactions integer not null
)
-- Truncation would take an exclusive lock, which a read replica replays against its readers. Empty pages cost next to nothing.
with (vacuum_truncate = off);

-- The state of the refresh, one row for all tenants. '*' is no tenant's name.
create table robot_brain.refresh_state (
  tenant_id text not null default '*',
  counted_at timestamptz not null,
  -- the moment that session_stats shows
  refreshed_at timestamptz not null,
  -- session_stats lacks something that was counted
  view_due boolean not null,
  constraint refresh_state_pkey primary key (tenant_id),
  constraint refresh_state_one_row check (tenant_id = '*')
);

-- No key that expired before this moment is left, one row for all tenants. A table of its own, because a write with a key
-- must never wait for a refresh.
create table robot_brain.key_clearing (
  tenant_id text not null default '*',
  cleared_until timestamptz not null,
  constraint key_clearing_pkey primary key (tenant_id),
  constraint key_clearing_one_row check (tenant_id = '*')
);

do $$
declare
  v_table text;
begin
  foreach v_table in array array[
    'tenant_stats', 'personality_stats', 'daily_stats', 'uncounted', 'refresh_state', 'key_clearing'
  ] loop
    execute format('alter table robot_brain.%I enable row level security', v_table);
    execute format('alter table robot_brain.%I force row level security', v_table);
    execute format('create policy every_tenant on robot_brain.%I to robot_brain_stats using (true)', v_table);
  end loop;
  foreach v_table in array array['tenant_stats', 'personality_stats', 'daily_stats', 'refresh_state'] loop
    execute format(
      'create policy tenant on robot_brain.%I for select to robot_brain_owner using (tenant_id in (%s, %L))',
      v_table, 'robot_brain.current_tenant()', '*'
    );
    execute format('grant select on robot_brain.%I to robot_brain_owner', v_table);
  end loop;
end
$$;

create policy tenant_reads on robot_brain.uncounted for select to robot_brain_owner
  using (tenant_id = robot_brain.current_tenant());
create policy tenant_writes on robot_brain.uncounted for insert to robot_brain_owner
  with check (tenant_id = robot_brain.current_tenant());
grant select, insert on robot_brain.uncounted to robot_brain_owner;

insert into robot_brain.refresh_state (counted_at, refreshed_at, view_due)
values (clock_timestamp(), clock_timestamp(), false);
insert into robot_brain.key_clearing (cleared_until) values ('-infinity');

-- A materialized view cannot have RLS: only robot_brain_api.stats reads it, with the tenant in its condition, and with the
-- days: a refresh with nothing to count leaves the view alone, while sessions in it turn older than 31 days.
create materialized view robot_brain.session_stats as
select
  s.tenant_id,
  s.id as session_id,
  s.message_count,
  s.last_active as last_message,
  round(s.response_length::numeric / nullif(s.message_count, 0), 2) as avg_response_length
from robot_brain.sessions s
where s.active_on > (now() at time zone 'UTC')::date - 31
with data;

-- The view was made by this file, so nobody waits.
-- squawk-ignore require-concurrent-index-creation
create unique index session_stats_key on robot_brain.session_stats (tenant_id, session_id);
comment on index robot_brain.session_stats_key is 'refresh_view: REFRESH ... CONCURRENTLY needs a unique index';

-- The view was made by this file, so nobody waits.
-- squawk-ignore require-concurrent-index-creation
create index session_stats_top_idx on robot_brain.session_stats (tenant_id, message_count desc, last_message desc);
comment on index robot_brain.session_stats_top_idx is 'stats: the ten longest sessions of a tenant';

grant select on robot_brain.session_stats to robot_brain_owner;

-- Beyond so many uncounted rows, reading them takes a few milliseconds, and a reader refreshes first.
create function robot_brain.most_uncounted()
returns integer
language sql
immutable
parallel safe
return 10000;

-- The advisory lock that lets one at a time change the sums.
create function robot_brain.refresh_lock()
returns bigint
language sql
immutable
parallel safe
return pg_catalog.hashtextextended('robot_brain.refresh_stats', 0);

-- Whether a refresh would change anything and is due: the view is older than p_max_age seconds, or was made by a clock
-- that is ahead of this one; or too much is not counted yet.
create function robot_brain.refresh_due(p_max_age integer)
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_state robot_brain.refresh_state;
begin
  select r.* into strict v_state from robot_brain.refresh_state r where r.tenant_id = '*';
  if v_state.refreshed_at > v_now - make_interval(secs => p_max_age) and v_state.refreshed_at <= v_now then
    return robot_brain.most_uncounted() < (
      select count(*) from (select from robot_brain.uncounted limit robot_brain.most_uncounted() + 1) u
    );
  end if;
  return v_state.view_due or exists (select from robot_brain.uncounted);
end
$$;

-- Add to the sums what is not counted yet, for every tenant. Returns {"counted": rows taken}.
--   p_if_older   seconds, or null. Null is the schedule: two at once, the second waits for the first and adds what came
--                since. A number is a reader: null is returned, at once and with nothing done, if another refresh is
--                running or none is due.
-- The delete takes exactly the rows that its snapshot sees, so nothing is skipped and nothing is counted twice.
create function robot_brain.count_uncounted(p_if_older integer)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_at timestamptz;
  v_rows bigint;
begin
  if p_if_older is null then
    perform pg_advisory_xact_lock(robot_brain.refresh_lock());
  elsif not pg_try_advisory_xact_lock(robot_brain.refresh_lock()) then
    return null;
  elsif not robot_brain.refresh_due(p_if_older) then
    return null;
  end if;

  v_at := clock_timestamp();
  with taken as (
    delete from robot_brain.uncounted returning *
  ),
  personalities as (
    insert into robot_brain.personality_stats as p (tenant_id, robot_personality, messages, response_length)
    select t.tenant_id, t.robot_personality, sum(t.messages), sum(t.response_length) from taken t group by 1, 2
    on conflict (tenant_id, robot_personality) do update set
      messages = p.messages + excluded.messages,
      response_length = p.response_length + excluded.response_length
  ),
  days as (
    insert into robot_brain.daily_stats as d (tenant_id, day, sessions, messages)
    select t.tenant_id, t.day, sum(t.opened), sum(t.messages) from taken t where t.day is not null group by 1, 2
    on conflict (tenant_id, day) do update set
      sessions = d.sessions + excluded.sessions,
      messages = d.messages + excluded.messages
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

  update robot_brain.refresh_state r
  set counted_at = v_at, view_due = r.view_due or v_rows > 0
  where r.tenant_id = '*';

  return jsonb_build_object('counted', v_rows);
end
$$;

-- Make session_stats show the sessions as they are, if anything was counted since it was made. Returns {"as_of"}, or null
-- if p_wait is false and another refresh is running. If this fails, view_due stays true, and the next refresh tries again.
create function robot_brain.refresh_view(p_wait boolean)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state robot_brain.refresh_state;
  v_as_of timestamptz;
begin
  if p_wait then
    perform pg_advisory_xact_lock(robot_brain.refresh_lock());
  elsif not pg_try_advisory_xact_lock(robot_brain.refresh_lock()) then
    return null;
  end if;

  select r.* into strict v_state from robot_brain.refresh_state r where r.tenant_id = '*';
  if robot_brain.view_is_empty() then
    v_as_of := clock_timestamp();
    refresh materialized view robot_brain.session_stats;
  elsif v_state.view_due then
    v_as_of := clock_timestamp();
    refresh materialized view concurrently robot_brain.session_stats;
  else
    -- Nothing was written before this moment that the view does not show.
    v_as_of := v_state.counted_at;
  end if;

  update robot_brain.refresh_state r set refreshed_at = v_as_of, view_due = false where r.tenant_id = '*';
  return jsonb_build_object('as_of', robot_brain.iso_time(v_as_of));
end
$$;

-- Whether session_stats was never filled, as after a restore that could not fill it. Nothing can read it then.
create function robot_brain.view_is_empty()
returns boolean
language sql
stable
return (select not c.relispopulated from pg_catalog.pg_class c where c.oid = 'robot_brain.session_stats'::regclass);

-- Delete up to p_most expired keys of all tenants, and return how many. Waits for nobody.
--   p_whole   look from the beginning, for keys that a clock that stepped back has left behind
-- A look from the beginning reads the entries of deleted keys too, until they are vacuumed: thousands, while a dump holds
-- its snapshot. So writes look from cleared_until on. The planner must not do without the index: a table that was never
-- analyzed looks small to it, and after a restart of the server nobody knows that it has grown.
create function robot_brain.clear_keys(p_most integer, p_whole boolean)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_from timestamptz;
  v_until timestamptz;
  v_left timestamptz;
  v_cleared integer;
begin
  select c.cleared_until into v_from from robot_brain.key_clearing c where c.tenant_id = '*' for update skip locked;
  if not found then
    return 0;  -- another one is at it
  end if;
  if p_whole or v_from > v_now then
    v_from := '-infinity';
  end if;

  with gone as (
    delete from robot_brain.idempotency_keys k
    where k.ctid = any (array(
      select e.ctid
      from robot_brain.idempotency_keys e
      where e.expires_at >= v_from and e.expires_at <= v_now
      order by e.expires_at
      limit p_most
      for update skip locked
    ))
    returning k.expires_at
  )
  select count(*), max(g.expires_at) into v_cleared, v_until from gone g;

  if v_cleared < p_most then
    v_until := v_now;
  end if;
  -- A key that another transaction holds is left behind, and must not be forgotten.
  select e.expires_at into v_left
  from robot_brain.idempotency_keys e
  where e.expires_at >= v_from and e.expires_at <= v_until
  order by e.expires_at
  limit 1;
  update robot_brain.key_clearing c set cleared_until = coalesce(v_left, v_until) where c.tenant_id = '*';
  return v_cleared;
end
$$;

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
  select (c.created_at at time zone 'UTC')::date, c.session_id, c.robot_personality, c.robot_response
  from robot_brain.conversations c
  where c.tenant_id = p_tenant_id and c.created_at >= p_from and c.created_at < p_to
  union all
  select (c.created_at at time zone 'UTC')::date, c.session_id, c.robot_personality, c.robot_response
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

grant execute on function
  robot_brain.most_uncounted(),
  robot_brain.refresh_due(integer),
  robot_brain.view_is_empty(),
  robot_brain.count_uncounted(integer),
  robot_brain.refresh_view(boolean),
  robot_brain.clear_keys(integer, boolean)
to robot_brain_owner;

reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;
reset role;
