-- Remove the turns of a session above the seq p_after (0: all), and return the answer's body. The session and its
-- counter stay, so no other turn ever gets its seq.
--   p_if_match   as for write_message
--   p_as_user    the end user of the request, or null for a caller that sees all
--   p_actor, p_request_id   for the audit trail (append_audit)
--   etag         the session's entity tag; null if the session is unknown
-- Raises RB412, RB426 if there are more than 100,000 turns to remove, and RB503 (sql/README.md).
-- Locks: the session's row. Then it goes on with one unfinished erasure of the tenant that no other call works on.
set local role robot_brain_owner;

drop function if exists robot_brain_api.remove_turns;

create or replace function robot_brain_api.remove_turns(
  p_tenant_id text,
  p_session_id text,
  p_after integer,
  p_if_match text default null,
  p_as_user text default null,
  p_actor text default null,
  p_request_id text default null,
  p_schema_version integer default null,
  out body text,
  out etag text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- A generic plan would open and lock all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  c_most constant integer := 100000;
  v_session robot_brain.sessions;
  v_last_seq integer;
  v_beyond integer;
  v_gone record;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  select s.* into v_session
  from robot_brain.sessions s
  where s.tenant_id = p_tenant_id and s.id = p_session_id and robot_brain.is_visible(s.user_id, p_as_user)
  for update;
  if not found or v_session.erasing_at is not null then
    return;
  end if;
  v_last_seq := v_session.message_count + v_session.removed;
  if p_if_match is not null then
    perform robot_brain.refuse_state(p_if_match, v_last_seq, v_session.version);
  end if;

  if v_session.message_count > c_most then
    -- The newest turn that would have to stay: the first one after the c_most newest.
    select c.seq into v_beyond
    from robot_brain.conversations c
    where c.tenant_id = p_tenant_id
      and c.session_id = p_session_id
      and c.created_at between v_session.created_at and v_session.last_active
    order by c.seq desc
    offset c_most
    limit 1;
    if v_beyond > p_after then
      raise exception using
        errcode = 'RB426',
        message = 'more than 100,000 turns would be removed at once',
        detail = json_build_object('after', v_beyond),
        hint = 'Begin with a larger seq.';
    end if;
  end if;

  v_gone := robot_brain.remove_rows(v_session, p_after + 1, v_last_seq);
  if v_gone.removed > 0 then
    update robot_brain.sessions s
    set
      message_count = s.message_count - v_gone.removed,
      removed = s.removed + v_gone.removed,
      first_seq = case when s.message_count = v_gone.removed then v_last_seq + 1 else s.first_seq end,
      response_length = s.response_length - v_gone.response_length,
      unanswered = s.unanswered - v_gone.unanswered,
      answer_bytes = case when s.message_count = v_gone.removed then 0 else s.answer_bytes - v_gone.answer_bytes end,
      version = s.version + 1,
      removed_at = clock_timestamp()
    where s.tenant_id = p_tenant_id and s.id = p_session_id
    returning s.message_count, s.version into v_session.message_count, v_session.version;
    perform robot_brain.append_audit(
      p_tenant_id, 'conversations', p_session_id, 'DELETE',
      jsonb_build_object('message_count', v_session.message_count + v_gone.removed),
      jsonb_build_object('message_count', v_session.message_count, 'removed', v_gone.removed, 'after', p_after),
      p_actor, p_request_id
    );
  end if;
  perform robot_brain.erase_another(p_tenant_id);

  etag := robot_brain.etag(v_last_seq, v_session.version);
  body := json_build_object(
    'session_id', p_session_id,
    'removed', v_gone.removed,
    'message_count', v_session.message_count,
    'last_seq', v_last_seq
  );
end
$$;

grant execute on function robot_brain_api.remove_turns to robot_brain_app;
