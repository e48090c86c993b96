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
set local role robot_brain_owner;

create or replace function robot_brain_api.write_message(
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

grant execute on function robot_brain_api.write_message to robot_brain_app;
