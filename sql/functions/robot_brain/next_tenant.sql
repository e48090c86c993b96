-- Return the first tenant after p_after that has rows, or null after the last one. With p_after null, return the first
-- of all. This reads one entry of each index, not each row.
set local role robot_brain_stats;

create or replace function robot_brain.next_tenant(p_after text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select min(t.tenant_id)
    from (
      select min(s.tenant_id) from robot_brain.sessions s where p_after is null or s.tenant_id > p_after
      union all
      select min(c.tenant_id) from robot_brain.conversations c where p_after is null or c.tenant_id > p_after
      union all
      select min(i.tenant_id) from robot_brain.robot_interactions i where p_after is null or i.tenant_id > p_after
      union all
      select min(s.tenant_id) from robot_brain.tenant_stats s where p_after is null or s.tenant_id > p_after
      union all
      select min(p.tenant_id) from robot_brain.personality_stats p where p_after is null or p.tenant_id > p_after
      union all
      select min(u.tenant_id) from robot_brain.uncounted u where p_after is null or u.tenant_id > p_after
    ) t (tenant_id)
  );
end
$$;
