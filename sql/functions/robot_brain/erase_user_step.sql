-- One step of the erasure of a user. The caller has the user's lock. Returns whether the user is gone, also if no
-- erasure of the user is unfinished. After a kill the next step goes on, because each step erases what is left.
--   p_waits   wait for sessions that other calls have locked. Otherwise skip them. Only a call that has locked no
--             session may wait.
--   done      the user is erased
--   turns     the turns that this step erased
-- First it marks all sessions: from then on they are unknown to readers. A step marks up to 10,000 sessions, or erases
-- sessions of up to 5,000 turns together. A large session takes several steps.
set local role robot_brain_owner;

create or replace function robot_brain.erase_user_step(
  p_tenant_id text, p_user_id text, p_waits boolean, out done boolean, out turns integer
)
language plpgsql
as $$
declare
  c_marked constant integer := 10000;
  v_now constant timestamptz := clock_timestamp();
  v_hash constant bytea := sha256(convert_to(p_user_id, 'UTF8'));
  v_ids text[];
  v_session robot_brain.sessions;
  v_erased text[] := '{}';
  v_found boolean;
begin
  perform robot_brain.refuse_isolation();
  turns := 0;
  done := not exists (
    select from robot_brain.user_erasures e
    where e.tenant_id = p_tenant_id and e.user_hash = v_hash and e.user_id is not null
  );
  if done then
    return;
  end if;

  -- Newest first, because those are read most. A condition on `erasing_at is null` would let the planner take
  -- sessions_listed_idx, and read the sessions of all users.
  if p_waits then
    v_ids := array(
      select s.id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.user_id = p_user_id and coalesce(s.erasing_at, 'infinity') = 'infinity'
      order by s.active_hour desc
      limit c_marked
    );
  else
    v_ids := array(
      select s.id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.user_id = p_user_id and coalesce(s.erasing_at, 'infinity') = 'infinity'
      order by s.active_hour desc
      limit c_marked
      for update skip locked
    );
  end if;
  -- The update may wait for another change of the session, for example of its user. So it repeats the conditions.
  update robot_brain.sessions s
  set erasing_at = v_now, user_metadata = '{}'
  where s.tenant_id = p_tenant_id and s.id = any (v_ids) and s.user_id = p_user_id and s.erasing_at is null;
  if cardinality(v_ids) > 100 then
    return;
  end if;

  for v_session in
    select s.*
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.user_id = p_user_id and s.erasing_at is not null
    limit 200
    for update skip locked
  loop
    turns := turns + least(v_session.message_count, 5000);
    if robot_brain.erase_step(v_session, false) then
      v_erased := v_erased || v_session.id::text;
    end if;
    exit when turns >= 5000 or clock_timestamp() > v_now + interval '100 milliseconds';
  end loop;
  v_found := found;
  perform robot_brain.forget_sessions(p_tenant_id, v_erased);
  if p_waits and not v_found then
    -- Other calls have locked all sessions that are left. Wait for one, because the caller repeats the call at once.
    select s.* into v_session
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.user_id = p_user_id and s.erasing_at is not null
    limit 1
    for update;
    if found then
      turns := least(v_session.message_count, 5000);
      perform robot_brain.erase_step(v_session);
    end if;
  end if;

  done := not exists (
    select from robot_brain.sessions s where s.tenant_id = p_tenant_id and s.user_id = p_user_id
  );
  if done then
    update robot_brain.user_erasures e
    set user_id = null, erased_at = clock_timestamp()
    where e.tenant_id = p_tenant_id and e.user_hash = v_hash;
  end if;
end
$$;
