-- Step of stats. Returns the present figures of one session, or null if the session is unknown.
set local role robot_brain_owner;

create or replace function robot_brain.session_figures(p_tenant_id text, p_session_id text)
returns text
language plpgsql
as $$
declare
  v_set text := set_config('enable_seqscan', 'off', true);
  v_figures text;
begin
  select json_build_object(
    'session_id', s.id,
    'message_count', s.message_count,
    'last_message', robot_brain.iso_time(s.last_active),
    'avg_response_length', round(s.response_length::numeric / nullif(s.message_count, 0), 2)
  )
  into v_figures
  from robot_brain.sessions s
  where s.tenant_id = p_tenant_id and s.id = p_session_id;
  return v_figures;
end
$$;
