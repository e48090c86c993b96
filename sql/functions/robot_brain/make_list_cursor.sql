-- Step of list_sessions. Returns the cursor of the page after p_session. Clients do not read it.
set local role robot_brain_owner;

create or replace function robot_brain.make_list_cursor(p_session robot_brain.sessions, p_user_id text)
returns text
language plpgsql
stable
as $$
begin
  return encode(convert_to(json_build_array(
    (extract(epoch from p_session.active_hour) * 1000000)::bigint,
    (extract(epoch from p_session.last_active) * 1000000)::bigint,
    p_session.id,
    robot_brain.list_filter(p_user_id)
  )::text, 'UTF8'), 'hex');
end
$$;
