-- Append turns to a session, all or nothing, and return the answer's body.
--   p_messages        1 to 100 turns: {robot_personality, user_message, robot_response, metadata, items?, interaction?}
--   p_user_metadata   merge patch (RFC 7396) of the session's user_metadata, or null
--   p_if_match        the state that the session must have, or null: '7' is its last seq, '7.1f' its whole entity tag
--   p_key             the client's idempotency key, or null
--   p_first_id        the id of the first turn, made for this write only, or null; with a key it is only stored
--   p_repeated        this is a retry: an earlier attempt with p_first_id may already be written or may still run
--   p_as_user         the end user of the request, or null for a caller that sees all
--   replayed          the body is from an earlier request or attempt; this call wrote nothing
--   etag              the session's entity tag; null if replayed, because the session may have changed since
-- An end user's keys are its own. A line break is in no key, so no user's key looks like another's.
-- We look for a client's key at each write, because a client may send a request again a day later. Without a key we
-- detect duplicates only on a retry: we then search this session's recent turns for p_first_id. A first attempt stores
-- and reads nothing extra. p_key is compared only with keys, and p_first_id only with turns. So no key of a client
-- matches a turn.
-- Raises RB404, RB409, RB410, RB412, RB419, RB422, RB423, RB424, RB429 and RB503 (sql/README.md). Raises 22001, or
-- 23514 with the constraint's name, if something is larger than allowed. Raises 22023 for a wrong number of turns and
-- for values without a meaning.
-- Locks: the key or first id, then the session's row, then the row of an expired key. No function takes these locks in
-- another order.
-- The steps run with this function's search_path. They set none themselves, because each setting costs every write.
set local role robot_brain_owner;

drop function if exists robot_brain_api.write_message;

create or replace function robot_brain_api.write_message(
  p_tenant_id text,
  p_session_id text,
  p_messages jsonb,
  p_user_metadata jsonb default null,
  p_if_match text default null,
  p_key text default null,
  p_first_id uuid default null,
  p_repeated boolean default false,
  p_as_user text default null,
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
  v_key constant text := case when p_as_user is null then p_key else p_as_user || e'\n' || p_key end;
  v_key_hash bytea;
  v_fingerprint bytea;
  v_known bytea;
  v_is_gone boolean;
  v_set text;  -- takes the result of set_config, because an assignment costs less than perform
  v_session record;
  v_was_erased boolean := false;
begin
  -- One condition for all checks, because each condition costs every write.
  if p_schema_version > robot_brain.served_version() or v_turns is null or v_turns not between 1 and 100
    or length(p_session_id) > 100 or p_tenant_id = '*' or jsonb_typeof(p_user_metadata) <> 'object'
    or length(p_as_user) not between 1 and 255 then
    perform robot_brain.refuse_request(p_tenant_id, p_session_id, v_turns, p_user_metadata, p_as_user, p_schema_version);
  end if;
  v_set := set_config('robot_brain.tenant_id', p_tenant_id, true);

  -- Replay: if this write was done before, return its first answer.
  if p_key is not null then
    v_key_hash := sha256(convert_to(v_key, 'UTF8'));
    -- A second request with the same key waits here until the first has ended, and then sees its result.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant_id || ':' || v_key, 0));
    -- PL/pgSQL may have cached a plan from when the table was small. The server may sleep before autovacuum ends it.
    v_set := set_config('enable_seqscan', 'off', true);
    v_fingerprint := sha256(convert_to(jsonb_build_array(p_session_id, p_messages, p_user_metadata)::text, 'UTF8'));
    select
      k.fingerprint, k.response, k.expires_at > clock_timestamp(),
      k.response = '' or exists (
        select from robot_brain.sessions s
        where s.tenant_id = p_tenant_id and s.id = k.session_id and s.erasing_at is not null
      )
    into v_known, body, replayed, v_is_gone
    from robot_brain.idempotency_keys k
    where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    if replayed then
      if v_is_gone or v_known <> v_fingerprint then
        perform robot_brain.refuse_key(v_is_gone, body);
      end if;
      perform robot_brain.await_standby();
      return;
    end if;
  elsif p_first_id is not null then
    -- A retry waits here for an attempt that still runs. It cannot wait for the row of a session that is not committed.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant_id || ':' || p_first_id::text, 0));
    if p_repeated then
      body := robot_brain.answer_of(p_tenant_id, p_session_id, p_first_id, v_turns, p_as_user);
      replayed := body is not null;
      if replayed then
        perform robot_brain.await_standby();
        return;
      end if;
    end if;
  end if;
  replayed := false;

  -- Lock the session's row and add the new turns to its counts. Then refuse the write if it does not fit the state.
  v_session := robot_brain.lock_session(p_tenant_id, p_session_id, p_messages, v_turns, p_user_metadata,
    p_first_id, p_repeated, p_as_user);
  -- An attempt that comes after an erasure must not write again what was erased.
  if v_session.is_new or (p_repeated and p_first_id is not null) then
    v_was_erased := robot_brain.after_erasure(p_tenant_id, p_session_id, p_first_id,
      p_repeated and p_first_id is not null, v_session.is_new);
    if v_session.is_new and p_as_user is not null then
      perform robot_brain.refuse_erasing_user(p_tenant_id, p_as_user);
    end if;
  end if;
  if v_session.last_seq is null or v_was_erased or v_session.is_late or v_session.lost_turns
    or v_session.is_erasing or v_session.has_items or p_if_match is not null or v_session.metadata_bytes > 16384
  then
    perform robot_brain.refuse_write(
      v_session, p_messages, v_was_erased, p_if_match,
      case when not v_session.is_new then v_session.version - (p_user_metadata is not null)::integer end
    );
  end if;

  -- Insert the turns, their interactions and their rows for the statistics.
  body := robot_brain.insert_turns(
    p_tenant_id, p_session_id, p_messages, v_turns, p_first_id, v_session.last_seq, v_session.message_count,
    v_session.written_at, v_session.response_length, v_session.unanswered, v_session.is_new::integer,
    v_session.opens_day::integer
  );
  etag := robot_brain.etag(v_session.last_seq + v_turns, v_session.version);

  -- Remember the answer.
  if p_key is not null then
    if v_known is not null then
      -- The key has expired. Not before the session is locked, because an erasure locks the rows of keys last, too.
      delete from robot_brain.idempotency_keys k where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    end if;
    insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, session_id, expires_at)
    values (p_tenant_id, v_key_hash, v_fingerprint, body, p_session_id, v_session.written_at + interval '24 hours');
    -- On average one in 128 writes with a key, chosen by the hash, clears expired keys. So the other writes need not.
    if get_byte(v_key_hash, 0) < 2 then
      perform robot_brain.clear_keys(500, false);
    end if;
  end if;
end
$$;

grant execute on function robot_brain_api.write_message to robot_brain_app;
