-- Step of find_sessions. Read the next p_read sessions of the list after a place, and return the first p_most that match.
--   p_user_id    only sessions of this user, or null
--   p_metadata   the object that user_metadata must contain, or null
--   p_path       the predicate that must be true for user_metadata, or null
--   ids          the matches, in the order of the list
--   low_hour, low_active, low_id   the place of the last session that was read
--   sessions_read   fewer than p_read at the end of the list
set local role robot_brain_search;

create or replace function robot_brain.match_listed(
  p_tenant_id text,
  p_user_id text,
  p_metadata jsonb,
  p_path jsonpath,
  p_active_hour timestamptz,
  p_last_active timestamptz,
  p_id text,
  p_read integer,
  p_most integer,
  out ids text[],
  out low_hour timestamptz,
  out low_active timestamptz,
  out low_id text,
  out sessions_read integer
)
language plpgsql
stable
-- The index gives the sessions hour by hour, and each hour is sorted. Without statistics the planner might read and sort
-- all sessions of the tenant instead.
set enable_bitmapscan = off
set enable_sort = off
as $$
begin
  with listed as materialized (
    select s.active_hour, s.last_active, s.id, s.user_metadata
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id
      and (p_user_id is null or s.user_id = p_user_id)
      and s.active_hour <= p_active_hour
      and (s.active_hour < p_active_hour or (s.last_active, s.id collate "C") < (p_last_active, p_id))
      and s.erasing_at is null
    order by s.active_hour desc, s.last_active desc, s.id collate "C" desc
    limit p_read
  ),
  numbered as materialized (
    select l.*, row_number() over () as n from listed l
  )
  select
    array(
      select o.id
      from numbered o
      where (p_metadata is null or o.user_metadata @> p_metadata) and (p_path is null or o.user_metadata @@ p_path)
      order by o.n
      limit p_most
    ),
    l.active_hour, l.last_active, l.id, coalesce(l.n, 0)
  into ids, low_hour, low_active, low_id, sessions_read
  from (values (1)) one (n)
  left join (select n.* from numbered n order by n.n desc limit 1) l on true;
end
$$;
