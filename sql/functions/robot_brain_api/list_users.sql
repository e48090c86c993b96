-- Return a page of the tenant's users with their profiles, newest first, or the one with an e-mail, as the answer's body.
--   p_limit       1 to 100 users
--   p_cursor      the cursor of the page before, or null for the first page
--   p_email_key   only the user with this key of an e-mail, or null
-- A page begins at an entry of the index, so the last page costs as much as the first one.
-- Raises RB428 if the cursor is unreadable, and RB503 (sql/README.md).
set local role robot_brain_owner;

create or replace function robot_brain_api.list_users(
  p_tenant_id text,
  p_limit integer default 20,
  p_cursor text default null,
  p_email_key text default null,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- Without statistics the planner would read and sort all users of the tenant.
set enable_sort = off
set plan_cache_mode = force_custom_plan
as $$
declare
  v_limit constant integer := least(greatest(p_limit, 1), 100);
  v_from timestamptz := 'infinity';
  v_id text := '';
  v_users json[];
  v_count integer;
  v_next text;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  if p_email_key is not null then
    v_users := array(
      select robot_brain.user_json(u, p)
      from robot_brain.users u
      left join robot_brain.user_profiles p on p.tenant_id = u.tenant_id and p.user_id = u.id
      where u.tenant_id = p_tenant_id and u.email_key = p_email_key
    );
  else
    if p_cursor is not null then
      select to_timestamp(0) + c.number * interval '1 microsecond', c.id into v_from, v_id
      from robot_brain.read_cursor(p_cursor, 'users') c;
    end if;
    -- One user more than the page has shows if there is a next page.
    select
      count(*),
      (array_agg(robot_brain.user_json(f.u, p) order by f.created_at desc, f.id collate "C" desc))[:v_limit],
      (array_agg(f.created_at order by f.created_at desc, f.id collate "C" desc))[v_limit],
      (array_agg(f.id order by f.created_at desc, f.id collate "C" desc))[v_limit]
    into v_count, v_users, v_from, v_id
    from (
      select u, u.tenant_id, u.created_at, u.id
      from robot_brain.users u
      where u.tenant_id = p_tenant_id
        and u.created_at <= v_from
        and (u.created_at < v_from or u.id collate "C" < v_id)
      order by u.created_at desc, u.id collate "C" desc
      limit v_limit + 1
    ) f
    left join robot_brain.user_profiles p on p.tenant_id = f.tenant_id and p.user_id = f.id;
    if v_count > v_limit then
      v_next := robot_brain.make_cursor((extract(epoch from v_from) * 1000000)::bigint, v_id, 'users');
    end if;
  end if;
  body := json_build_object(
    'users', coalesce(array_to_json(v_users), '[]'), 'page', json_build_object('cursor', v_next)
  );
end
$$;

grant execute on function robot_brain_api.list_users to robot_brain_app;
