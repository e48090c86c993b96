-- Return a user with its profile as the answer's body.
--   p_known_etags   the entity tags of the client's copies ('"1f"', or '*'); body is null if one is still current
--   etag            null if the user is unknown
-- Raises RB503 (sql/README.md).
set local role robot_brain_owner;

create or replace function robot_brain_api.read_user(
  p_tenant_id text,
  p_user_id text,
  p_known_etags text[] default '{}',
  p_schema_version integer default null,
  out body text,
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
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  select robot_brain.user_json(u, p), robot_brain.user_etag(u.version)
  into body, etag
  from robot_brain.users u
  left join robot_brain.user_profiles p on p.tenant_id = u.tenant_id and p.user_id = u.id
  where u.tenant_id = p_tenant_id and u.id = p_user_id;
  if etag = any (p_known_etags) or '*' = any (p_known_etags) then
    body := null;
  end if;
end
$$;

grant execute on function robot_brain_api.read_user to robot_brain_app;
