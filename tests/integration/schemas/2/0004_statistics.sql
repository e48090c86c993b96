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
-- squawk-ignore-file prefer-bigint-over-int, prefer-text-field

set local lock_timeout = '5s';
set local statement_timeout = '60s';
-- Rows are written and the view is filled below, through policies.
set local row_security = on;
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
  -- As in conversations: a varchar drops the spaces that are too many, and both must name the same personality.
  robot_personality varchar(50) not null,
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

-- Without it, a publication of this schema would stop every refresh: the table has no key, and a refresh deletes.
alter table robot_brain.uncounted replica identity full;

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
where s.active_on > (now() at time zone interval '0')::date - 31
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
  select r.* into v_state from robot_brain.refresh_state r where r.tenant_id = '*';
  if not found then
    return true;  -- the row was lost, as by a restore of some tables; a refresh makes it again
  end if;
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

  insert into robot_brain.refresh_state as r (counted_at, refreshed_at, view_due) values (v_at, v_at, true)
  on conflict (tenant_id) do update set counted_at = v_at, view_due = r.view_due or v_rows > 0;

  return jsonb_build_object('counted', v_rows);
end
$$;

-- Make session_stats show the sessions as they are, if anything was counted since it was made. Returns {"as_of"}, or null
-- if p_wait is false and another refresh is running. With p_wait, the schedule's, it also looks for sessions that came
-- without being counted, such as replicated ones. If this fails, view_due stays true, and the next refresh tries again.
create function robot_brain.refresh_view(p_wait boolean)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- With it on, PostgreSQL builds statements for REFRESH ... CONCURRENTLY that it cannot read (measured with 15 and 18).
set quote_all_identifiers = off
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
  elsif v_state.view_due or (p_wait and robot_brain.view_differs()) then
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

-- Whether session_stats lacks a session that was active in the last 31 days, or shows it as it was.
create function robot_brain.view_differs()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since constant date := (now() at time zone interval '0')::date - 30;
begin
  return (
    select row(count(*), sum(s.message_count), max(s.last_active))
    from robot_brain.sessions s
    where s.active_on >= v_since
  ) is distinct from (
    select row(count(*), sum(t.message_count), max(t.last_message))
    from robot_brain.session_stats t
    where t.last_message >= v_since::timestamp at time zone interval '0'
  );
end
$$;

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
  -- The row may have been lost, as by a restore of some tables. An insert on conflict would wait for another clearing.
  if p_whole and not exists (select from robot_brain.key_clearing) then
    insert into robot_brain.key_clearing (cleared_until) values ('-infinity') on conflict (tenant_id) do nothing;
  end if;
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
