-- Return a turn as answers show it. Items that are absent and the time of a change that never happened are left out:
-- concat_ws skips null. In PL/pgSQL, because PostgreSQL would inline an SQL function into the plan of each page.
set local role robot_brain_owner;

create or replace function robot_brain.turn_json(p_turn robot_brain.conversations)
returns json
language plpgsql
stable
as $$
begin
  return ('{' || concat_ws(
    ', ',
    '"id" : ' || to_json(p_turn.id)::text,
    '"seq" : ' || p_turn.seq::text,
    '"robot_personality" : ' || to_json(p_turn.robot_personality)::text,
    '"user_message" : ' || to_json(p_turn.user_message)::text,
    '"robot_response" : ' || to_json(p_turn.robot_response)::text,
    '"items" : ' || p_turn.items::text,
    '"metadata" : ' || p_turn.metadata::text,
    '"created_at" : "' || robot_brain.iso_time(p_turn.created_at) || '"',
    '"updated_at" : "' || robot_brain.iso_time(p_turn.updated_at) || '"'
  ) || '}')::json;
end
$$;
