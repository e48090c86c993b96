-- Return a page of the tenant's sessions, newest activity first, as the answer's body.
--   p_limit     1 to 100 sessions
--   p_cursor    the cursor of the page before, or null for the first page
--   p_user_id   only the sessions of this user, or null
--   p_preview   add the beginning of each session's last turn
--   p_metadata  only sessions whose user_metadata contains this object, or null
--   p_path      only sessions for whose user_metadata this jsonpath is true, or finds something; or null (metadata_path)
-- The index gives the sessions hour by hour, and each hour is sorted by last_active. An index on last_active itself
-- would make each write change the index. A session that becomes active moves to the first page, so a walk meets no
-- session twice. A session that is being erased is left out.
-- With p_metadata or p_path the page also has complete. It is false if the time for a page was spent before the page was
-- full. The cursor goes on there.
-- Raises RB428 if the cursor is unreadable, or was made with other filters, RB431 if a filter is not allowed, and RB503
-- (sql/README.md).
set local role robot_brain_owner;

drop function if exists robot_brain_api.list_sessions;

create or replace function robot_brain_api.list_sessions(
  p_tenant_id text,
  p_limit integer default 20,
  p_cursor text default null,
  p_user_id text default null,
  p_preview boolean default false,
  p_metadata jsonb default null,
  p_path text default null,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
-- The steps have texts with backslashes.
set standard_conforming_strings = on
set enable_seqscan = off
as $$
declare
  v_limit constant integer := least(greatest(p_limit, 1), 100);
  v_is_filtered constant boolean := p_metadata is not null or p_path is not null;
  v_path jsonpath;
  v_list text := p_user_id;
  v_cursor record;
  v_part record;
  v_found robot_brain.sessions[];
  v_place robot_brain.sessions;  -- null if the search was not cut short
  v_page robot_brain.sessions[];
  v_next text;
  v_sessions json;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  if v_is_filtered then
    perform robot_brain.refuse_metadata_filter(p_metadata);
    v_path := robot_brain.metadata_path(p_path);
    v_list := jsonb_build_array('metadata', p_user_id, p_metadata, v_path::text)::text;
  end if;
  v_cursor := robot_brain.list_cursor(p_cursor, v_list);

  -- One session more than the page has shows if there is a next page. The previews come from a later statement: if a
  -- session of the page was changed between the two, read the page again.
  for v_try in 1..10 loop
    if v_is_filtered then
      v_part := robot_brain.find_sessions(
        p_tenant_id, p_user_id, p_metadata, v_path, v_cursor.active_hour, v_cursor.last_active, v_cursor.id, v_limit + 1
      );
      v_found := v_part.sessions;
      v_place := v_part.place;
    else
      v_found := robot_brain.list_page(
        p_tenant_id, p_user_id, v_cursor.active_hour, v_cursor.last_active, v_cursor.id, v_limit + 1
      );
    end if;
    v_page := v_found[:v_limit];
    exit when not p_preview;
    v_sessions := robot_brain.with_previews(v_page);
    exit when robot_brain.page_is_current(v_page);
    if v_try = 10 then
      raise serialization_failure using message = 'sessions changed ten times while they were read';
    end if;
  end loop;
  if not p_preview then
    select json_agg(robot_brain.session_json(v_page[n]) order by n) into v_sessions
    from generate_subscripts(v_page, 1) n;
  end if;
  if cardinality(v_found) > v_limit then
    v_place := v_page[v_limit];
  end if;
  if v_place.id is not null then
    v_next := robot_brain.make_list_cursor(v_place, v_list);
  end if;
  body := json_build_object(
    'sessions', coalesce(v_sessions, '[]'),
    'page', case
      when not v_is_filtered then json_build_object('cursor', v_next)
      else json_build_object('cursor', v_next, 'complete', v_next is null or cardinality(v_page) = v_limit)
    end
  );
end
$$;

grant execute on function robot_brain_api.list_sessions to robot_brain_app;
