-- depends: 0001_roles
-- What Robot Brain keeps. Tables carry the names of the project's origin.
--
-- The contract ends a seq at 2^31 - 1 and a duration as well; a counter of a session cannot pass its seq.
-- A varchar can be made longer without a rewrite of its table.
-- squawk-ignore-file prefer-bigint-over-int, prefer-text-field

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local role robot_brain_owner;

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

-- The turns. Partitioned by month (0003_partitions.sql). The primary key holds the partition key because PostgreSQL asks
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
    execute format(
      'create policy tenant on robot_brain.%I to robot_brain_owner using (tenant_id = robot_brain.current_tenant())',
      v_table
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

reset role;
