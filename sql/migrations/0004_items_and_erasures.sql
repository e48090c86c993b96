-- Items of the turns, and the times of their changes. The sessions that were erased in the last hour. A view without
-- the sessions that have no turn or are being erased. What is dropped here is made again in the same transaction.
-- squawk-ignore-file ban-drop-column, ban-drop-default, ban-drop-function, ban-drop-view

set local lock_timeout = '5s';
set local statement_timeout = '60s';
-- The view is filled below, through policies.
set local row_security = on;

set local role robot_brain_owner;

-- A write uses sessions first, then conversations. In another order this file and a write can be in a deadlock.
lock table robot_brain.sessions in access exclusive mode;

alter table robot_brain.conversations
  add column items jsonb,
  add column updated_at timestamptz;

comment on column robot_brain.conversations.items is 'JSON objects of the client, for example tool calls; null if absent';
comment on column robot_brain.conversations.updated_at is 'When the turn was last changed; null if never';

-- The functions of the release before left the hour of some sessions as it was, and did not count their turns without
-- an answer. 0002 counted those up to unanswered_to. Without a tenant a forced policy shows no row. No other transaction
-- sees the tables while they are locked here.
alter table robot_brain.sessions no force row level security;
alter table robot_brain.conversations no force row level security;

reset role;
set local role robot_brain_stats;
insert into robot_brain.uncounted (
  tenant_id, day, robot_personality, messages, response_length, unanswered, sessions, opened, interactions
)
select s.tenant_id, null, c.robot_personality, 0, 0, count(*), 0, 0, 0
from robot_brain.sessions s
join robot_brain.conversations c
  on c.tenant_id = s.tenant_id
  and c.session_id = s.id
  and c.created_at between s.created_at and s.last_active
  and c.seq > s.unanswered_to
where s.message_count > s.unanswered_to and c.robot_response = ''
group by 1, 3;
reset role;
set local role robot_brain_owner;

update robot_brain.sessions s
set
  active_hour = date_bin('1 hour', s.last_active, to_timestamp(0)),
  unanswered = s.unanswered + (
    select count(*)
    from robot_brain.conversations c
    where c.tenant_id = s.tenant_id
      and c.session_id = s.id
      and c.created_at between s.created_at and s.last_active
      and c.seq > s.unanswered_to
      and c.robot_response = ''
  )
where s.message_count > s.unanswered_to
  or s.active_hour is distinct from date_bin('1 hour', s.last_active, to_timestamp(0));
alter table robot_brain.conversations force row level security;
alter table robot_brain.sessions force row level security;
alter table robot_brain.sessions drop column unanswered_to;
-- The default stays, because a write that waits for this transaction goes on in the older functions.
-- The table is locked already, and a scan takes a second for millions of sessions.
-- squawk-ignore adding-not-nullable-field
alter table robot_brain.sessions alter column active_hour set not null;

-- Erasures that are not finished, and for an hour those that are. So a retry or a late attempt of a write never writes
-- again what was erased. No index of sessions finds the former, because each index costs every write.
create table robot_brain.erasures (
  tenant_id text not null,
  -- SHA-256 of the session's id, because the id may name a person
  session_hash bytea not null,
  -- null if the erasure is finished
  session_id varchar(100),
  begun_at timestamptz not null,
  -- null if no session of this id was erased yet
  erased_at timestamptz,
  -- as in sessions: the first ids of the writes that only a retry has written
  repeated uuid[],
  constraint erasures_pkey primary key (tenant_id, session_hash)
);
-- The table was made by this file, so no request waits.
-- squawk-ignore require-concurrent-index-creation
create index erasures_unfinished_idx on robot_brain.erasures (begun_at) where session_id is not null;
comment on index robot_brain.erasures_unfinished_idx is 'next_erasure, erase_another: the erasures that are not finished';

alter table robot_brain.erasures enable row level security;
alter table robot_brain.erasures force row level security;
create policy tenant on robot_brain.erasures to robot_brain_owner
  using (tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), ''));
-- next_erasure deletes the old rows of all tenants.
create policy expired on robot_brain.erasures to robot_brain_stats using (true);
-- A row lock needs a right to update.
grant select, delete, update (erased_at) on robot_brain.erasures to robot_brain_stats;

-- It depends on the view, and its file creates it again.
drop function if exists robot_brain.top_sessions(text, date);

grant create on schema robot_brain to robot_brain_stats;
reset role;
set local role robot_brain_stats;

-- As top_sessions.
drop function if exists robot_brain.view_is_empty();
drop materialized view robot_brain.session_stats;

-- The view below shows this moment.
update robot_brain.refresh_state r set refreshed_at = clock_timestamp() where r.tenant_id = '*';

-- A materialized view cannot have RLS: only robot_brain_api.stats reads it, with the tenant in its condition.
create materialized view robot_brain.session_stats as
select
  s.tenant_id,
  s.id as session_id,
  -- A session of the same id that was made after an erasure has another time.
  s.created_at,
  s.message_count,
  s.last_active as last_message,
  round(s.response_length::numeric / nullif(s.message_count - s.unanswered, 0), 2) as avg_response_length
from robot_brain.sessions s
where s.active_on > (now() at time zone interval '0')::date - 31
  and s.message_count > 0
  and s.erasing_at is null
with data;

-- The view was made by this file, so no request waits.
-- squawk-ignore require-concurrent-index-creation
create unique index session_stats_key on robot_brain.session_stats (tenant_id, session_id);
comment on index robot_brain.session_stats_key is 'refresh_view: REFRESH ... CONCURRENTLY needs a unique index';

-- The view was made by this file, so no request waits.
-- squawk-ignore require-concurrent-index-creation
create index session_stats_top_idx on robot_brain.session_stats (tenant_id, message_count desc, last_message desc);
comment on index robot_brain.session_stats_top_idx is 'stats: the ten longest sessions of a tenant';

grant select on robot_brain.session_stats to robot_brain_owner;

reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;
reset role;
