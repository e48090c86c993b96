-- Step of save_user and create_user. Gives a user, whose row the caller has locked or made, the content of p_document,
-- which user_document describes. Returns the user after it. A change that changes nothing leaves the entity tag.
--   p_email_key   the key of the document's e-mail, or null without an e-mail
--   p_is_new      the row was made by this call, so its version is still unknown to any client
-- Raises RB425 if another user of the tenant has the e-mail. The handler keeps the e-mail out of the server's log.
set local role robot_brain_owner;

create or replace function robot_brain.change_user(
  p_user robot_brain.users, p_document jsonb, p_email_key text, p_is_new boolean
)
returns robot_brain.users
language plpgsql
as $$
declare
  v_profile constant jsonb := p_document -> 'profile';
  v_now constant timestamptz := greatest(clock_timestamp(), p_user.updated_at);
  v_user robot_brain.users;
begin
  begin
    update robot_brain.users u
    set
      email = p_document ->> 'email',
      email_key = p_email_key,
      password_hash = p_document ->> 'password_hash',
      version = u.version + (not p_is_new)::integer,
      updated_at = case when p_is_new then u.updated_at else v_now end
    where u.tenant_id = p_user.tenant_id and u.id = p_user.id
    returning * into v_user;
  exception
    when unique_violation then
      raise exception using
        errcode = 'RB425',
        message = 'another user has the e-mail',
        hint = 'Use another e-mail, or change that user first.';
  end;

  if v_profile is null or v_profile = '{}' then
    delete from robot_brain.user_profiles p where p.tenant_id = p_user.tenant_id and p.user_id = p_user.id;
  else
    insert into robot_brain.user_profiles as p (
      tenant_id, user_id, first_name, last_name, avatar_url, created_at, updated_at
    )
    values (
      p_user.tenant_id, p_user.id, v_profile ->> 'first_name', v_profile ->> 'last_name', v_profile ->> 'avatar_url',
      v_user.updated_at, v_user.updated_at
    )
    on conflict (tenant_id, user_id) do update set
      first_name = excluded.first_name,
      last_name = excluded.last_name,
      avatar_url = excluded.avatar_url,
      updated_at = excluded.updated_at
    where (p.first_name, p.last_name, p.avatar_url)
      is distinct from (excluded.first_name, excluded.last_name, excluded.avatar_url);
  end if;
  return v_user;
end
$$;
