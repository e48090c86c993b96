-- Return a page of the tenant's sessions, newest activity first, as the answer's body.
--   p_limit     1 to 100 sessions
--   p_cursor    the cursor of the page before, or null for the first page
--   p_user_id   only the sessions of this user, or null
--   p_preview   add the beginning of each session's last turn
-- The index gives the sessions hour by hour, and each hour is sorted by last_active. An index on last_active itself
-- would make each write change the index. A session that becomes active moves to the first page, so a walk meets no
-- session twice. A session that is being erased is left out.
-- The function is stable, so all its queries see one state.
-- Raises RB428 if the cursor is unreadable, or was made for another user, and RB503 (sql/README.md).
set local role robot_brain_owner;

create or replace function robot_brain_api.list_sessions(
  p_tenant_id text,
  p_limit integer default 20,
  p_cursor text default null,
  p_user_id text default null,
  p_preview boolean default false,
  p_schema_version integer default null,
  out body text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
as $$
declare
  v_limit constant integer := least(greatest(p_limit, 1), 100);
  v_cursor record;
  v_ids text[];
  v_page robot_brain.sessions[];
  v_next text;
  v_sessions json;
begin
  if p_schema_version > robot_brain.schema_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  v_cursor := robot_brain.list_cursor(p_cursor, p_user_id);

  -- Find one session more than the page has, to see if there is a next page. Sort keys only, because rows are wide.
  if p_user_id is null then
    v_ids := array(
      select s.id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id
        and s.active_hour <= v_cursor.active_hour
        and (s.active_hour < v_cursor.active_hour or (s.last_active, s.id collate "C") < (v_cursor.last_active, v_cursor.id))
        and s.erasing_at is null
      order by s.active_hour desc, s.last_active desc, s.id collate "C" desc
      limit v_limit + 1
    );
  else
    v_ids := array(
      select s.id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id
        and s.user_id = p_user_id
        and s.active_hour <= v_cursor.active_hour
        and (s.active_hour < v_cursor.active_hour or (s.last_active, s.id collate "C") < (v_cursor.last_active, v_cursor.id))
        and s.erasing_at is null
      order by s.active_hour desc, s.last_active desc, s.id collate "C" desc
      limit v_limit + 1
    );
  end if;
  v_page := array(
    select s
    from unnest(v_ids) with ordinality i (id, n)
    join robot_brain.sessions s on s.tenant_id = p_tenant_id and s.id = i.id
    order by i.n
  );
  if cardinality(v_page) > v_limit then
    v_next := robot_brain.make_list_cursor(v_page[v_limit], p_user_id);
  end if;

  if p_preview then
    v_sessions := robot_brain.with_previews(v_page[:v_limit]);
  else
    select json_agg(robot_brain.session_json(v_page[n]) order by n) into v_sessions
    from generate_series(1, least(v_limit, coalesce(cardinality(v_page), 0))) n;
  end if;
  body := json_build_object('sessions', coalesce(v_sessions, '[]'), 'page', json_build_object('cursor', v_next));
end
$$;

grant execute on function robot_brain_api.list_sessions to robot_brain_app;
