-- Step of replace_turn. Gives a turn its interaction if it lacks one, and returns whether it did. Raises RB427 if the
-- turn has another one.
set local role robot_brain_owner;

create or replace function robot_brain.add_interaction(p_turn robot_brain.conversations, p_interaction jsonb)
returns boolean
language plpgsql
as $$
declare
  v_robot_id constant text := coalesce(p_interaction ->> 'robot_id', p_turn.robot_personality);
  v_metadata constant jsonb := coalesce(p_interaction -> 'metadata', '{}');
  v_is_equal boolean;
begin
  select
    i.robot_id = v_robot_id
    and i.interaction_type = p_interaction ->> 'interaction_type'
    and i.duration_ms = (p_interaction ->> 'duration_ms')::integer
    and i.success = (p_interaction ->> 'success')::boolean
    and i.metadata = v_metadata
  into v_is_equal
  from robot_brain.robot_interactions i
  where i.tenant_id = p_turn.tenant_id
    and i.session_id = p_turn.session_id
    and i.created_at = p_turn.created_at
    and i.seq = p_turn.seq;
  if v_is_equal then
    return false;
  elsif not v_is_equal then
    raise exception using
      errcode = 'RB427',
      message = 'the turn has another interaction',
      hint = 'An interaction is added once and never changed. Leave it out to keep it.';
  end if;

  insert into robot_brain.robot_interactions (
    tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, metadata, created_at
  )
  values (
    p_turn.tenant_id, p_turn.session_id, p_turn.seq, v_robot_id, p_interaction ->> 'interaction_type',
    (p_interaction ->> 'duration_ms')::integer, (p_interaction ->> 'success')::boolean, v_metadata, p_turn.created_at
  );
  return true;
end
$$;
