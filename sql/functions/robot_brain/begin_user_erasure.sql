-- Step of erase_user, with the user's lock. Begins the erasure of a user. The user's row and profile go at once, so the
-- e-mail is free.
set local role robot_brain_owner;

create or replace function robot_brain.begin_user_erasure(p_tenant_id text, p_user_id text)
returns void
language plpgsql
as $$
begin
  insert into robot_brain.user_erasures (tenant_id, user_hash, user_id, begun_at)
  values (p_tenant_id, sha256(convert_to(p_user_id, 'UTF8')), p_user_id, clock_timestamp())
  on conflict (tenant_id, user_hash) do update set user_id = excluded.user_id, begun_at = excluded.begun_at;

  delete from robot_brain.users u where u.tenant_id = p_tenant_id and u.id = p_user_id;
end
$$;
