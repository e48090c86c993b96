-- Step of erase_user, with the user's lock. Begins the erasure of a user. The user's row and profile go at once, so the
-- e-mail is free. The entry of the audit trail has what the counters of the sessions say. It is exact for a user of up to
-- 10,000 sessions.
set local role robot_brain_owner;

drop function if exists robot_brain.begin_user_erasure;

create or replace function robot_brain.begin_user_erasure(
  p_tenant_id text, p_user_id text, p_actor text, p_request_id text
)
returns void
language plpgsql
as $$
declare
  -- As in erase_user_step.
  c_marked constant integer := 10000;
  v_had_user boolean;
  v_counts record;
begin
  insert into robot_brain.user_erasures (tenant_id, user_hash, user_id, begun_at)
  values (p_tenant_id, sha256(convert_to(p_user_id, 'UTF8')), p_user_id, clock_timestamp())
  on conflict (tenant_id, user_hash) do update set user_id = excluded.user_id, begun_at = excluded.begun_at;

  delete from robot_brain.users u where u.tenant_id = p_tenant_id and u.id = p_user_id;
  v_had_user := found;

  -- The sessions that the first step marks. A service may be changing one, or giving it to another user. So wait for
  -- that, and count afterwards. The step would wait for it, too.
  perform from robot_brain.sessions s
  where s.tenant_id = p_tenant_id and s.user_id = p_user_id and coalesce(s.erasing_at, 'infinity') = 'infinity'
  order by s.active_hour desc
  limit c_marked
  for update;
  select count(*) as sessions, coalesce(sum(s.message_count), 0) as messages
  into v_counts
  from robot_brain.sessions s
  where s.tenant_id = p_tenant_id and s.user_id = p_user_id;
  perform robot_brain.append_audit(
    p_tenant_id, 'users', p_user_id, 'ERASE',
    jsonb_build_object('user', v_had_user, 'sessions', v_counts.sessions, 'messages', v_counts.messages), null,
    p_actor, p_request_id
  );
end
$$;
