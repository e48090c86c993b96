-- Step of replace_turn. Appends the edit of a turn to the audit trail: its seq, and the names of what changed.
set local role robot_brain_owner;

create or replace function robot_brain.audit_edit(
  p_was robot_brain.conversations,
  p_is robot_brain.conversations,
  p_adds_interaction boolean,
  p_actor text,
  p_request_id text
)
returns void
language plpgsql
-- replace_turn makes a plan for each of its statements again, and nothing here depends on the parameters.
set plan_cache_mode = force_generic_plan
as $$
declare
  v_changed constant text[] := array_remove(array[
    case when p_is.user_message <> p_was.user_message then 'user_message' end,
    case when p_is.robot_response <> p_was.robot_response then 'robot_response' end,
    case when p_is.metadata <> p_was.metadata then 'metadata' end,
    case when p_is.items is distinct from p_was.items then 'items' end,
    case when p_adds_interaction then 'interaction' end
  ], null);
  -- Not arguments of the call below: PostgreSQL keeps the plan of an expression, but would inline iso_time in a
  -- statement again and again.
  v_old constant jsonb := jsonb_build_object('seq', p_was.seq, 'updated_at', robot_brain.iso_time(p_was.updated_at));
  v_new constant jsonb := jsonb_build_object(
    'seq', p_is.seq, 'updated_at', robot_brain.iso_time(p_is.updated_at), 'changed', v_changed
  );
begin
  perform robot_brain.append_audit(
    p_is.tenant_id, 'conversations', p_is.session_id, 'UPDATE', v_old, v_new, p_actor, p_request_id
  );
end
$$;
