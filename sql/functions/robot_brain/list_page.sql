-- Step of list_sessions. Returns up to p_most sessions of the tenant after a place in the list. Sorts keys first, because
-- rows are wide. One statement finds the keys and the rows, so that no session becomes active between the two and moves
-- the cursor.
set local role robot_brain_owner;

create or replace function robot_brain.list_page(
  p_tenant_id text,
  p_user_id text,
  p_active_hour timestamptz,
  p_last_active timestamptz,
  p_id text,
  p_most integer
)
returns robot_brain.sessions[]
language plpgsql
as $$
begin
  if p_user_id is null then
    return array(
      select s
      from (
        select k.id
        from robot_brain.sessions k
        where k.tenant_id = p_tenant_id
          and k.active_hour <= p_active_hour
          and (k.active_hour < p_active_hour or (k.last_active, k.id collate "C") < (p_last_active, p_id))
          and k.erasing_at is null
        order by k.active_hour desc, k.last_active desc, k.id collate "C" desc
        limit p_most
      ) p
      join robot_brain.sessions s on s.tenant_id = p_tenant_id and s.id = p.id
      order by s.active_hour desc, s.last_active desc, s.id collate "C" desc
    );
  end if;
  return array(
    select s
    from (
      select k.id
      from robot_brain.sessions k
      where k.tenant_id = p_tenant_id
        and k.user_id = p_user_id
        and k.active_hour <= p_active_hour
        and (k.active_hour < p_active_hour or (k.last_active, k.id collate "C") < (p_last_active, p_id))
        and k.erasing_at is null
      order by k.active_hour desc, k.last_active desc, k.id collate "C" desc
      limit p_most
    ) p
    join robot_brain.sessions s on s.tenant_id = p_tenant_id and s.id = p.id
    order by s.active_hour desc, s.last_active desc, s.id collate "C" desc
  );
end
$$;
