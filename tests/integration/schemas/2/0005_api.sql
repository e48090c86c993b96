-- depends: 0004_statistics
-- The functions of the API. Each runs as an owner that cannot bypass RLS, sets the tenant for its own transaction, and
-- returns JSON text.

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local role robot_brain_owner;

-- The entity tag of a session in a state. The cast makes the concatenation immutable: only then can PostgreSQL inline the
-- function, which takes 30 us less on 15.
create function robot_brain.etag(p_last_seq integer, p_version bigint)
returns text
language sql
immutable
strict
parallel safe
return '"' || p_last_seq::text || '.' || pg_catalog.to_hex(p_version) || '"';

-- The answer of a write that was done before, as that write gave it, or null. It is known by the id of its first turn,
-- among the session's last 20,000 turns: not by time, because a clock may jump between two attempts. The turns of a write
-- lie together and share their time.
create function robot_brain.answer_of(p_tenant_id text, p_session_id text, p_first_id uuid, p_turns integer)
returns text
language plpgsql
strict
set search_path = pg_catalog, pg_temp
-- A generic plan opens and locks all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_session robot_brain.sessions;
  v_seq integer;
  v_at timestamptz;
begin
  select s.* into v_session from robot_brain.sessions s where s.tenant_id = p_tenant_id and s.id = p_session_id;

  select c.seq, c.created_at
  into v_seq, v_at
  from robot_brain.conversations c
  where c.tenant_id = p_tenant_id
    and c.session_id = p_session_id
    and c.created_at between v_session.created_at and v_session.last_active
    and c.seq > v_session.message_count - 20000
    and c.id = p_first_id
  order by c.seq desc
  limit 1;
  if not found then
    return null;
  end if;

  return (
    select
      json_build_object(
        'session_id', p_session_id,
        'message_count', v_seq + p_turns - 1,
        'last_seq', v_seq + p_turns - 1,
        'messages', json_agg(
          json_build_object('id', c.id, 'seq', c.seq, 'created_at', robot_brain.iso_time(c.created_at)) order by c.seq
        )
      )::text
    from robot_brain.conversations c
    where c.tenant_id = p_tenant_id
      and c.session_id = p_session_id
      and c.created_at = v_at
      and c.seq between v_seq and v_seq + p_turns - 1
  );
end
$$;

