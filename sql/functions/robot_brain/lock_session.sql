-- Step of write_message. Locks the session's row, or creates it for a new session, and adds this write to its counts.
--   last_seq          the session's last seq before this write
--   version           the version in the entity tag, with this write
--   written_at        the time of the turns, never before the session's latest turn
--   is_new            the session did not exist
--   opens_day         this is the session's first write on this day (UTC)
--   is_late           a retry of this write was faster and has written it
--   metadata_bytes    the size of the merged user_metadata; null if the write does not change it
--   response_length   the code points of robot_response in all turns
set local role robot_brain_owner;

create or replace function robot_brain.lock_session(
  p_tenant_id text,
  p_session_id text,
  p_messages jsonb,
  p_turns integer,
  p_user_metadata jsonb,
  p_first_id uuid,
  p_repeated boolean,
  out last_seq integer,
  out version bigint,
  out written_at timestamptz,
  out is_new boolean,
  out opens_day boolean,
  out is_late boolean,
  out metadata_bytes integer,
  out response_length bigint
)
language plpgsql
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_length bigint;
  v_answer_bytes bigint;
begin
  -- The sums for the session's row. Most writes have one turn, which needs no query. The 400 bytes are for the names
  -- and the small fields of a turn. A byte of text takes up to 7 bytes after PostgreSQL and Lambda have escaped it.
  if p_turns = 1 then
    v_length := length(p_messages #>> '{0,robot_response}');
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
    into v_length, v_answer_bytes
    from jsonb_array_elements(p_messages) m;
  end if;

  -- On conflict the clock is read after the row is locked, so the times of the turns never decrease while seq grows.
  insert into robot_brain.sessions as s (
    tenant_id, id, user_metadata, created_at, last_active, previous_active, repeated,
    message_count, response_length, answer_bytes
  )
  values (
    p_tenant_id, p_session_id, coalesce(p_user_metadata, '{}'), v_now, v_now, null,
    case when p_repeated then array[p_first_id] end, p_turns, v_length, v_answer_bytes
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
    s.message_count - p_turns,
    s.version,
    s.last_active,
    s.previous_active is null,
    s.previous_active is null
      or (s.previous_active at time zone interval '0')::date < (s.last_active at time zone interval '0')::date,
    not p_repeated and p_first_id = any (s.repeated),
    case when p_user_metadata is not null then octet_length(s.user_metadata::text) end,
    v_length
  into last_seq, version, written_at, is_new, opens_day, is_late, metadata_bytes, response_length;
end
$$;
