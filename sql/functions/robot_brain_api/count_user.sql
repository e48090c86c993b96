-- Return what erase_user would erase, as the answer's body: {"sessions", "messages", "interactions"}. During the erasure it
-- is what is left. body is null if nothing is held about the user.
-- The rows are counted by the conditions of the erasure, and not taken from the counters of the sessions.
-- Raises RB503 (sql/README.md).
set local role robot_brain_owner;

create or replace function robot_brain_api.count_user(
  p_tenant_id text, p_user_id text, p_schema_version integer default null, out body text
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
  v_sessions bigint;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  select
    count(*),
    json_build_object(
      'sessions', count(*), 'messages', coalesce(sum(t.turns), 0), 'interactions', coalesce(sum(t.interactions), 0)
    )
  into v_sessions, body
  from robot_brain.sessions s
  cross join lateral (
    select
      (
        select count(*)
        from robot_brain.conversations c
        where c.tenant_id = p_tenant_id
          and c.session_id = s.id
          and c.created_at between s.created_at and s.last_active
      ) as turns,
      (
        select count(*)
        from robot_brain.robot_interactions i
        where i.tenant_id = p_tenant_id
          and i.session_id = s.id
          and i.created_at between s.created_at and s.last_active
      ) as interactions
  ) t
  where s.tenant_id = p_tenant_id and s.user_id = p_user_id;
  if v_sessions = 0
    and not exists (select from robot_brain.users u where u.tenant_id = p_tenant_id and u.id = p_user_id)
    and not exists (
      select from robot_brain.user_erasures e where e.tenant_id = p_tenant_id and e.user_id = p_user_id
    )
  then
    body := null;
  end if;
end
$$;

grant execute on function robot_brain_api.count_user to robot_brain_app;
