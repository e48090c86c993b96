-- Take one step of an erasure of the tenant that is not finished, if there is one: of a session, or else of a user. Skips
-- what another call works on, so two calls never wait for each other.
set local role robot_brain_owner;

create or replace function robot_brain.erase_another(p_tenant_id text)
returns void
language plpgsql
as $$
declare
  v_session robot_brain.sessions;
  v_user_id text;
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
    return;
  end if;

  select e.user_id into v_user_id
  from robot_brain.user_erasures e
  where e.user_id is not null and e.tenant_id = p_tenant_id
  order by e.begun_at
  limit 1;
  if found and pg_try_advisory_xact_lock(robot_brain.user_lock(p_tenant_id, v_user_id)) then
    perform robot_brain.erase_user_step(p_tenant_id, v_user_id, false);
  end if;
end
$$;
