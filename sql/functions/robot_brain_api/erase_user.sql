-- Erase a user and everything of the person, for good: profile, sessions, turns, remembered answers. One step: a user with
-- few sessions is gone after it. Otherwise all is marked, and the caller repeats the call until the state is 'erased'.
-- Marked sessions are unknown to readers. A person needs no row in users.
--   p_if_match   the version in the entity tag that the user must have, or null; it counts for the first step alone
--   p_continue   only go on with an erasure that has begun. So what the person does afterwards stays.
--   p_actor, p_request_id   for the audit trail (append_audit)
--   state        'unknown', 'erasing' (there is more to do) or 'erased'
-- Of more than 10,000 sessions the first step marks the newest. The next steps mark the others.
-- Raises RB412 and RB503 (sql/README.md).
-- Locks: the user's lock, then sessions of the user, then rows of keys. Then it goes on with one unfinished erasure of
-- the tenant.
set local role robot_brain_owner;

drop function if exists robot_brain_api.erase_user;

create or replace function robot_brain_api.erase_user(
  p_tenant_id text,
  p_user_id text,
  p_if_match text default null,
  p_continue boolean default false,
  p_actor text default null,
  p_request_id text default null,
  p_schema_version integer default null,
  out state text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- A generic plan would open and lock all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_version bigint;
  v_key_hash bytea;
  v_is_known boolean;
  v_step record;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  perform robot_brain.refuse_isolation();
  perform pg_advisory_xact_lock(robot_brain.user_lock(p_tenant_id, p_user_id));

  if not p_continue and not exists (
    select from robot_brain.user_erasures e
    where e.tenant_id = p_tenant_id
      and e.user_hash = sha256(convert_to(p_user_id, 'UTF8'))
      and e.user_id is not null
  ) then
    select u.version, u.key_hash into v_version, v_key_hash
    from robot_brain.users u
    where u.tenant_id = p_tenant_id and u.id = p_user_id
    for update;
    -- A service may be giving the only session to another user. The lock waits for that.
    v_is_known := found or exists (
      select from robot_brain.sessions s where s.tenant_id = p_tenant_id and s.user_id = p_user_id for key share
    );
    if not v_is_known then
      state := 'unknown';
      -- A client that repeats an erasure reads "unknown" as done.
      perform robot_brain.await_standby();
      return;
    end if;
    if p_if_match is not null then
      perform robot_brain.refuse_user_state(p_if_match, v_version);
    end if;
    perform robot_brain.begin_user_erasure(p_tenant_id, p_user_id, p_actor, p_request_id);
  end if;

  v_step := robot_brain.erase_user_step(p_tenant_id, p_user_id, true);
  if v_key_hash is not null then
    -- Empty the remembered answer of the request that made the user. After a day the key may belong to another request.
    -- Not before the sessions are locked, because a write locks its session first, and then the row of an expired key.
    update robot_brain.idempotency_keys k
    set response = '', fingerprint = ''
    where k.tenant_id = p_tenant_id
      and k.key_hash = v_key_hash
      and case when k.response <> '' then k.response::json ->> 'id' end = p_user_id;
  end if;
  state := case when v_step.done then 'erased' else 'erasing' end;
  if v_step.done then
    perform robot_brain.erase_another(p_tenant_id);
  end if;
end
$$;

grant execute on function robot_brain_api.erase_user to robot_brain_app;
