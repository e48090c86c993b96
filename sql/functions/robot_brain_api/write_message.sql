-- Append turns to a session, all or nothing, and return the answer's body.
--   p_messages        1 to 100 turns: {robot_personality, user_message, robot_response, metadata, interaction?}
--   p_user_metadata   object merged at the top level into the session's, or null
--   p_if_match        the state that the session must have, or null: '7' is its last seq, '7.1f' its whole entity tag
--   p_key             the client's idempotency key, or null
--   p_first_id        if there is no key: an id for the first turn, made for this write alone, or null
--   p_repeated        this is a retry: an earlier attempt with p_first_id may have been written, or may be yet
--   replayed          the body is that of an earlier request or attempt; nothing was written now
--   etag              of the session with these turns as its last; null if others came after them, or replayed by key
-- We look for a client's key at each write, because a client may send a request again a day later. Without a key we detect
-- duplicates only on a retry: we then search this session's recent turns for p_first_id. A first attempt stores and reads
-- nothing extra. No key of a client reaches a turn: p_key is compared with keys alone, p_first_id with turns alone.
-- Raises RB409, RB412, RB422, RB423 and RB503 (sql/README.md); 22001, or 23514 with the constraint's name, if something is
-- larger than allowed; 22023 for more turns than allowed, and for what has no meaning.
-- Locks: the key or first id, then the session's row. Nothing waits for a lock in another order.
-- The steps set no search_path of their own: they keep this function's, and each setting costs every write.
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
  v_turns constant integer := jsonb_array_length(p_messages);
  v_key_hash bytea;
  v_fingerprint bytea;
  v_known bytea;
  v_set text;  -- what set_config returns: an assignment costs less than perform
  v_session record;
begin
  -- One condition, because each costs every write.
  if p_schema_version > robot_brain.schema_version() or v_turns is null or v_turns not between 1 and 100
    or length(p_session_id) > 100 or p_tenant_id = '*' or jsonb_typeof(p_user_metadata) <> 'object'
  then
    perform robot_brain.refuse_request(p_tenant_id, p_session_id, v_turns, p_user_metadata, p_schema_version);
  end if;
  v_set := set_config('robot_brain.tenant_id', p_tenant_id, true);

  -- Replay: the answer of a write that was done before.
  if p_key is not null then
    v_key_hash := sha256(convert_to(p_key, 'UTF8'));
    -- A second request with the same key waits here until the first has ended, then sees what it left.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant_id || ':' || p_key, 0));
    -- PL/pgSQL keeps a plan that was made while the table was small, and autovacuum, whose statistics would end that plan,
    -- may not run before the server sleeps again.
    v_set := set_config('enable_seqscan', 'off', true);
    v_fingerprint := sha256(convert_to(jsonb_build_array(p_session_id, p_messages, p_user_metadata)::text, 'UTF8'));
    select k.fingerprint, k.response, k.expires_at > clock_timestamp() into v_known, body, replayed
    from robot_brain.idempotency_keys k
    where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    if replayed then
      if v_known <> v_fingerprint then
        perform robot_brain.refuse_key(body::json);
      end if;
      return;
    elsif v_known is not null then
      -- Expired, and not cleared yet. Gone now, so that to remember this write is a plain insert.
      delete from robot_brain.idempotency_keys k where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    end if;
  elsif p_first_id is not null then
    -- A retry waits here until an attempt that still runs has ended. The session's row could not hold it back: if the
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

  -- Lock the session and count, then refuse what does not fit its state.
  v_session := robot_brain.lock_session(
    p_tenant_id, p_session_id, p_messages, v_turns, p_user_metadata, p_first_id, p_repeated
  );
  if v_session.is_late or p_if_match is not null or v_session.metadata_bytes > 16384 then
    perform robot_brain.refuse_write(
      v_session.is_late, p_if_match, v_session.last_seq,
      case when not v_session.is_new then v_session.version - (p_user_metadata is not null)::integer end,
      v_session.metadata_bytes
    );
  end if;

  -- Insert the turns, and what belongs to them.
  body := robot_brain.insert_turns(
    p_tenant_id, p_session_id, p_messages, v_turns, p_first_id, v_session.last_seq, v_session.written_at,
    v_session.response_length, v_session.is_new::integer, v_session.opens_day::integer
  );
  etag := robot_brain.etag(v_session.last_seq + v_turns, v_session.version);

  -- Remember the answer.
  if p_key is not null then
    insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, expires_at)
    values (p_tenant_id, v_key_hash, v_fingerprint, body, v_session.written_at + interval '24 hours');
    -- One write with a key in 128, by chance, clears expired keys for all of them.
    if get_byte(v_key_hash, 0) < 2 then
      perform robot_brain.clear_keys(500, false);
    end if;
  end if;
end
$$;

grant execute on function robot_brain_api.write_message to robot_brain_app;