-- Append turns to a session, all or nothing, and return the answer's body.
--   p_messages        1 to 100 turns: {robot_personality, user_message, robot_response, metadata, interaction?}
--   p_user_metadata   object merged at the top level into the session's, or null
--   p_if_match        the state that the session must have, or null: '7' is its last seq, '7.1f' its whole entity tag
--   p_key             the client's idempotency key, or null
--   p_first_id        if there is no key: an id for the first turn, made for this write alone, or null
--   p_repeated        this is not the first attempt with p_first_id: an earlier one may have been written, or may be yet
--   replayed          the body is that of an earlier request or attempt; nothing was written now
--   etag              of the session with these turns as its last; null if others came after them, or replayed by key
-- A key is looked for at each write, because a client may send a request again a day later. A caller's own repeats come
-- within seconds and are rare: only they look for the turn with their first id, so a write without a key keeps and reads
-- nothing of it. No key of a client's reaches a turn: p_key is compared with keys alone, p_first_id with turns alone.
-- Raises RB409, RB412, RB422, RB423 and RB503 (0001_roles.sql); 22001, or 23514 with the constraint's name, if something is
-- larger than allowed; 22023 for more turns than allowed, and for what has no meaning.
-- Locks: the key or first id, then the session's row. Nothing waits for a lock in another order.
create function robot_brain_api.write_message(
  p_tenant_id text,
  p_session_id text,
  p_messages jsonb,
  p_user_metadata jsonb default null,
  p_if_match text default null,
  p_key text default null,
  p_first_id uuid default null,
  p_repeated boolean default false,
  p_schema_version integer default null,
  out body text,
  out replayed boolean,
  out etag text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_key_hash bytea;
  v_fingerprint bytea;
  v_known bytea;
  v_now timestamptz;
  v_day date;
  v_written_at text;
  v_turns constant integer := jsonb_array_length(p_messages);
  v_interactions constant integer := jsonb_array_length(jsonb_path_query_array(p_messages, '$[*].interaction'));
  v_last_seq integer;
  v_version bigint;
  v_version_before bigint;
  v_is_new boolean;
  v_opens_day boolean;
  v_is_late boolean;
  v_metadata_bytes integer;
  v_off text;
  v_response_length bigint;
  v_answer_bytes bigint;
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  if v_turns is null or v_turns not between 1 and 100 then
    raise invalid_parameter_value using message = 'a write has 1 to 100 turns';
  end if;
  -- A varchar drops the spaces that are too many, and the write would count for another session.
  if length(p_session_id) > 100 then
    raise string_data_right_truncation using message = 'a session id has 100 characters at the most';
  end if;
  -- The rows that stand for all tenants have this name (0004_statistics.sql), and every tenant may read them.
  if p_tenant_id = '*' then
    raise invalid_parameter_value using message = '* is no tenant';
  end if;
  if jsonb_typeof(p_user_metadata) <> 'object' then
    raise invalid_parameter_value using message = 'user_metadata is an object';
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  if p_key is not null then
    v_key_hash := sha256(convert_to(p_key, 'UTF8'));
    -- A second request with the same key waits here until the first has ended, then sees what it left.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant_id || ':' || p_key, 0));
    -- PL/pgSQL keeps a plan that was made while the table was small, and autovacuum, whose statistics would end that plan,
    -- may not run before the server sleeps again.
    v_off := set_config('enable_seqscan', 'off', true);
    v_fingerprint := sha256(convert_to(jsonb_build_array(p_session_id, p_messages, p_user_metadata)::text, 'UTF8'));
    select k.fingerprint, k.response, k.expires_at > clock_timestamp() into v_known, body, replayed
    from robot_brain.idempotency_keys k
    where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    if replayed then
      if v_known <> v_fingerprint then
        raise exception using
          errcode = 'RB422',
          message = 'the idempotency key was used for another request',
          detail = json_build_object(
            'session_id', body::json -> 'session_id', 'seq', body::json #> '{messages,0,seq}'
          ),
          hint = 'Use a new key for a new request.';
      end if;
      return;
    elsif v_known is not null then
      -- Expired, and not cleared yet. Gone now, so that to remember this write is a plain insert.
      delete from robot_brain.idempotency_keys k where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    end if;
  elsif p_first_id is not null then
    -- A repeat waits here until an attempt that still runs has ended. The session's row could not hold it back: if the
    -- session is new, nobody sees the row before it is committed.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant_id || ':' || p_first_id::text, 0));
    if p_repeated then
      body := robot_brain.answer_of(p_tenant_id, p_session_id, p_first_id, v_turns);
      replayed := body is not null;
      if replayed then
        select robot_brain.etag(s.message_count, s.version) into etag
        from robot_brain.sessions s
        where s.tenant_id = p_tenant_id and s.id = p_session_id
          and s.message_count = (body::json ->> 'last_seq')::integer;
        return;
      end if;
    end if;
  end if;
  replayed := false;
  v_now := clock_timestamp();

  -- What the session's row adds up. Of a single turn, which is the usual write, that takes no query.
  if v_turns = 1 then
    v_response_length := length(p_messages #>> '{0,robot_response}');
    v_answer_bytes := 2 * octet_length((p_messages #> '{0,metadata}')::text) + 400
      + 7 * (octet_length(p_messages #>> '{0,robot_personality}') + octet_length(p_messages #>> '{0,user_message}')
        + octet_length(p_messages #>> '{0,robot_response}'));
  else
    select
      sum(length(m ->> 'robot_response')),
      sum(
        2 * octet_length((m -> 'metadata')::text) + 400
        + 7 * (octet_length(m ->> 'robot_personality') + octet_length(m ->> 'user_message')
          + octet_length(m ->> 'robot_response'))
      )
    into v_response_length, v_answer_bytes
    from jsonb_array_elements(p_messages) m;
  end if;

  -- The lock and the counter. On conflict the clock is read after the row is locked, so it cannot run against seq.
  insert into robot_brain.sessions as s (
    tenant_id, id, user_metadata, created_at, last_active, previous_active, repeated,
    message_count, response_length, answer_bytes
  )
  values (
    p_tenant_id, p_session_id, coalesce(p_user_metadata, '{}'), v_now, v_now, null,
    case when p_repeated then array[p_first_id] end, v_turns, v_response_length, v_answer_bytes
  )
  on conflict (tenant_id, id) do update set
    user_metadata = case when p_user_metadata is null then s.user_metadata else s.user_metadata || p_user_metadata end,
    version = s.version + (p_user_metadata is not null)::integer,
    last_active = greatest(clock_timestamp(), s.last_active),
    previous_active = s.last_active,
    repeated = case when p_repeated then (p_first_id || s.repeated)[1:16] else s.repeated end,
    message_count = s.message_count + excluded.message_count,
    response_length = s.response_length + excluded.response_length,
    answer_bytes = s.answer_bytes + excluded.answer_bytes
  returning
    s.message_count - v_turns,
    s.version,
    s.last_active,
    (s.last_active at time zone interval '0')::date,
    s.previous_active is null,
    s.previous_active is null
      or (s.previous_active at time zone interval '0')::date < (s.last_active at time zone interval '0')::date,
    not p_repeated and p_first_id = any (s.repeated),
    case when p_user_metadata is not null then octet_length(s.user_metadata::text) end
  into v_last_seq, v_version, v_now, v_day, v_is_new, v_opens_day, v_is_late, v_metadata_bytes;

  -- The first attempt can arrive after its retry, for example from a stalled pooler. Its client has gone.
  if v_is_late then
    raise exception using
      errcode = 'RB409',
      message = 'a repeat of this write was faster, and has written it',
      hint = 'Nothing is lost. Take the answer of the repeat.';
  end if;

  if p_if_match is not null then
    v_version_before := v_version - (p_user_metadata is not null)::integer;
    if p_if_match <> v_last_seq::text
      and (v_is_new or p_if_match <> v_last_seq || '.' || to_hex(v_version_before))
    then
      raise exception using
        errcode = 'RB412',
        message = 'the session is not in the state that If-Match names',
        detail = json_build_object(
          'last_seq', v_last_seq,
          'etag', case when not v_is_new then robot_brain.etag(v_last_seq, v_version_before) end
        ),
        hint = 'Read the session again and decide anew.';
    end if;
  end if;

  -- Not a check constraint: every later update would pay for it, and its error quotes the row into the server's log.
  if v_metadata_bytes > 16384 then
    raise exception using
      errcode = 'RB423',
      message = 'the user_metadata of the session would be larger than 16 KiB',
      hint = 'Keep less in it; keys are merged, never removed.';
  end if;

  v_written_at := robot_brain.iso_time(v_now);
  with written as (
    insert into robot_brain.conversations (
      tenant_id, session_id, seq, created_at, id, robot_personality, user_message, robot_response, metadata
    )
    select
      p_tenant_id,
      p_session_id,
      v_last_seq + t.n::integer,
      v_now,
      coalesce(case when t.n = 1 then p_first_id end, gen_random_uuid()),
      t.m ->> 'robot_personality',
      t.m ->> 'user_message',
      t.m ->> 'robot_response',
      t.m -> 'metadata'
    from jsonb_array_elements(p_messages) with ordinality t (m, n)
    returning id, seq
  )
  select
    json_build_object(
      'session_id', p_session_id,
      'message_count', v_last_seq + v_turns,
      'last_seq', v_last_seq + v_turns,
      -- In the order of the turns: an insert takes its rows one by one, and hands them on as it has written them.
      'messages', json_agg(json_build_object('id', w.id, 'seq', w.seq, 'created_at', v_written_at))
    )::text
  into body
  from written w;
  etag := robot_brain.etag(v_last_seq + v_turns, v_version);

  -- What the statistics do not hold yet, a row per personality. A write of one turn is the usual one: its row costs half.
  if v_turns = 1 then
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions
    )
    values (
      p_tenant_id, v_day, p_messages #>> '{0,robot_personality}', 1, v_response_length,
      v_is_new::integer, v_opens_day::integer, v_interactions
    );
  else
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions
    )
    select
      p_tenant_id,
      v_day,
      t.m ->> 'robot_personality',
      count(*),
      sum(length(t.m ->> 'robot_response')),
      -- The write's own figures go with its first turn.
      case when min(t.n) = 1 then v_is_new::integer else 0 end,
      case when min(t.n) = 1 then v_opens_day::integer else 0 end,
      case when min(t.n) = 1 then v_interactions else 0 end
    from jsonb_array_elements(p_messages) with ordinality t (m, n)
    group by 3;
  end if;

  if v_interactions > 0 then
    insert into robot_brain.robot_interactions (
      tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, created_at
    )
    select
      p_tenant_id,
      p_session_id,
      v_last_seq + t.n::integer,
      t.m #>> '{interaction,robot_id}',
      t.m #>> '{interaction,interaction_type}',
      (t.m #>> '{interaction,duration_ms}')::integer,
      (t.m #>> '{interaction,success}')::boolean,
      v_now
    from jsonb_array_elements(p_messages) with ordinality t (m, n)
    where t.m ? 'interaction';
  end if;

  if p_key is not null then
    insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, expires_at)
    values (p_tenant_id, v_key_hash, v_fingerprint, body, v_now + interval '24 hours');
    -- One write with a key in 128, by chance, clears expired keys for all of them.
    if get_byte(v_key_hash, 0) < 2 then
      perform robot_brain.clear_keys(500, false);
    end if;
  end if;
end
$$;

-- A page of a session's turns, oldest first, as the answer's body.
--   p_limit           1 to 200 turns
--   p_before, p_after exclusive seqs; before: the newest below it; after: the oldest above it; neither: the newest
--   p_max_chars       with the newest: as many whole turns as fit, the newest always
--   p_known_etags     what the client holds ('"7.1f"', or '*'); body is null if its copy is still right
-- etag is null if the session is unknown. A page may hold fewer turns than asked, so that the answer stays under the
-- 6 MB that Lambda passes on; its cursors continue where it ends.
create function robot_brain_api.read_session(
  p_tenant_id text,
  p_session_id text,
  p_limit integer default 50,
  p_before bigint default null,
  p_after bigint default null,
  p_max_chars bigint default null,
  p_known_etags text[] default '{}',
  p_schema_version integer default null,
  out body text,
  out etag text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  -- Below 6,291,556 bytes by more than the session's own metadata and the envelope can take.
  c_answer_bytes constant integer := 5500000;
  v_limit constant integer := least(greatest(p_limit, 1), 200);
  v_session robot_brain.sessions;
  v_first bigint;
  v_last bigint;
  v_turn record;
  v_bytes bigint := 0;
  v_chars bigint := 0;
  v_fitting integer := 0;
  v_messages json;
  v_set text;
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  -- A kept plan may be one of a small table (see write_message).
  v_set := set_config('enable_seqscan', 'off', true);
  select s.* into v_session from robot_brain.sessions s where s.tenant_id = p_tenant_id and s.id = p_session_id;
  if not found then
    return;
  end if;

  etag := robot_brain.etag(v_session.message_count, v_session.version);
  if etag = any (p_known_etags) or '*' = any (p_known_etags) then
    return;
  end if;

  -- A plan made for these bounds opens the months the session lived in and no other. A generic one opens and locks all of
  -- them; PL/pgSQL would make one at its sixth call, which then takes as long as fifteen others.
  v_set := set_config('plan_cache_mode', 'force_custom_plan', true);

  -- seq has no gaps, so a page is a range of it. Turns written since the session's row was read are for the next request.
  if p_after is null then
    v_last := least(p_before - 1, v_session.message_count);
    v_first := greatest(v_last - v_limit + 1, 1);
  else
    v_first := p_after + 1;
    v_last := least(p_after + v_limit, v_session.message_count);
  end if;

  -- Few sessions are so long that the answer has to be measured before it is made.
  if v_session.answer_bytes > c_answer_bytes or p_max_chars is not null then
    -- One plan and one scan, left as soon as the answer is full. Rows are put in order before they are measured (offset 0),
    -- so that only the turns looked at are taken out of their storage.
    for v_turn in
      select
        length(c.user_message) + length(c.robot_response) as chars,
        octet_length(to_json(json_build_object(
          'robot_personality', c.robot_personality, 'user_message', c.user_message,
          'robot_response', c.robot_response, 'metadata', c.metadata
        )::text)::text) + 400 as bytes
      from (
        select m.*
        from robot_brain.conversations m
        where m.tenant_id = p_tenant_id
          and m.session_id = p_session_id
          and m.created_at between v_session.created_at and v_session.last_active
          and m.seq between v_first and v_last
        order by case when p_after is null then -m.seq else m.seq end
        offset 0
      ) c
    loop
      v_bytes := v_bytes + v_turn.bytes;
      v_chars := v_chars + v_turn.chars;
      exit when v_fitting > 0 and (v_bytes > c_answer_bytes or v_chars > p_max_chars);
      v_fitting := v_fitting + 1;
    end loop;
    if p_after is null then
      v_first := v_last - v_fitting + 1;
    else
      v_last := v_first + v_fitting - 1;
    end if;
  end if;

  select json_agg(json_build_object(
    'id', c.id, 'seq', c.seq, 'robot_personality', c.robot_personality, 'user_message', c.user_message,
    'robot_response', c.robot_response, 'metadata', c.metadata, 'created_at', robot_brain.iso_time(c.created_at)
  ) order by c.seq)
  into v_messages
  from robot_brain.conversations c
  where c.tenant_id = p_tenant_id
    and c.session_id = p_session_id
    and c.created_at between v_session.created_at and v_session.last_active
    and c.seq between v_first and v_last;

  body := json_build_object(
    'session', json_build_object(
      'id', v_session.id,
      'created_at', robot_brain.iso_time(v_session.created_at),
      'last_active', robot_brain.iso_time(v_session.last_active),
      'message_count', v_session.message_count,
      'last_seq', v_session.message_count,
      'user_metadata', v_session.user_metadata
    ),
    'messages', coalesce(v_messages, '[]'),
    'page', json_build_object(
      'before', case when v_messages is not null and v_first > 1 then v_first end,
      'after', case when v_messages is not null then v_last else p_after end
    )
  );
end
$$;

-- The tenant's figures, or with p_session_id one session's, live. body is null if that session is unknown. Sums and what
-- they do not hold yet are read in one statement, so the figures are exact for all that is committed; as_of says how old
-- top_sessions is.
--   p_max_age   seconds that top_sessions may be old, 0 for any age
--   stale       a refresh is due: top_sessions is older and something was written since, or too much is not counted yet
create function robot_brain_api.stats(
  p_tenant_id text,
  p_session_id text default null,
  p_max_age integer default 0,
  p_schema_version integer default null,
  out body text,
  out stale boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_today constant date := (v_now at time zone interval '0')::date;
  v_is_filled boolean;
  v_refreshed_at timestamptz;
  v_view_due boolean;
  v_uncounted bigint;
  v_off text;
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  stale := false;

  if p_session_id is not null then
    v_off := set_config('enable_seqscan', 'off', true);
    select json_build_object(
      'session_id', s.id,
      'message_count', s.message_count,
      'last_message', robot_brain.iso_time(s.last_active),
      'avg_response_length', round(s.response_length::numeric / nullif(s.message_count, 0), 2)
    )
    into body
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id;
    return;
  end if;

  -- The state may be lost, as by a restore of some tables; the next refresh makes it again.
  select v.relispopulated, coalesce(r.refreshed_at, 'epoch'), coalesce(r.view_due, true)
  into v_is_filled, v_refreshed_at, v_view_due
  from pg_class v
  left join robot_brain.refresh_state r on r.tenant_id = '*'
  where v.oid = 'robot_brain.session_stats'::regclass;
  -- A restore may leave the view without data, and reading it then fails. The schedule may leave the database asleep, so
  -- the first reader fills it.
  if not v_is_filled then
    perform robot_brain.refresh_view(true);
  end if;

  with uncounted as materialized (
    select
      u.day,
      u.robot_personality,
      sum(u.messages) as messages,
      sum(u.response_length) as response_length,
      sum(u.sessions) as sessions,
      sum(u.opened) as opened,
      sum(u.interactions) as interactions,
      count(*) as rows
    from robot_brain.uncounted u
    where u.tenant_id = p_tenant_id
    group by 1, 2
  )
  select
    (select coalesce(sum(u.rows), 0) from uncounted u),
    json_build_object(
      -- The clock may have been ahead when the view was made.
      'as_of', robot_brain.iso_time(least(v_refreshed_at, v_now)),
      'age_seconds', greatest(0, floor(extract(epoch from v_now - v_refreshed_at)))::bigint,
      'totals', (
        select json_build_object(
          'sessions', coalesce(sum(t.sessions), 0),
          'messages', coalesce(sum(t.messages), 0),
          'interactions', coalesce(sum(t.interactions), 0)
        )
        from (
          select c.sessions, c.messages, c.interactions from robot_brain.tenant_stats c where c.tenant_id = p_tenant_id
          union all
          select u.sessions, u.messages, u.interactions from uncounted u
        ) t
      ),
      'personalities', (
        -- Bounded, as every answer is: a tenant may invent a personality per turn.
        select coalesce(json_agg(json_build_object(
          'robot_personality', p.robot_personality,
          'messages', p.messages,
          'avg_response_length', round(p.response_length / nullif(p.messages, 0), 2)
        ) order by p.messages desc, p.robot_personality collate "C"), '[]')
        from (
          select b.robot_personality, sum(b.messages) as messages, sum(b.response_length) as response_length
          from (
            select c.robot_personality, c.messages, c.response_length
            from robot_brain.personality_stats c
            where c.tenant_id = p_tenant_id
            union all
            select u.robot_personality, u.messages, u.response_length from uncounted u
          ) b
          group by b.robot_personality
          having sum(b.messages) > 0
          order by messages desc, b.robot_personality collate "C"
          limit 1000
        ) p
      ),
      'daily', (
        select json_agg(json_build_object(
          'date', v_today - ago,
          'sessions', coalesce(d.sessions, 0),
          'messages', coalesce(d.messages, 0)
        ) order by ago desc)
        from generate_series(0, 30) ago
        left join (
          select b.day, sum(b.sessions) as sessions, sum(b.messages) as messages
          from (
            select c.day, c.sessions, c.messages
            from robot_brain.daily_stats c
            where c.tenant_id = p_tenant_id and c.day >= v_today - 30
            union all
            select u.day, u.opened, u.messages from uncounted u
          ) b
          group by b.day
        ) d on d.day = v_today - ago
      ),
      'top_sessions', (
        select coalesce(json_agg(json_build_object(
          'session_id', t.session_id,
          'message_count', t.message_count,
          'last_message', robot_brain.iso_time(t.last_message)
        ) order by t.message_count desc, t.last_message desc, t.session_id collate "C"), '[]')
        from (
          select t.*
          from robot_brain.session_stats t
          where t.tenant_id = p_tenant_id
            -- The view is refreshed if something was written; its window of days moves on all the same.
            and t.last_message >= (v_today - 30)::timestamp at time zone interval '0'
          order by t.message_count desc, t.last_message desc, t.session_id collate "C"
          limit 10
        ) t
      )
    )
  into v_uncounted, body;

  stale := v_uncounted > robot_brain.most_uncounted()
    or (p_max_age > 0 and (v_uncounted > 0 or v_view_due)
      and (v_refreshed_at <= v_now - make_interval(secs => p_max_age) or v_refreshed_at > v_now));
end
$$;

-- What an operator wants to know of the server, as JSON text. The caller adds what only a client can see.
--   p_max_age   seconds that statistics may be old. stats_due says that they are older, and that a refresh would change
--               them, or that they cannot be made at all. 0 leaves them to the schedule: two days without it are a fault.
create function robot_brain_api.health(
  p_max_age integer default 0,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := (
    select json_build_object(
      'server_version', current_setting('server_version'),
      'schema_version', robot_brain.schema_version(),
      'read_only', pg_is_in_recovery() or current_setting('transaction_read_only')::boolean,
      'backend_pid', pg_backend_pid(),
      'stats_as_of', robot_brain.iso_time(least(r.refreshed_at, clock_timestamp())),
      'stats_age_seconds', greatest(0, floor(extract(epoch from clock_timestamp() - r.refreshed_at)))::bigint,
      'stats_due',
        robot_brain.view_is_empty() or robot_brain.refresh_due(case when p_max_age > 0 then p_max_age else 172800 end)
    )
    from (values ('*')) everybody (tenant_id)
    left join robot_brain.refresh_state r using (tenant_id)
  );
end
$$;

-- The steps of a refresh (0004_statistics.sql), of the schedule and of a reader who found old figures. Owned by
-- robot_brain_owner like the others, so that the schema has one owner.

-- Count what is not counted yet. body is null if p_if_older is given and nothing was to do, or another is at it.
create function robot_brain_api.refresh_stats(
  p_if_older integer default null,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := robot_brain.count_uncounted(p_if_older);
end
$$;

-- Make top_sessions show what was counted. body is null if p_wait is false and another is at it.
create function robot_brain_api.refresh_view(
  p_wait boolean default true,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := robot_brain.refresh_view(p_wait);
end
$$;

-- Make one missing month. To be repeated until its "made" is null.
create function robot_brain_api.make_month(p_schema_version integer default null, out body text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := robot_brain.make_next_month(3);
end
$$;

-- Delete expired idempotency keys, up to 20,000.
create function robot_brain_api.clear_keys(p_schema_version integer default null, out body text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := json_build_object('keys_cleared', robot_brain.clear_keys(20000, true));
end
$$;

grant execute on all functions in schema robot_brain_api to robot_brain_app;

reset role;
