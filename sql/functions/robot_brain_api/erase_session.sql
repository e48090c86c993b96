-- Erase a session and everything of it, for good. One step: a session of up to 5,000 turns is gone after it. A larger one
-- is marked, and the caller repeats the call until the state is 'erased'. A marked session is unknown to readers.
--   p_if_match   as for write_message; it counts for the first step alone
--   p_continue   only go on with an erasure that has begun. So a session that was made meanwhile under the same id stays.
--   p_as_user    the end user of the request, or null for a caller that sees all
--   p_actor, p_request_id   for the audit trail (append_audit)
--   state        'unknown', 'erasing' (there is more to do) or 'erased'
-- Raises RB412 and RB503 (sql/README.md).
-- Locks: the session's row. Then it goes on with one unfinished erasure of the tenant that no other call works on.
set local role robot_brain_owner;

drop function if exists robot_brain_api.erase_session;

create or replace function robot_brain_api.erase_session(
  p_tenant_id text,
  p_session_id text,
  p_if_match text default null,
  p_continue boolean default false,
  p_as_user text default null,
  p_actor text default null,
  p_request_id text default null,
  p_schema_version integer default null,
  out state text
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
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  select s.* into v_session
  from robot_brain.sessions s
  where s.tenant_id = p_tenant_id and s.id = p_session_id and robot_brain.is_visible(s.user_id, p_as_user)
  for update;
  if not found or (p_continue and v_session.erasing_at is null) then
    state := case when p_continue then 'erased' else 'unknown' end;
    -- A client that repeats an erasure reads "unknown" as done.
    perform robot_brain.await_standby();
    return;
  end if;
  if p_if_match is not null and v_session.erasing_at is null then
    perform robot_brain.refuse_state(
      p_if_match, v_session.message_count + v_session.removed, v_session.version
    );
  end if;

  state := case when robot_brain.erase_step(v_session) then 'erased' else 'erasing' end;
  if v_session.erasing_at is null then
    perform robot_brain.append_audit(
      p_tenant_id, 'sessions', p_session_id, 'ERASE',
      jsonb_build_object('user_id', v_session.user_id, 'message_count', v_session.message_count), null,
      p_actor, p_request_id
    );
  end if;
  if state = 'erased' then
    perform robot_brain.erase_another(p_tenant_id);
  end if;
end
$$;

grant execute on function robot_brain_api.erase_session to robot_brain_app;
