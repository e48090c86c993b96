-- Return a session as answers show it. An absent user_id is left out. PostgreSQL inlines the function.
set local role robot_brain_owner;

create or replace function robot_brain.session_json(p_session robot_brain.sessions)
returns json
language sql
stable
return case
  when p_session.user_id is null then pg_catalog.json_build_object(
    'id', p_session.id,
    'created_at', robot_brain.iso_time(p_session.created_at),
    'last_active', robot_brain.iso_time(p_session.last_active),
    'message_count', p_session.message_count,
    'last_seq', p_session.message_count + p_session.removed,
    'user_metadata', p_session.user_metadata
  )
  else pg_catalog.json_build_object(
    'id', p_session.id,
    'user_id', p_session.user_id,
    'created_at', robot_brain.iso_time(p_session.created_at),
    'last_active', robot_brain.iso_time(p_session.last_active),
    'message_count', p_session.message_count,
    'last_seq', p_session.message_count + p_session.removed,
    'user_metadata', p_session.user_metadata
  )
end;
