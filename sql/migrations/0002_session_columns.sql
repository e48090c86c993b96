-- Columns of sessions, idempotency_keys and the statistics for edits, removals, lists and erasures, with their values
-- for the rows that exist, and the indexes.
-- outside a transaction
--
-- The rows are filled in batches, and the indexes are made concurrently, so that requests continue. Meanwhile they run
-- the functions of the release before, which do not know these columns.
-- squawk-ignore-file prefer-bigint-over-int, ban-concurrent-index-creation-in-transaction, prefer-robust-stmts, require-statement-timeout

set lock_timeout = '5s';
set row_security = on;
set role robot_brain_stats;

-- turns whose robot_response is empty: averages are over the others
alter table robot_brain.uncounted add column if not exists unanswered integer not null default 0;
alter table robot_brain.personality_stats add column if not exists unanswered bigint not null default 0;

set role robot_brain_owner;

alter table robot_brain.sessions
  -- message_count + removed is the last seq
  add column if not exists removed integer not null default 0,
  add column if not exists first_seq integer not null default 1,
  add column if not exists unanswered integer not null default 0,
  -- Turns up to this seq are counted in unanswered. The functions of the release before go on writing, so 0004 counts
  -- their later turns, and drops the column.
  add column if not exists unanswered_to integer not null default 0,
  add column if not exists user_id varchar(255),
  add column if not exists active_hour timestamptz,
  add column if not exists removed_at timestamptz,
  add column if not exists erasing_at timestamptz;

comment on column robot_brain.sessions.message_count is 'Turns that exist';
comment on column robot_brain.sessions.removed is 'Turns that were removed; message_count + removed is the last seq';
comment on column robot_brain.sessions.first_seq is 'No turn below this seq exists';
comment on column robot_brain.sessions.unanswered is 'Turns that exist and have an empty robot_response';
comment on column robot_brain.sessions.active_hour is 'The hour of last_active; changes once an hour at most, so the indexes on it leave most updates heap-only (HOT)';
comment on column robot_brain.sessions.removed_at is 'When turns were last removed';
comment on column robot_brain.sessions.erasing_at is 'When the erasure of the session began; from then on the session is unknown to readers';

-- For sessions that the functions of the release before make until this release's functions are applied.
alter table robot_brain.sessions
  alter column active_hour set default date_bin('1 hour', clock_timestamp(), to_timestamp(0));

alter table robot_brain.idempotency_keys add column if not exists session_id varchar(100);
comment on column robot_brain.idempotency_keys.session_id is 'The session of the write; null if the session was erased';

-- Each batch is a transaction. A session is done if it has an hour, and a key if it has a session.
do $$
declare
  v_tenants text[];
  v_tenant text;
  v_last text;
  v_ids text[];
  v_from bytea;
  v_rows integer;
begin
  set role robot_brain_stats;
  select array_agg(distinct s.tenant_id) into v_tenants from robot_brain.sessions s;
  set role robot_brain_owner;
  foreach v_tenant in array coalesce(v_tenants, '{}') loop
    v_last := '';
    loop
      perform set_config('robot_brain.tenant_id', v_tenant, true);
      -- A statement of its own takes the locks. PostgreSQL 18 (seen with 18.4 and 18.6) crashes in a statement that
      -- waits for a changed row, and then prunes partitions as it runs. The next statement meets no changed row.
      v_ids := array(
        select s.id
        from robot_brain.sessions s
        where s.tenant_id = v_tenant and s.id > v_last
        order by s.id
        limit 1000
        for update
      );
      exit when v_ids = '{}';
      v_last := v_ids[cardinality(v_ids)];
      with due as (
        select s.id, s.created_at, s.last_active
        from robot_brain.sessions s
        where s.tenant_id = v_tenant and s.id = any (v_ids) and s.active_hour is null
      ),
      turns as materialized (
        select
          c.session_id, c.robot_personality, max(c.seq) as last_seq,
          count(*) filter (where c.robot_response = '')::integer as unanswered
        from due d
        join robot_brain.conversations c
          on c.tenant_id = v_tenant and c.session_id = d.id and c.created_at between d.created_at and d.last_active
        group by 1, 2
      ),
      counted as (
        insert into robot_brain.uncounted (
          tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions, unanswered
        )
        select v_tenant, null, t.robot_personality, 0, 0, 0, 0, 0, sum(t.unanswered)
        from turns t
        where t.unanswered > 0
        group by 3
      )
      update robot_brain.sessions s
      set
        active_hour = date_bin('1 hour', s.last_active, to_timestamp(0)),
        unanswered = coalesce(t.unanswered, 0),
        unanswered_to = coalesce(t.last_seq, 0)
      from due d
      left join (
        select t.session_id, sum(t.unanswered) as unanswered, max(t.last_seq) as last_seq from turns t group by 1
      ) t on t.session_id = d.id
      where s.tenant_id = v_tenant and s.id = d.id;
      commit;
    end loop;

    v_from := '';
    loop
      perform set_config('robot_brain.tenant_id', v_tenant, true);
      with batch as (
        select k.key_hash
        from robot_brain.idempotency_keys k
        where k.tenant_id = v_tenant and k.key_hash > v_from
        order by k.key_hash
        limit 1000
      ),
      filled as (
        update robot_brain.idempotency_keys k
        set session_id = k.response::json ->> 'session_id'
        from batch b
        where k.tenant_id = v_tenant and k.key_hash = b.key_hash and k.session_id is null and k.response <> ''
      )
      select (array_agg(b.key_hash order by b.key_hash desc))[1], count(*) into v_from, v_rows from batch b;
      commit;
      exit when v_rows = 0;
    end loop;
  end loop;
end
$$;

drop index concurrently if exists robot_brain.sessions_listed_idx;
create index concurrently sessions_listed_idx on robot_brain.sessions (tenant_id, active_hour desc)
-- Without this condition the planner may take the index to find a session by its id, while the table is small.
where erasing_at is null;
comment on index robot_brain.sessions_listed_idx is 'list_sessions: the sessions of a tenant, newest activity first';

drop index concurrently if exists robot_brain.sessions_of_user_idx;
create index concurrently sessions_of_user_idx on robot_brain.sessions (tenant_id, user_id, active_hour desc)
where user_id is not null;
comment on index robot_brain.sessions_of_user_idx is 'list_sessions: the sessions of a user, newest activity first';

drop index concurrently if exists robot_brain.idempotency_keys_session_idx;
create index concurrently idempotency_keys_session_idx on robot_brain.idempotency_keys (tenant_id, session_id)
-- Without this condition the planner may take the index to find a key, while the table is small.
where session_id is not null;
comment on index robot_brain.idempotency_keys_session_idx is 'erase_step: the remembered answers of a session';
