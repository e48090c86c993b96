-- Step of list_sessions. Returns whether none of the sessions was changed or erased since they were read. Turns that were
-- appended do not count.
set local role robot_brain_owner;

create or replace function robot_brain.page_is_current(p_page robot_brain.sessions[])
returns boolean
language plpgsql
as $$
begin
  return cardinality(p_page) = (
    select count(*)
    from generate_subscripts(p_page, 1) n
    join robot_brain.sessions s on s.tenant_id = (p_page[n]).tenant_id and s.id = (p_page[n]).id
    where s.version = (p_page[n]).version and s.erasing_at is null
  );
end
$$;
