-- Step of stats. Returns the present figures of one session, or null if the session is unknown. A session
-- that is being erased is unknown.
set local role robot_brain_owner;

drop function if exists robot_brain.session_figures;

create or replace function robot_brain.session_figures(p_tenant_id text, p_session_id text, p_as_user text)
returns text
language plpgsql
as $$
declare
  v_set text := set_config('enable_seqscan', 'off', true);
  v_is_erasing boolean;
  v_figures text;
begin
  -- A condition on erasing_at would let the planner take sessions_listed_idx while the table is small.
  select s.erasing_at is not null, json_build_object(
    'session_id', s.id,
    'message_count', s.message_count,
    'last_message', case when s.message_count > 0 then robot_brain.iso_time(s.last_active) end,
    'avg_response_length', round(s.response_length::numeric / nullif(s.message_count - s.unanswered, 0), 2)
  )
  into v_is_erasing, v_figures
  from robot_brain.sessions s
  where s.tenant_id = p_tenant_id and s.id = p_session_id and robot_brain.is_visible(s.user_id, p_as_user);
  return case when not v_is_erasing then v_figures end;
end
$$;
