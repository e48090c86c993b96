-- Return the session or the user of any tenant whose erasure began first and is not finished. The other one is null. Also
-- deletes up to 20,000 rows of erasures that are older than an hour.
set local role robot_brain_stats;

drop function if exists robot_brain.next_erasure;

create or replace function robot_brain.next_erasure(out tenant_id text, out session_id text, out user_id text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from robot_brain.erasures e
  where e.ctid = any (array(
    select o.ctid
    from robot_brain.erasures o
    where o.session_id is null and o.erased_at < clock_timestamp() - interval '1 hour'
    limit 10000
    for update skip locked
  ));
  delete from robot_brain.user_erasures e
  where e.ctid = any (array(
    select o.ctid
    from robot_brain.user_erasures o
    where o.user_id is null and o.erased_at < clock_timestamp() - interval '1 hour'
    limit 10000
    for update skip locked
  ));
  select n.tenant_id, n.session_id, n.user_id into tenant_id, session_id, user_id
  from (
    (
      select e.tenant_id, e.session_id, null::text as user_id, e.begun_at
      from robot_brain.erasures e
      where e.session_id is not null
      order by e.begun_at
      limit 1
    )
    union all
    (
      select e.tenant_id, null, e.user_id, e.begun_at
      from robot_brain.user_erasures e
      where e.user_id is not null
      order by e.begun_at
      limit 1
    )
  ) n
  order by n.begun_at
  limit 1;
end
$$;

grant execute on function robot_brain.next_erasure to robot_brain_owner;
