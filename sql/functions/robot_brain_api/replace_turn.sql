-- Replace the texts, items and metadata of one turn, and return the answer's body. A turn that already has them stays as
-- it is, with the entity tag of its session.
--   p_turn       {user_message, robot_response, metadata, items?, interaction?}; absent items become absent
--   p_if_match   as for write_message
--   p_as_user    the end user of the request, or null for a caller that sees all
--   body         null if the session has no such turn
--   etag         the session's entity tag; null if the session is unknown
--   p_actor, p_request_id   for the audit trail (append_audit)
-- An absent interaction is kept, and a turn that lacks one gets it.
-- Raises RB412, RB424, RB427 if the turn has another interaction, and RB503 (sql/README.md). Raises 22001 and 23514 as
-- write_message does.
-- Locks: the session's row.
set local role robot_brain_owner;

drop function if exists robot_brain_api.replace_turn;

create or replace function robot_brain_api.replace_turn(
  p_tenant_id text,
  p_session_id text,
  p_seq integer,
  p_turn jsonb,
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
  v_session robot_brain.sessions;
  v_old robot_brain.conversations;
  v_new robot_brain.conversations;
  v_adds_interaction boolean := false;
  v_length integer;
  v_unanswered integer;
  v_bytes integer;
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
  etag := robot_brain.etag(v_session.message_count + v_session.removed, v_session.version);

  select c.* into v_old
  from robot_brain.conversations c
  where c.tenant_id = p_tenant_id
    and c.session_id = p_session_id
    and c.created_at between v_session.created_at and v_session.last_active
    and c.seq = p_seq;
  if not found then
    return;
  end if;
  if p_if_match is not null then
    perform robot_brain.refuse_state(p_if_match, v_session.message_count + v_session.removed, v_session.version);
  end if;
  perform robot_brain.refuse_items(p_turn -> 'items', null);

  if p_turn ? 'interaction' then
    v_adds_interaction := robot_brain.add_interaction(v_old, p_turn -> 'interaction');
  end if;
  v_new := v_old;
  v_new.user_message := p_turn ->> 'user_message';
  v_new.robot_response := p_turn ->> 'robot_response';
  v_new.metadata := p_turn -> 'metadata';
  v_new.items := p_turn -> 'items';

  if v_adds_interaction or v_new is distinct from v_old then
    v_new.updated_at := greatest(clock_timestamp(), v_old.created_at);
    update robot_brain.conversations c
    set
      user_message = v_new.user_message,
      robot_response = v_new.robot_response,
      metadata = v_new.metadata,
      items = v_new.items,
      updated_at = v_new.updated_at
    where c.tenant_id = p_tenant_id
      and c.session_id = p_session_id
      and c.created_at = v_old.created_at
      and c.seq = p_seq;
    if (v_new.user_message, v_new.robot_response, v_new.metadata)
      is distinct from (v_old.user_message, v_old.robot_response, v_old.metadata)
    then
      perform robot_brain.forget_words(p_tenant_id, p_session_id, array[p_seq], array[v_old.created_at], true);
    end if;

    -- Change the counts by the difference.
    v_length := length(v_new.robot_response) - length(v_old.robot_response);
    v_unanswered := (v_new.robot_response = '')::integer - (v_old.robot_response = '')::integer;
    v_bytes := robot_brain.turn_bytes('', v_new.user_message, v_new.robot_response, v_new.metadata, v_new.items)
      - robot_brain.turn_bytes('', v_old.user_message, v_old.robot_response, v_old.metadata, v_old.items);
    update robot_brain.sessions s
    set
      version = s.version + 1,
      response_length = s.response_length + v_length,
      unanswered = s.unanswered + v_unanswered,
      answer_bytes = s.answer_bytes + v_bytes
    where s.tenant_id = p_tenant_id and s.id = p_session_id
    returning robot_brain.etag(s.message_count + s.removed, s.version) into etag;
    if v_adds_interaction or v_length <> 0 or v_unanswered <> 0 then
      insert into robot_brain.uncounted (
        tenant_id, day, robot_personality, messages, response_length, unanswered, sessions, opened, interactions
      )
      values (
        p_tenant_id, null, v_old.robot_personality, 0, v_length, v_unanswered, 0, 0, v_adds_interaction::integer
      );
    end if;
    perform robot_brain.audit_edit(v_old, v_new, v_adds_interaction, p_actor, p_request_id);
  end if;

  body := json_build_object(
    'session_id', p_session_id, 'seq', p_seq, 'updated_at', robot_brain.iso_time(v_new.updated_at)
  );
end
$$;

grant execute on function robot_brain_api.replace_turn to robot_brain_app;
