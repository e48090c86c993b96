-- Change a session's user_metadata and user_id, or create a session without a turn, and return the answer's body.
--   p_user_metadata     merge patch (RFC 7396) of user_metadata, or null
--   p_user_id           with p_sets_user_id: the new user_id; null clears it
--   p_if_match          as for write_message; '0' also matches an unknown session
--   p_as_user           the end user of the request, or null for a caller that sees all
--   p_actor, p_request_id   for the audit trail (append_audit)
-- A patch that changes nothing leaves the entity tag.
-- Raises RB404, RB412, RB419, RB423, RB429, RB503 (sql/README.md), and 22001 or 22023 for wrong values.
-- Locks: the lock of the new user (shared), then the session's row.
set local role robot_brain_owner;

drop function if exists robot_brain_api.patch_session;

create or replace function robot_brain_api.patch_session(
  p_tenant_id text,
  p_session_id text,
  p_user_metadata jsonb default null,
  p_user_id text default null,
  p_sets_user_id boolean default false,
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
as $$
declare
  v_session robot_brain.sessions;
  v_is_new boolean;
  v_metadata jsonb;
  v_user_id text;
  v_owner text;
begin
  perform robot_brain.refuse_request(p_tenant_id, p_session_id, 1, p_user_metadata, p_as_user, p_schema_version);
  if length(p_user_id) not between 1 and 255 then
    raise string_data_right_truncation using message = 'a user id has 1 to 255 characters';
  end if;
  if p_sets_user_id and p_as_user is not null then
    raise invalid_parameter_value using message = 'an end user cannot set user_id';
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  -- Before the session's row, because an erasure of the user may wait for that.
  if p_sets_user_id and p_user_id is not null then
    perform robot_brain.refuse_erasing_user(p_tenant_id, p_user_id);
  end if;

  -- Another call may create the session, or erase it, between these statements. Then look again.
  loop
    select s.* into v_session
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id
    for update;
    v_is_new := not found;
    exit when not v_is_new;
    if p_if_match is not null then
      perform robot_brain.refuse_state(p_if_match, 0, null);
    end if;
    insert into robot_brain.sessions (
      tenant_id, id, user_id, created_at, last_active, active_hour, message_count, response_length, answer_bytes
    )
    select p_tenant_id, p_session_id, p_as_user, c.now, c.now, date_bin('1 hour', c.now, to_timestamp(0)), 0, 0, 0
    from (select clock_timestamp()) c (now)
    on conflict (tenant_id, id) do nothing
    returning * into v_session;
    exit when found;
  end loop;

  if v_is_new then
    if p_as_user is not null then
      perform robot_brain.refuse_erasing_user(p_tenant_id, p_as_user);
    end if;
    -- It counts as a session, and on no day before its first turn.
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions
    )
    values (p_tenant_id, null, '', 0, 0, 1, 0, 0);
    perform robot_brain.after_erasure(p_tenant_id, p_session_id, null, false, true);
  elsif not robot_brain.is_visible(v_session.user_id, p_as_user) then
    perform robot_brain.refuse_foreign();
  elsif v_session.erasing_at is not null then
    perform robot_brain.refuse_erasing();
  elsif p_if_match is not null then
    perform robot_brain.refuse_state(p_if_match, v_session.message_count + v_session.removed, v_session.version);
  end if;

  v_metadata := v_session.user_metadata;
  if p_user_metadata is not null then
    v_metadata := robot_brain.merge_patch(v_metadata, p_user_metadata);
    if octet_length(v_metadata::text) > 16384 then
      perform robot_brain.refuse_metadata();
    end if;
  end if;
  v_owner := v_session.user_id;
  v_user_id := case when p_sets_user_id then p_user_id else v_session.user_id end;
  if v_metadata <> v_session.user_metadata or v_user_id is distinct from v_session.user_id then
    update robot_brain.sessions s
    set user_metadata = v_metadata, user_id = v_user_id, version = s.version + (not v_is_new)::integer
    where s.tenant_id = p_tenant_id and s.id = p_session_id
    returning s.* into v_session;
  end if;
  if v_user_id is distinct from v_owner or (v_is_new and v_user_id is not null) then
    perform robot_brain.append_audit(
      p_tenant_id, 'sessions', p_session_id, case when v_is_new then 'INSERT' else 'UPDATE' end,
      case when not v_is_new then jsonb_build_object('user_id', v_owner) end,
      jsonb_build_object('user_id', v_user_id),
      p_actor, p_request_id
    );
  end if;
  etag := robot_brain.etag(v_session.message_count + v_session.removed, v_session.version);
  body := json_build_object('session', robot_brain.session_json(v_session));
end
$$;

grant execute on function robot_brain_api.patch_session to robot_brain_app;
