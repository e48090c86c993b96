-- Roles, tables, row-level security, indexes, partitions, and who may do what (sql/README.md describes them).
-- Functions are in sql/functions.
--
-- The contract ends a seq at 2^31 - 1 and a duration as well; a counter of a session cannot pass its seq. What one write
-- leaves uncounted fits an integer: it has 100 turns at the most.
-- squawk-ignore-file prefer-bigint-over-int

set local lock_timeout = '5s';
set local statement_timeout = '60s';
-- Rows are written and the view is filled below, through policies.
set local row_security = on;
-- The bounds of the months become text and are read again.
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';

do $$
begin
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'the database % has the encoding %, and Robot Brain needs UTF8',
      current_database(), current_setting('server_encoding')
      using hint = 'Create the database with: create database ... encoding ''UTF8'' template template0';
  end if;
end
$$;

do $$
declare
  v_role text;
begin
  foreach v_role in array array['robot_brain_owner', 'robot_brain_stats', 'robot_brain_app'] loop
    -- Roles belong to the whole cluster: the migration of another database may have made them.
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I nologin', v_role);
    end if;
  end loop;
end
$$;

-- To hand objects to these roles one has to be their member. PostgreSQL 16 and later make the creator of a role its
-- administrator only, 15 not even that; this statement is valid, and enough, on all of them.
grant robot_brain_owner to current_user;
grant robot_brain_stats to current_user;

-- Neon's pooler refuses settings at connection time and leaks a plain SET to its next client, so the timeouts of the
-- runtime role sit on the role. A request is one statement: statement_timeout bounds the transaction too.
alter role robot_brain_app set statement_timeout = '10s';
alter role robot_brain_app set lock_timeout = '5s';
alter role robot_brain_app set idle_in_transaction_session_timeout = '10s';
alter role robot_brain_app set default_transaction_isolation = 'read committed';
-- The server may have other defaults. Without row_security each function fails; in another encoding texts are lost.
alter role robot_brain_app set row_security = on;
alter role robot_brain_app set client_encoding = 'UTF8';

do $$
begin
  execute format('grant connect on database %I to robot_brain_app', current_database());
  -- PUBLIC may create temporary tables by default. The statistics need that (REFRESH ... CONCURRENTLY), the app does not.
  execute format('revoke temporary on database %I from public', current_database());
  execute format('grant temporary on database %I to robot_brain_stats', current_database());
  if to_regnamespace('public') is not null and has_schema_privilege('robot_brain_app', 'public', 'create') then
    revoke create on schema public from public;
  end if;
end
$$;

create schema robot_brain authorization robot_brain_owner;
create schema robot_brain_api authorization robot_brain_owner;

set local role robot_brain_owner;

comment on schema robot_brain is 'Tables and internal functions of Robot Brain; nobody but its own functions reads them';
comment on schema robot_brain_api is 'The SQL functions of Robot Brain: one for each request. The app may use nothing else';

alter default privileges for role robot_brain_owner revoke execute on functions from public;
grant usage on schema robot_brain_api to robot_brain_app;
grant usage on schema robot_brain to robot_brain_stats;

-- A conversation of one user with one robot, and the counters that make its reads and statistics cheap.
create table robot_brain.sessions (
  -- Rows of the statistics and their indexes carry these names; one that is too long would stop every refresh. The limit
  -- is in the type, because a check constraint is parsed anew by each insert and update.
  tenant_id varchar(128) not null,
  id varchar(100) not null,
  user_metadata jsonb not null default '{}',
  -- With message_count it is the entity tag. It begins at random, so that no tag of an earlier session of this id fits;
  -- each change but an append makes it another.
  version bigint not null default floor(random() * 281474976710656)::bigint,
  created_at timestamptz not null,
  last_active timestamptz not null,
  -- last_active before the latest write; lets that write see, in the same statement, whether it opens a new day
  previous_active timestamptz,
  -- the first ids of the latest writes that only a repeat has written: their first attempts may still arrive
  repeated uuid[],
  -- changes once a day at most, so the index on it leaves the other updates of a day heap-only (HOT)
  active_on date not null generated always as ((last_active at time zone interval '0')::date) stored,
  message_count integer not null,
  response_length bigint not null,
  -- no answer that holds all turns of this session is longer than this, escaped as Lambda escapes it
  answer_bytes bigint not null,
  constraint sessions_pkey primary key (tenant_id, id)
) with (fillfactor = 80);

