-- Take the ids of erased sessions off the rows that wait for a refresh or for their words. Their turns are gone, and an id
-- may name a person. No index leads to the rows, because each write would pay for it. So one call looks for all ids.
-- The rows of uncounted stay, because they count. A refresh may have locked some, and may wait for others that this erasure
-- has changed. So do not wait for it. It queues what it has taken, and fill_words then finds no turn and deletes the row.
set local role robot_brain_search;

create or replace function robot_brain.forget_sessions(p_tenant_id text, p_session_ids text[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if robot_brain.search_language() is null or cardinality(p_session_ids) = 0 then
    return;
  end if;
  update robot_brain.uncounted u
  set session_id = null
  where u.ctid = any (array(
    select n.ctid
    from robot_brain.uncounted n
    where n.tenant_id = p_tenant_id and n.session_id = any (p_session_ids)
    for update skip locked
  ));
  delete from robot_brain.search_queue q where q.tenant_id = p_tenant_id and q.session_id = any (p_session_ids);
end
$$;

grant execute on function robot_brain.forget_sessions to robot_brain_owner;
