-- Take one step of an erasure of the tenant that nobody repeats, if there is one. Skips what another call works on, so
-- two calls never wait for each other's sessions.
set local role robot_brain_owner;

create or replace function robot_brain.erase_another(p_tenant_id text)
returns void
language plpgsql
as $$
declare
  v_session robot_brain.sessions;
begin
  select s.* into v_session
  from robot_brain.sessions s
  where s.erasing_at is not null and s.tenant_id = p_tenant_id
  limit 1
  for update skip locked;
  if found then
    perform robot_brain.erase_step(v_session);
  end if;
end
$$;
