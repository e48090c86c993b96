-- Take the id of an erased session off the rows that wait for a refresh or for their words. Its turns are gone, and the id
-- may name a person.
-- The rows of uncounted stay, because they count. A refresh may have locked some, and may wait for others that this erasure
-- has changed. So do not wait for it. It queues what it has taken, and fill_words then finds no turn and deletes the row.
set local role robot_brain_search;

create or replace function robot_brain.forget_session(p_tenant_id text, p_session_id text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if robot_brain.search_language() is null then
    return;
  end if;
  update robot_brain.uncounted u
  set session_id = null
  where u.ctid = any (array(
    select n.ctid
    from robot_brain.uncounted n
    where n.tenant_id = p_tenant_id and n.session_id = p_session_id
    for update skip locked
  ));
  delete from robot_brain.search_queue q where q.tenant_id = p_tenant_id and q.session_id = p_session_id;
end
$$;

grant execute on function robot_brain.forget_session to robot_brain_owner;
