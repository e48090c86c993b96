-- Step of find_sessions. Read the next p_read sessions of the list after a place, and return the first p_most that match.
--   p_user_id    only sessions of this user, or null
--   p_metadata   the object that user_metadata must contain, or null
--   p_path       the predicate that must be true for user_metadata, or null
--   ids          the matches, in the order of the list
--   low_hour, low_active, low_id   the place of the last session that was looked at
--   has_ended    the list has no more sessions
--   is_cut       the time was over before p_read sessions were looked at
-- A path may take milliseconds for one session with large metadata. So only the first 50 are looked at after p_until.
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
  p_until timestamptz,
  out ids text[],
  out low_hour timestamptz,
  out low_active timestamptz,
  out low_id text,
  out has_ended boolean,
  out is_cut boolean
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
  numbered as (
    select l.*, row_number() over () as n from listed l
  ),
  -- matches is null if the time was over.
  judged as materialized (
    select n.active_hour, n.last_active, n.id, n.n,
      case
        when n.n <= 50 or clock_timestamp() < p_until then coalesce(
          (p_metadata is null or n.user_metadata @> p_metadata) and (p_path is null or n.user_metadata @@ p_path), false
        )
      end as matches
    from numbered n
  ),
  -- The clock may be set back, so also leave out what follows the first null.
  looked_at as materialized (
    select j.*
    from judged j
    where j.n < (select coalesce(min(u.n), p_read + 1) from judged u where u.matches is null)
  )
  select array(select l.id from looked_at l where l.matches order by l.n limit p_most),
    l.active_hour, l.last_active, l.id,
    exists (select from judged j where j.matches is null),
    (select count(*) < p_read from judged j)
  into ids, low_hour, low_active, low_id, is_cut, has_ended
  from (values (1)) one (n)
  left join (select l.* from looked_at l order by l.n desc limit 1) l on true;
  has_ended := has_ended and not is_cut;
end
$$;
