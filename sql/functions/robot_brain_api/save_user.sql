-- Create, replace or patch a user with its profile, and return the answer's body.
--   p_user        {email?, password_hash?, profile?: {first_name?, last_name?, avatar_url?}}
--   p_email_key   the key of its e-mail, made by the layer; null without an e-mail
--   p_is_patch    p_user is a merge patch (RFC 7396). Otherwise it replaces all, but an absent password_hash is kept
--   p_if_match    the version in the entity tag that the user must have, or null
--   p_actor, p_request_id   for the audit trail (append_audit)
--   body          null if there is no user to patch
--   created       the user did not exist
-- A change that changes nothing leaves the entity tag.
-- Raises RB412, RB425, RB429 and RB503 (sql/README.md), and 22001 or 22023 for wrong values.
-- Locks: the user's lock (shared), then the user's row.
set local role robot_brain_owner;

drop function if exists robot_brain_api.save_user;

create or replace function robot_brain_api.save_user(
  p_tenant_id text,
  p_user_id text,
  p_user jsonb,
  p_email_key text default null,
  p_is_patch boolean default false,
  p_if_match text default null,
  p_actor text default null,
  p_request_id text default null,
  p_schema_version integer default null,
  out body text,
  out etag text,
  out created boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- A generic plan that was made while the table was small would read all users of the tenant.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_user robot_brain.users;
  v_was jsonb;
  v_document jsonb;
begin
  perform robot_brain.refuse_user(p_tenant_id, p_user_id, p_user, p_email_key, p_schema_version);
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  perform robot_brain.refuse_erasing_user(p_tenant_id, p_user_id);

  created := false;
  if not p_is_patch and p_if_match is null then
    insert into robot_brain.users (tenant_id, id, created_at, updated_at)
    select p_tenant_id, p_user_id, c.now, c.now from (select clock_timestamp()) c (now)
    on conflict (tenant_id, id) do nothing;
    created := found;
  end if;
  select u.* into v_user from robot_brain.users u where u.tenant_id = p_tenant_id and u.id = p_user_id for update;
  if not found and p_is_patch then
    return;
  elsif p_if_match is not null then
    perform robot_brain.refuse_user_state(p_if_match, v_user.version);
  end if;

  v_was := robot_brain.user_document(v_user, robot_brain.profile_of(p_tenant_id, p_user_id));
  if p_is_patch then
    v_document := robot_brain.merge_patch(v_was, p_user);
  else
    v_document := case when v_user.password_hash is null then '{}' else jsonb_build_object('password_hash', v_user.password_hash) end
      || p_user;
  end if;
  v_document := jsonb_build_object('profile', '{}'::jsonb) || jsonb_strip_nulls(v_document);
  if v_document <> v_was then
    v_user := robot_brain.change_user(
      v_user, v_document, case when p_is_patch and not p_user ? 'email' then v_user.email_key else p_email_key end, created
    );
  end if;
  if created or v_document <> v_was then
    perform robot_brain.audit_user(
      p_tenant_id, p_user_id, case when not created then v_was end, v_document, p_actor, p_request_id
    );
  end if;

  etag := robot_brain.user_etag(v_user.version);
  body := robot_brain.user_json(v_user, robot_brain.profile_of(p_tenant_id, p_user_id));
end
$$;

grant execute on function robot_brain_api.save_user to robot_brain_app;
