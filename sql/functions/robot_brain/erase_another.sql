-- Take one step of an erasure of the tenant that is not finished, if there is one. Skips what another call works on, so
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
  where s.tenant_id = p_tenant_id
    and s.erasing_at is not null
    and s.id = (
      select e.session_id
      from robot_brain.erasures e
      where e.session_id is not null and e.tenant_id = p_tenant_id
      order by e.begun_at
      limit 1
    )
  for update skip locked;
  if found then
    perform robot_brain.erase_step(v_session);
  end if;
end
$$;
