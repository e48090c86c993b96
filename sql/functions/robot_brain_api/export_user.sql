-- Return a page of all that is held about a user, as the answer's body. It has the user, and sessions with their turns.
-- The sessions are ordered by id, and the turns by seq. A session is on the page on which its turns begin. user is null
-- if the person has sessions, and no row of users.
--   p_cursor   the cursor of the page before, or null for the first page
--   p_actor, p_request_id   for the audit trail (append_audit)
--   body       null if nothing is held about the user, or if the user is being erased. So no page looks like the last one
--              of an export that an erasure has cut off
-- Pages hold all that was there when the first one was read, and was not removed before its page was read. What is
-- written meanwhile may be there, too. Each session is read as read_session reads it, and again if it changed.
-- Each page is an entry of the audit trail.
-- Raises RB428 if the cursor is unreadable, or is one of another user or tenant. Raises RB503 (sql/README.md), and 40001
-- after ten changes in a row.
set local role robot_brain_owner;

drop function if exists robot_brain_api.export_user;

create or replace function robot_brain_api.export_user(
  p_tenant_id text,
  p_user_id text,
  p_cursor text default null,
  p_actor text default null,
  p_request_id text default null,
  p_schema_version integer default null,
  out body text
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
  c_sessions constant integer := 200;
  c_turns constant integer := 1000;
  -- Lambda's limit is 6,291,556 bytes. The rest is more than the user and the envelope need.
  c_bytes constant integer := 5500000;
  -- A tenant's name has no space.
  v_list constant text := 'export ' || p_tenant_id || ' ' || p_user_id;
  v_hash constant bytea := sha256(convert_to(p_user_id, 'UTF8'));
  v_begun timestamptz;
  v_user json;
  v_from text := '';
  v_after bigint := 0;
  v_id text;
  v_part record;
  v_sessions text[] := '{}';
  v_turns text[] := '{}';
  v_seen integer := 0;
  v_bytes bigint := 0;
  v_next text;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  if p_cursor is not null then
    select c.number, c.id into v_after, v_from from robot_brain.read_cursor(p_cursor, v_list) c;
  end if;

  select e.begun_at into v_begun
  from robot_brain.user_erasures e
  where e.tenant_id = p_tenant_id and e.user_hash = v_hash;
  select robot_brain.user_json(u, p) into v_user
  from robot_brain.users u
  left join robot_brain.user_profiles p on p.tenant_id = u.tenant_id and p.user_id = u.id
  where u.tenant_id = p_tenant_id and u.id = p_user_id;

  -- A condition on erasing_at would let the planner take sessions_listed_idx, and read the sessions of all users.
  for v_id in
    select s.id
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id
      and s.user_id = p_user_id
      and s.id collate "C" >= v_from
      and coalesce(s.erasing_at, 'infinity') = 'infinity'
    order by s.id collate "C"
    limit c_sessions + 1
  loop
    if v_id <> v_from then
      v_after := 0;
    end if;
    v_seen := v_seen + 1;
    if v_seen > c_sessions then
      v_next := robot_brain.make_cursor(v_after, v_id, v_list);
      exit;
    end if;
    v_part := robot_brain.export_session(
      p_tenant_id, p_user_id, v_id, v_after, c_turns - cardinality(v_turns), c_bytes - v_bytes, v_bytes = 0
    );
    if v_part.is_full then
      v_next := robot_brain.make_cursor(v_after, v_id, v_list);
      exit;
    end if;
    v_sessions := v_sessions || v_part.session;
    v_turns := v_turns || v_part.turns;
    v_bytes := v_bytes + v_part.bytes;
    if v_part.has_more then
      v_next := robot_brain.make_cursor(v_part.last, v_id, v_list);
      exit;
    end if;
  end loop;

  -- An erasure may have begun, or even ended, since the first statement.
  if exists (
    select from robot_brain.user_erasures e
    where e.tenant_id = p_tenant_id
      and e.user_hash = v_hash
      and (e.user_id is not null or e.begun_at is distinct from v_begun)
  ) then
    return;
  end if;
  -- A session that was found may go to another user before it is read.
  if v_user is not null or cardinality(v_sessions) > 0 or v_next is not null
    -- The sessions after the cursor may be gone, and those before it still there.
    or (
      p_cursor is not null
      and exists (select from robot_brain.sessions s where s.tenant_id = p_tenant_id and s.user_id = p_user_id)
    )
  then
    body := '{"user" : ' || coalesce(v_user::text, 'null')
      || ', "sessions" : [' || array_to_string(v_sessions, ', ')
      || '], "turns" : [' || array_to_string(v_turns, ', ')
      || '], "page" : ' || json_build_object('cursor', v_next)::text || '}';
    perform robot_brain.append_audit(
      p_tenant_id, 'users', p_user_id, 'EXPORT', null,
      jsonb_build_object(
        'sessions', cardinality(v_sessions), 'turns', cardinality(v_turns),
        'first_page', p_cursor is null, 'last_page', v_next is null
      ),
      p_actor, p_request_id
    );
  end if;
end
$$;

grant execute on function robot_brain_api.export_user to robot_brain_app;
