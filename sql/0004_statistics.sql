-- depends: 0003_partitions
-- Figures that cost what happened since the last refresh, not what is stored.
--
-- daily_stats, personality_stats and tenant_stats are running sums: a refresh adds the turns created in (watermark, until].
-- `until` is a moment before which every write has ended, so a commit in flight is never skipped and never counted twice.
-- session_stats holds the sessions active in the last 31 days, from counters that write_message keeps on sessions.
-- All of it belongs to robot_brain_stats, which may read every tenant and change nothing but these tables.

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local role robot_brain_owner;
grant create on schema robot_brain to robot_brain_stats;
grant execute on function robot_brain.iso_time(timestamptz) to robot_brain_stats;
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

-- One row, for all tenants. '*' is no tenant's name.
create table robot_brain.stats_watermark (
  tenant_id text not null default '*',
  watermark timestamptz not null,
  refreshed_at timestamptz not null,
  constraint stats_watermark_pkey primary key (tenant_id),
  constraint stats_watermark_one_row check (tenant_id = '*')
);

do $$
declare
  v_table text;
begin
  foreach v_table in array array['tenant_stats', 'personality_stats', 'daily_stats', 'stats_watermark'] loop
    execute format('alter table robot_brain.%I enable row level security', v_table);
    execute format('alter table robot_brain.%I force row level security', v_table);
    execute format('create policy every_tenant on robot_brain.%I to robot_brain_stats using (true)', v_table);
    execute format(
      'create policy tenant on robot_brain.%I for select to robot_brain_owner using (tenant_id in (%s, %L))',
      v_table, 'robot_brain.current_tenant()', '*'
    );
    execute format('grant select on robot_brain.%I to robot_brain_owner', v_table);
  end loop;
end
$$;

-- No turn can be older than the tables, so the figures are complete, and all zero, at this moment.
insert into robot_brain.stats_watermark (watermark, refreshed_at) values (clock_timestamp(), clock_timestamp());

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
comment on index robot_brain.session_stats_key is 'refresh_stats: REFRESH ... CONCURRENTLY needs a unique index';

-- The view was made by this file, so nobody waits.
-- squawk-ignore require-concurrent-index-creation
create index session_stats_top_idx on robot_brain.session_stats (tenant_id, message_count desc, last_message desc);
comment on index robot_brain.session_stats_top_idx is 'stats: the ten longest sessions of a tenant';

grant select on robot_brain.session_stats to robot_brain_owner;

-- Whether any tenant's turn is stamped in (p_after, p_until]: what tells that there is something to count. (An interaction
-- is stamped as its turn is.) Reads the ends of a month or two by their BRIN index, however many turns there are: planned
-- for its values, so that no other month is opened, and never by a scan from a month's beginning, which is what the
-- planner would choose where it expects many turns, to find that there is none.
create function robot_brain.written_between(p_after timestamptz, p_until timestamptz)
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
as $$
begin
  return exists (select from robot_brain.conversations c where c.created_at > p_after and c.created_at <= p_until);
end
$$;

-- Bring the statistics up to now, for every tenant, and keep three months of partitions ahead.
-- Returns {"as_of", "months_made"}. Where nothing was written since the last time only as_of moves: nothing is counted and
-- the view, which `stats` filters by today's date, is left as it is.
--   p_if_older   seconds, or null. Null is the schedule: two at once, the second waits for the first and adds what came
--                since. A number is a reader who found figures older than that: null is returned, at once and with nothing
--                done, where another refresh is running or has just ended.
--
-- How `until` is found: read the clock, then take a transaction id. A write takes its id before it reads the clock, so
-- every turn stamped before our reading belongs to a transaction with a lower id. Once no lower id is running (a snapshot's
-- xmin is ours), all of them have ended. Writes take milliseconds, so the wait is short; when something else of the
-- cluster runs long, `until` falls back to a minute ago, which is longer than any write may run.
-- The lock comes first and takes no id, so that a refresh that waits for it is nothing that the running one waits for.
create function robot_brain.refresh_stats(p_if_older integer)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_lock constant bigint := hashtextextended('robot_brain.refresh_stats', 0);
  v_until timestamptz;
  v_own_xid xid8;
  v_from timestamptz;
  v_tries integer := 0;
  v_months integer;
begin
  if p_if_older is null then
    perform pg_advisory_xact_lock(v_lock);
  elsif not pg_try_advisory_xact_lock(v_lock) then
    return null;
  end if;

  select w.watermark into strict v_from from robot_brain.stats_watermark w where w.tenant_id = '*';
  if v_from > clock_timestamp() - make_interval(secs => p_if_older) then
    return null;
  end if;

  v_until := clock_timestamp();
  v_own_xid := pg_current_xact_id();
  while pg_snapshot_xmin(pg_current_snapshot()) < v_own_xid loop
    v_tries := v_tries + 1;
    if v_tries > 40 then
      v_until := v_until - interval '1 minute';
      exit;
    end if;
    perform pg_sleep(0.05);
  end loop;

  if v_until > v_from and robot_brain.written_between(v_from, v_until) then
    with turns as materialized (
      select
        c.tenant_id,
        c.robot_personality,
        (c.created_at at time zone 'UTC')::date as day,
        c.seq = 1 as opens_session,
        c.opens_day,
        length(c.robot_response) as response_length
      from robot_brain.conversations c
      where c.created_at > v_from and c.created_at <= v_until
    ),
    personalities as (
      insert into robot_brain.personality_stats as p (tenant_id, robot_personality, messages, response_length)
      select t.tenant_id, t.robot_personality, count(*), sum(t.response_length) from turns t group by 1, 2
      on conflict (tenant_id, robot_personality) do update set
        messages = p.messages + excluded.messages,
        response_length = p.response_length + excluded.response_length
    ),
    days as (
      insert into robot_brain.daily_stats as d (tenant_id, day, sessions, messages)
      select t.tenant_id, t.day, count(*) filter (where t.opens_day), count(*) from turns t group by 1, 2
      on conflict (tenant_id, day) do update set
        sessions = d.sessions + excluded.sessions,
        messages = d.messages + excluded.messages
    ),
    counted as (
      select t.tenant_id, count(*) filter (where t.opens_session) as sessions, count(*) as messages, 0 as interactions
      from turns t
      group by 1
      union all
      select i.tenant_id, 0, 0, count(*)
      from robot_brain.robot_interactions i
      where i.created_at > v_from and i.created_at <= v_until
      group by 1
    )
    insert into robot_brain.tenant_stats as s (tenant_id, sessions, messages, interactions)
    select c.tenant_id, sum(c.sessions), sum(c.messages), sum(c.interactions) from counted c group by 1
    on conflict (tenant_id) do update set
      sessions = s.sessions + excluded.sessions,
      messages = s.messages + excluded.messages,
      interactions = s.interactions + excluded.interactions;

    refresh materialized view concurrently robot_brain.session_stats;
  end if;

  if v_until > v_from then
    update robot_brain.stats_watermark set watermark = v_until, refreshed_at = clock_timestamp() where tenant_id = '*';
  end if;

  v_months := robot_brain.make_months(3);

  return jsonb_build_object('as_of', robot_brain.iso_time(greatest(v_from, v_until)), 'months_made', v_months);
end
$$;

grant execute on function robot_brain.written_between(timestamptz, timestamptz) to robot_brain_owner;
grant execute on function robot_brain.refresh_stats(integer) to robot_brain_owner;

reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;
reset role;