comment on column robot_brain.sessions.message_count is 'Turns written, which is also the last seq';
comment on column robot_brain.sessions.response_length is 'Code points of all robot_response: the average without reading a turn';

create index sessions_active_on_idx on robot_brain.sessions (active_on);
comment on index robot_brain.sessions_active_on_idx is 'session_stats: the sessions active in the last 31 days';

-- The turns. Partitioned by month (see below). The primary key holds the partition key because PostgreSQL asks
-- for it; that seq is unique in a session follows from the counter in sessions. There is no foreign key to sessions:
-- write_message writes both in one transaction and is the only writer, and the check would cost every turn.
create table robot_brain.conversations (
  tenant_id text not null,
  session_id text not null,
  seq integer not null,
  created_at timestamptz not null,
  id uuid not null default gen_random_uuid(),
  robot_personality varchar(50) not null,
  user_message text not null,
  robot_response text not null,
  metadata jsonb not null default '{}',
  constraint conversations_pkey primary key (tenant_id, session_id, seq, created_at),
  constraint conversations_user_message_size check (octet_length(user_message) <= 262144),
  constraint conversations_robot_response_size check (octet_length(robot_response) <= 262144),
  -- One constraint for both, because each costs every turn.
  constraint conversations_metadata_size check (octet_length(metadata::text) <= 16384 and jsonb_typeof(metadata) = 'object')
) partition by range (created_at);

comment on index robot_brain.conversations_pkey is 'read_session: a page of one session by seq; answer_of: a session''s turns, newest first';

create table robot_brain.robot_interactions (
  tenant_id text not null,
  id bigint not null generated always as identity,
  session_id text not null,
  seq integer not null,
  robot_id varchar(50) not null,
  interaction_type varchar(50) not null,
  duration_ms integer not null,
  success boolean not null,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  constraint robot_interactions_pkey primary key (tenant_id, id)
);

-- What clients send as Idempotency-Key. A table of its own, because a unique key of a partitioned table would have to hold the time.
create table robot_brain.idempotency_keys (
  tenant_id text not null,
  -- SHA-256 of the key: a client may put anything into a key, and nobody has to read it
  key_hash bytea not null,
  -- what a second request with the key must be equal to
  fingerprint bytea not null,
  response text not null,
  expires_at timestamptz not null,
  constraint idempotency_keys_pkey primary key (tenant_id, key_hash)
);

create index idempotency_keys_expires_at_idx on robot_brain.idempotency_keys (expires_at);
comment on index robot_brain.idempotency_keys_expires_at_idx is 'clear_keys: the keys that have expired, of all tenants';

create table robot_brain.users (
  tenant_id text not null,
  id uuid not null default gen_random_uuid(),
  created_at timestamptz not null default now(),
  constraint users_pkey primary key (tenant_id, id)
);

create table robot_brain.user_profiles (
  tenant_id text not null,
  user_id uuid not null,
  profile jsonb not null default '{}',
  updated_at timestamptz not null default now(),
  constraint user_profiles_pkey primary key (tenant_id, user_id),
  constraint user_profiles_user_fkey foreign key (tenant_id, user_id) references robot_brain.users (tenant_id, id) on delete cascade
);

create table robot_brain.audit_logs (
  tenant_id text not null,
  id bigint not null generated always as identity,
  table_name text not null,
  record_id text not null,
  action text not null,
  old_data jsonb,
  new_data jsonb,
  user_id uuid,
  created_at timestamptz not null default now(),
  constraint audit_logs_pkey primary key (tenant_id, id)
);

