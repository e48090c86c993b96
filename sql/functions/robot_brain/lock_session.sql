-- Step of write_message. Locks the session's row, or creates it for a new session, and adds this write to its counts.
-- If the session is not the end user's, changes nothing and returns nulls.
--   p_as_user         the end user of the request; a new session gets it as its user_id
--   last_seq          the session's last seq before this write
--   message_count     the turns that exist, with this write
--   version           the version in the entity tag, with this write
--   written_at        the time of the turns, never before the session's latest turn
--   is_new            the session did not exist
--   opens_day         this is the session's first write on this day (UTC)
--   is_late           a retry of this write was faster and has written it
--   is_erasing        the session is being erased
--   lost_turns        this is a retry, and turns of the session were removed within the last hour
--   metadata_bytes    the size of the merged user_metadata; null if the write does not change it
--   has_items         a turn of this write has items
--   response_length   the code points of robot_response in all turns
--   unanswered        the turns of this write with an empty robot_response
set local role robot_brain_owner;

drop function if exists robot_brain.lock_session;

create or replace function robot_brain.lock_session(
  p_tenant_id text,
  p_session_id text,
  p_messages jsonb,
  p_turns integer,
  p_user_metadata jsonb,
  p_first_id uuid,
  p_repeated boolean,
  p_as_user text,
  out last_seq integer,
  out message_count integer,
  out version bigint,
  out written_at timestamptz,
  out is_new boolean,
  out opens_day boolean,
  out is_late boolean,
  out is_erasing boolean,
  out lost_turns boolean,
  out metadata_bytes integer,
  out has_items boolean,
  out response_length bigint,
  out unanswered integer
)
language plpgsql
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_length bigint;
  v_unanswered integer;
  v_answer_bytes bigint;
  v_items_bytes integer;
  v_has_items boolean;
begin
  -- The sums for the session's row. Most writes have one turn, which needs no query.
  if p_turns = 1 then
    v_length := length(p_messages #>> '{0,robot_response}');
    v_unanswered := (v_length = 0)::integer;
    v_items_bytes := octet_length((p_messages #> '{0,items}')::text);
    v_has_items := v_items_bytes is not null;
    v_answer_bytes := coalesce(2 * v_items_bytes, 0) + robot_brain.turn_bytes(
      p_messages #>> '{0,robot_personality}', p_messages #>> '{0,user_message}', p_messages #>> '{0,robot_response}',
      p_messages #> '{0,metadata}', null
    );
  else
    select
      sum(length(m ->> 'robot_response')),
      count(*) filter (where m ->> 'robot_response' = ''),
      bool_or(m ? 'items'),
      sum(robot_brain.turn_bytes(
        m ->> 'robot_personality', m ->> 'user_message', m ->> 'robot_response', m -> 'metadata', m -> 'items'
      ))
    into v_length, v_unanswered, v_has_items, v_answer_bytes
    from jsonb_array_elements(p_messages) m;
  end if;

  -- On conflict the clock is read after the row is locked, so the times of the turns never decrease while seq grows.
  insert into robot_brain.sessions as s (
    tenant_id, id, user_id, user_metadata, created_at, last_active, active_hour, previous_active, repeated,
    message_count, response_length, unanswered, answer_bytes
  )
  values (
    p_tenant_id, p_session_id, p_as_user,
    case when p_user_metadata is null then '{}' else robot_brain.merge_patch('{}', p_user_metadata) end,
    v_now, v_now, date_bin('1 hour', v_now, to_timestamp(0)), null,
    case when p_repeated then array[p_first_id] end, p_turns, v_length, v_unanswered, v_answer_bytes
  )
  on conflict (tenant_id, id) do update set
    user_metadata = case
      when p_user_metadata is null then s.user_metadata else robot_brain.merge_patch(s.user_metadata, p_user_metadata)
    end,
    version = s.version + (p_user_metadata is not null)::integer,
    last_active = greatest(clock_timestamp(), s.last_active),
    active_hour = date_bin('1 hour', greatest(clock_timestamp(), s.last_active), to_timestamp(0)),
    previous_active = s.last_active,
    repeated = case when p_repeated then (p_first_id || s.repeated)[1:16] else s.repeated end,
    message_count = s.message_count + excluded.message_count,
    response_length = s.response_length + excluded.response_length,
    unanswered = s.unanswered + excluded.unanswered,
    answer_bytes = s.answer_bytes + excluded.answer_bytes
  where robot_brain.is_visible(s.user_id, p_as_user)
  returning
    s.message_count + s.removed - p_turns,
    s.message_count,
    s.version,
    s.last_active,
    s.previous_active is null,
    -- A session without a turn was made by PATCH, and is on no day yet.
    s.previous_active is null or s.message_count + s.removed = p_turns
      or (s.previous_active at time zone interval '0')::date < (s.last_active at time zone interval '0')::date,
    not p_repeated and p_first_id = any (s.repeated),
    s.erasing_at is not null,
    p_repeated and s.removed_at > v_now - interval '1 hour',
    case when p_user_metadata is not null then octet_length(s.user_metadata::text) end,
    v_has_items,
    v_length,
    v_unanswered
  into
    last_seq, message_count, version, written_at, is_new, opens_day, is_late, is_erasing, lost_turns, metadata_bytes,
    has_items, response_length, unanswered;
end
$$;
