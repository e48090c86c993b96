-- Return the session of any tenant whose erasure began first and is not finished. Also deletes up to 10,000 rows of
-- erasures that are older than an hour.
set local role robot_brain_stats;

create or replace function robot_brain.next_erasure(out tenant_id text, out session_id text)
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
  select e.tenant_id, e.session_id into tenant_id, session_id
  from robot_brain.erasures e
  where e.session_id is not null
  order by e.begun_at
  limit 1;
end
$$;

grant execute on function robot_brain.next_erasure to robot_brain_owner;
