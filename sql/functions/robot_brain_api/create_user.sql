-- Create a user under an id that the layer made for this request, and return the answer's body.
--   p_user        {email?, password_hash?, profile?: {first_name?, last_name?, avatar_url?}}
--   p_email_key   the key of its e-mail, made by the layer; null without an e-mail
--   p_key         the client's idempotency key, or null
--   p_actor, p_request_id   for the audit trail (append_audit)
--   replayed      the body is from an earlier request or attempt; this call created nothing
--   etag          the user's entity tag; null if replayed, because the user may have changed since
-- A retry has the id of the first attempt, so both make one user.
-- Raises RB409 if an attempt comes after the erasure of its user. Raises RB410, RB422, RB425 and RB503 (sql/README.md),
-- and 22001 or 22023 for wrong values.
-- Locks: the key (advisory), then the user's lock (shared), then the row of an expired key.
set local role robot_brain_owner;

drop function if exists robot_brain_api.create_user;

create or replace function robot_brain_api.create_user(
  p_tenant_id text,
  p_user_id text,
  p_user jsonb,
  p_email_key text default null,
  p_key text default null,
  p_actor text default null,
  p_request_id text default null,
  p_schema_version integer default null,
  out body text,
  out replayed boolean,
  out etag text
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
  v_key_hash constant bytea := sha256(convert_to(p_key, 'UTF8'));
  v_fingerprint bytea;
  v_known bytea;
  v_is_gone boolean;
  v_user robot_brain.users;
begin
  perform robot_brain.refuse_user(p_tenant_id, p_user_id, p_user, p_email_key, p_schema_version);
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  if p_key is not null then
    -- As in write_message, whose keys these are, too.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant_id || ':' || p_key, 0));
    v_fingerprint := sha256(convert_to(jsonb_build_array('user', p_user)::text, 'UTF8'));
    select
      k.fingerprint, k.response, k.expires_at > clock_timestamp(),
      k.response = '' or exists (
        select from robot_brain.sessions s
        where s.tenant_id = p_tenant_id and s.id = k.session_id and s.erasing_at is not null
      )
    into v_known, body, replayed, v_is_gone
    from robot_brain.idempotency_keys k
    where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    if replayed then
      if v_known <> v_fingerprint then
        perform robot_brain.refuse_key(v_is_gone, body);
      end if;
      perform robot_brain.await_standby();
      return;
    end if;
  end if;

  perform robot_brain.refuse_erasing_user(p_tenant_id, p_user_id);
  -- The id is new for each request. So if it was erased, this attempt comes late.
  if exists (
    select from robot_brain.user_erasures e
    where e.tenant_id = p_tenant_id and e.user_hash = sha256(convert_to(p_user_id, 'UTF8'))
  ) then
    raise exception using
      errcode = 'RB409',
      message = 'an earlier attempt has created the user, who was erased since',
      hint = 'Send the request again to create another user.';
  end if;

  insert into robot_brain.users (tenant_id, id, key_hash, created_at, updated_at)
  select p_tenant_id, p_user_id, v_key_hash, c.now, c.now from (select clock_timestamp()) c (now)
  on conflict (tenant_id, id) do nothing
  returning * into v_user;
  replayed := not found;
  if replayed then
    perform robot_brain.await_standby();
    select u.* into v_user from robot_brain.users u where u.tenant_id = p_tenant_id and u.id = p_user_id;
  else
    v_user := robot_brain.change_user(v_user, jsonb_strip_nulls(p_user), p_email_key, true);
    perform robot_brain.audit_user(p_tenant_id, p_user_id, null, jsonb_strip_nulls(p_user), p_actor, p_request_id);
    etag := robot_brain.user_etag(v_user.version);
  end if;
  body := robot_brain.user_json(v_user, robot_brain.profile_of(p_tenant_id, p_user_id));

  if p_key is not null and not replayed then
    if v_known is not null then
      -- The key has expired. Not before the user is made, because that may wait for an erasure of a user with the e-mail.
      delete from robot_brain.idempotency_keys k where k.tenant_id = p_tenant_id and k.key_hash = v_key_hash;
    end if;
    insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, expires_at)
    values (p_tenant_id, v_key_hash, v_fingerprint, body, clock_timestamp() + interval '24 hours');
  end if;
end
$$;

grant execute on function robot_brain_api.create_user to robot_brain_app;
