-- Take one step of the erasure of any tenant that began first and is not finished. Returns {"turns_erased": number}.
set local role robot_brain_owner;

create or replace function robot_brain_api.continue_erasure(p_schema_version integer default null, out body text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- A generic plan would open and lock all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_next record;
  v_session robot_brain.sessions;
  v_turns integer := 0;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  v_next := robot_brain.next_erasure();
  perform set_config('robot_brain.tenant_id', v_next.tenant_id, true);
  if v_next.user_id is not null then
    if pg_try_advisory_xact_lock(robot_brain.user_lock(v_next.tenant_id, v_next.user_id)) then
      select t.turns into v_turns from robot_brain.erase_user_step(v_next.tenant_id, v_next.user_id, false) t;
    end if;
    body := json_build_object('turns_erased', v_turns);
    return;
  end if;
  select s.* into v_session
  from robot_brain.sessions s
  where s.tenant_id = v_next.tenant_id and s.id = v_next.session_id and s.erasing_at is not null
  for update skip locked;
  if found then
    v_turns := v_session.message_count;
    if not robot_brain.erase_step(v_session) then
      select v_turns - s.message_count into v_turns
      from robot_brain.sessions s
      where s.tenant_id = v_next.tenant_id and s.id = v_next.session_id;
    end if;
  else
    -- The session may be locked, or be missing, for example after a restore of some tables.
    update robot_brain.erasures e
    set session_id = null, erased_at = clock_timestamp()
    where e.tenant_id = v_next.tenant_id
      and e.session_id = v_next.session_id
      and not exists (
        select from robot_brain.sessions s
        where s.tenant_id = e.tenant_id and s.id = e.session_id and s.erasing_at is not null
      );
  end if;
  body := json_build_object('turns_erased', v_turns);
end
$$;

grant execute on function robot_brain_api.continue_erasure to robot_brain_app;
