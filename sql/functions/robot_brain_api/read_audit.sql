-- Return a page of the tenant's audit trail, newest first, as the answer's body.
--   p_limit       1 to 100 entries
--   p_cursor      the cursor of the page before, or null for the first page
--   p_record_id   only the entries of this session or user, or null
--   p_user_id     only what this caller did, or null
--   p_from, p_to  only the entries from p_from on and before p_to, or null
-- A page begins at an entry of an index, so the last page costs as much as the first one.
-- An entry is without its id, because one sequence counts the entries of all tenants. Only the cursor has it.
-- Raises RB428 if the cursor is unreadable, or was made with other filters. Raises RB503 (sql/README.md).
set local role robot_brain_owner;

create or replace function robot_brain_api.read_audit(
  p_tenant_id text,
  p_limit integer default 20,
  p_cursor text default null,
  p_record_id text default null,
  p_user_id text default null,
  p_from timestamptz default null,
  p_to timestamptz default null,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- Without statistics the planner would read and sort all entries of the tenant.
set enable_sort = off
set plan_cache_mode = force_custom_plan
as $$
declare
  v_limit constant integer := least(greatest(p_limit, 1), 100);
  v_list constant text := 'audit ' || json_build_array(
    p_tenant_id, p_record_id, p_user_id, robot_brain.iso_time(p_from), robot_brain.iso_time(p_to)
  )::text;
  v_from constant timestamptz := coalesce(p_from, '-infinity');
  v_before timestamptz := coalesce(p_to, 'infinity');
  v_id bigint := 0;
  v_place record;
  v_entries json[];
  v_count integer;
  v_next text;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  if p_cursor is not null then
    v_place := robot_brain.read_cursor(p_cursor, v_list);
    if v_place.id !~ '^[0-9]{1,18}$' then
      perform robot_brain.read_cursor('', v_list);  -- raises RB428
    end if;
    v_before := to_timestamp(0) + v_place.number * interval '1 microsecond';
    v_id := v_place.id;
  end if;

  -- One entry more than the page has shows if there is a next page. The filters are ranges and a part of the order, so
  -- only the index of the filter has that order. With `=` the planner may read all entries of the tenant in order of time.
  select
    count(*),
    (array_agg(
      json_build_object(
        'table_name', f.table_name,
        'record_id', f.record_id,
        'action', f.action,
        'old_data', f.old_data,
        'new_data', f.new_data,
        'user_id', f.user_id,
        'request_id', f.request_id,
        'created_at', robot_brain.iso_time(f.created_at),
        'n', f.n,
        'hash', encode(f.hash, 'hex')
      )
      order by f.created_at desc, f.id desc
    ))[:v_limit],
    (array_agg(f.created_at order by f.created_at desc, f.id desc))[v_limit],
    (array_agg(f.id order by f.created_at desc, f.id desc))[v_limit]
  into v_count, v_entries, v_before, v_id
  from (
    select l.*
    from robot_brain.audit_logs l
    where l.tenant_id = p_tenant_id
      and l.created_at >= v_from
      and (l.created_at, l.id) < (v_before, v_id)
      and (
        p_record_id is null
        or (
          (l.record_id, l.created_at) >= (p_record_id, v_from)
          and (l.record_id, l.created_at, l.id) < (p_record_id, v_before, v_id)
        )
      )
      and (
        p_user_id is null
        or (
          l.user_id is not null
          and (l.user_id, l.created_at) >= (p_user_id, v_from)
          and (l.user_id, l.created_at, l.id) < (p_user_id, v_before, v_id)
        )
      )
    order by
      case when p_record_id is not null then l.record_id when p_user_id is not null then l.user_id end desc,
      l.created_at desc,
      l.id desc
    limit v_limit + 1
  ) f;
  if v_count > v_limit then
    v_next := robot_brain.make_cursor((extract(epoch from v_before) * 1000000)::bigint, v_id::text, v_list);
  end if;
  body := json_build_object(
    'entries', coalesce(array_to_json(v_entries), '[]'), 'page', json_build_object('cursor', v_next)
  );
end
$$;

grant execute on function robot_brain_api.read_audit to robot_brain_app;