do $$
declare
  v_table text;
begin
  foreach v_table in array array[
    'sessions', 'conversations', 'robot_interactions', 'idempotency_keys', 'users', 'user_profiles', 'audit_logs'
  ] loop
    execute format('alter table robot_brain.%I enable row level security', v_table);
    execute format('alter table robot_brain.%I force row level security', v_table);
    -- The transaction's tenant. On a server connection that once had a tenant the setting comes back as '', hence nullif.
    execute format(
      'create policy tenant on robot_brain.%I to robot_brain_owner using (tenant_id = nullif(pg_catalog.current_setting(%L, true), %L))',
      v_table, 'robot_brain.tenant_id', ''
    );
  end loop;
  foreach v_table in array array['sessions', 'conversations', 'robot_interactions'] loop
    execute format('create policy every_tenant on robot_brain.%I for select to robot_brain_stats using (true)', v_table);
    execute format('grant select on robot_brain.%I to robot_brain_stats', v_table);
  end loop;
end
$$;

-- clear_keys works on the keys of all tenants.
create policy expired on robot_brain.idempotency_keys to robot_brain_stats using (true);
-- A row lock needs a right to update. The one on expires_at is enough, and no function uses it.
grant select, delete, update (expires_at) on robot_brain.idempotency_keys to robot_brain_stats;

-- Months of turns. A turn whose month is missing lands in conversations_default, never nowhere; making its month later
-- moves it there in the same transaction.
create table robot_brain.conversations_default partition of robot_brain.conversations default;

-- RLS of the parent is not applied to a partition that is named directly, so each has it switched on, and no policy:
-- that denies everybody everything. Queries go through the parent, whose policies they get.
alter table robot_brain.conversations_default enable row level security;
alter table robot_brain.conversations_default force row level security;

-- What has no month yet is looked for by robot_brain_stats, which sees every tenant.
grant select on robot_brain.conversations_default to robot_brain_stats;
create policy every_tenant on robot_brain.conversations_default for select to robot_brain_stats using (true);

-- This month and 24 ahead, as robot_brain.make_month makes the later ones.
do $$
declare
  v_from timestamptz;
  v_to timestamptz;
  v_name text;
begin
  for v_from, v_to in
    select m at time zone interval '0', (m + interval '1 month') at time zone interval '0'
    from date_trunc('month', clock_timestamp() at time zone interval '0') this,
      generate_series(this, this + interval '24 months', interval '1 month') m
  loop
    v_name := 'conversations_' || to_char(v_from at time zone interval '0', 'YYYY_MM');
    execute format('create table robot_brain.%I (like robot_brain.conversations including all)', v_name);
    execute format('alter table robot_brain.%I enable row level security', v_name);
    execute format('alter table robot_brain.%I force row level security', v_name);
    execute format(
      'alter table robot_brain.conversations attach partition robot_brain.%I for values from (%L) to (%L)',
      v_name, v_from, v_to
    );
  end loop;
end
$$;

grant create on schema robot_brain to robot_brain_stats;
reset role;

-- The statistics. They belong to robot_brain_stats, which sees every tenant.
alter default privileges for role robot_brain_stats revoke execute on functions from public;
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
      'create policy tenant on robot_brain.%I for select to robot_brain_owner
        using (tenant_id in (nullif(pg_catalog.current_setting(%L, true), %L), %L))',
      v_table, 'robot_brain.tenant_id', '', '*'
    );
    execute format('grant select on robot_brain.%I to robot_brain_owner', v_table);
  end loop;
end
$$;

create policy tenant_reads on robot_brain.uncounted for select to robot_brain_owner
  using (tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), ''));
create policy tenant_writes on robot_brain.uncounted for insert to robot_brain_owner
  with check (tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), ''));
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

reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;
reset role;
