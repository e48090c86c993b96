-- The words of the turns, for the search. They belong to a role of their own, robot_brain_search.
-- A seq fits an integer, as in 0001.
-- squawk-ignore-file prefer-bigint-over-int

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local row_security = on;

do $$
begin
  -- Roles belong to the whole cluster: the migration of another database may have made it.
  if not exists (select from pg_catalog.pg_roles where rolname = 'robot_brain_search') then
    create role robot_brain_search nologin;
  end if;
end
$$;

-- The migrating role hands over objects to robot_brain_search.
grant robot_brain_search to current_user;
alter default privileges for role robot_brain_search revoke execute on functions from public;

set local role robot_brain_owner;

-- A write that waits here goes on with the functions of this release. So each turn of a later write is queued.
lock table robot_brain.sessions in access exclusive mode;

-- fill_words makes the months of turn_words.
grant usage, create on schema robot_brain to robot_brain_search;
create policy every_tenant_is_searched on robot_brain.sessions for select to robot_brain_search using (true);
create policy every_tenant_is_searched on robot_brain.conversations for select to robot_brain_search using (true);
grant select on robot_brain.sessions, robot_brain.conversations to robot_brain_search;
reset role;

set local role robot_brain_stats;

-- The turns that a write has inserted, null if the search is off. The refresh that counts the row queues them.
alter table robot_brain.uncounted
  add column session_id varchar(100),
  add column from_seq integer,
  add column to_seq integer;
create policy every_tenant_is_searched on robot_brain.uncounted for select to robot_brain_search using (true);
-- forget_sessions takes the ids of erased sessions off.
create policy every_session_is_forgotten on robot_brain.uncounted for update to robot_brain_search using (true);
grant select, update (session_id) on robot_brain.uncounted to robot_brain_search;
reset role;

set local role robot_brain_search;

-- The words of each turn. A row is true at every moment, because an edit or a removal deletes it in its own transaction.
-- A turn without a row is in uncounted, in search_queue, or older than search_state.filled_from.
create table robot_brain.turn_words (
  tenant_id text collate "C" not null,
  session_id text collate "C" not null,
  seq integer not null,
  created_at timestamptz not null,
  -- words_of makes it
  words tsvector not null,
  constraint turn_words_pkey primary key (tenant_id, created_at, session_id, seq)
) partition by range (created_at);
comment on index robot_brain.turn_words_pkey is 'find_turns: the newest turns of a tenant; forget_words: the words of a turn';

-- The table is empty.
-- squawk-ignore require-concurrent-index-creation
create index turn_words_words_idx on robot_brain.turn_words using gin (words);
comment on index robot_brain.turn_words_words_idx is 'find_turns: the turns that have the words of a query';

-- Turns whose words are missing. One transaction at a time takes rows from it, and any number adds some.
create table robot_brain.search_queue (
  tenant_id varchar(128) not null,
  id bigint not null generated always as identity,
  session_id varchar(100) not null,
  from_seq integer not null,
  to_seq integer not null,
  -- the day of the turns (UTC), which says the month
  day date not null,
  queued_at timestamptz not null default clock_timestamp(),
  -- Rows that another database made may have an id that this one gives again. No refresh may fail of that.
  constraint search_queue_pkey primary key (id, tenant_id, session_id, from_seq)
)
-- As for uncounted.
with (vacuum_truncate = off);
comment on index robot_brain.search_queue_pkey is 'fill_words: the oldest rows of all tenants';

-- squawk-ignore require-concurrent-index-creation
create index search_queue_tenant_idx on robot_brain.search_queue (tenant_id, day);
comment on index robot_brain.search_queue_tenant_idx is 'find_turns: the queued turns of a tenant';

-- The state of the search, one row for all tenants. '*' is no tenant's name.
create table robot_brain.search_state (
  tenant_id text not null default '*',
  -- the text search configuration; null if the search is off
  language text,
  -- the turns before this moment have no words yet; '-infinity' if all have
  filled_from timestamptz not null,
  -- the turn after which the next step goes on, in the month before filled_from; null at the month's beginning
  place_tenant text,
  place_session text,
  place_seq integer,
  constraint search_state_pkey primary key (tenant_id),
  constraint search_state_one_row check (tenant_id = '*')
);

-- A call that makes words locks this table, and a call that deletes some does, in another mode. It never has a row.
create table robot_brain.word_filling (
  tenant_id varchar(128) not null,
  constraint word_filling_pkey primary key (tenant_id)
);

do $$
declare
  v_table text;
begin
  foreach v_table in array array['turn_words', 'search_queue', 'search_state', 'word_filling'] loop
    execute format('alter table robot_brain.%I enable row level security', v_table);
    execute format('alter table robot_brain.%I force row level security', v_table);
    execute format('create policy every_tenant on robot_brain.%I to robot_brain_search using (true)', v_table);
  end loop;
end
$$;

-- count_uncounted queues what it counts.
create policy every_tenant_is_queued on robot_brain.search_queue for insert to robot_brain_stats with check (true);
grant insert on robot_brain.search_queue to robot_brain_stats;

-- The month of today, as add_words_month makes the others.
do $$
declare
  v_from constant timestamptz := date_trunc('month', clock_timestamp() at time zone interval '0') at time zone interval '0';
  v_to constant timestamptz := (date_trunc('month', clock_timestamp() at time zone interval '0') + interval '1 month') at time zone interval '0';
  v_name constant text := 'turn_words_' || to_char(v_from at time zone interval '0', 'YYYY_MM');
begin
  execute format('create table robot_brain.%I (like robot_brain.turn_words including all)', v_name);
  execute format('alter table robot_brain.%I enable row level security', v_name);
  execute format('alter table robot_brain.%I force row level security', v_name);
  execute format(
    'alter table robot_brain.turn_words attach partition robot_brain.%I for values from (%L) to (%L)', v_name, v_from, v_to
  );
end
$$;

-- A new database has nothing to fill. In an older one the filling begins with the newest turns. Later turns are queued, so
-- they are found at once. A clock may have been ahead, so no turn that is stored now may be after this moment.
insert into robot_brain.search_state (language, filled_from)
select 'pg_catalog.simple', case
  when exists (select from robot_brain.conversations) then greatest(
    clock_timestamp(),
    (
      select max(s.last_active) + interval '1 microsecond'
      from robot_brain.sessions s
      -- by its index
      where s.active_on = (select max(n.active_on) from robot_brain.sessions n)
    )
  )
  else '-infinity'
end;

reset role;
