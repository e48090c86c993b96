-- Return a turn as answers show it. Items that are absent and the time of a change that never happened are left out:
-- concat_ws skips null.
set local role robot_brain_owner;

create or replace function robot_brain.turn_json(p_turn robot_brain.conversations)
returns json
language sql
stable
return ('{' || pg_catalog.concat_ws(
  ', ',
  '"id" : ' || pg_catalog.to_json(p_turn.id)::text,
  '"seq" : ' || p_turn.seq::text,
  '"robot_personality" : ' || pg_catalog.to_json(p_turn.robot_personality)::text,
  '"user_message" : ' || pg_catalog.to_json(p_turn.user_message)::text,
  '"robot_response" : ' || pg_catalog.to_json(p_turn.robot_response)::text,
  '"items" : ' || p_turn.items::text,
  '"metadata" : ' || p_turn.metadata::text,
  '"created_at" : "' || robot_brain.iso_time(p_turn.created_at) || '"',
  '"updated_at" : "' || robot_brain.iso_time(p_turn.updated_at) || '"'
) || '}')::json;
