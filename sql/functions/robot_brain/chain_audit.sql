-- Chain up to p_most entries of all tenants that no call has chained yet, in the order of their ids. Returns how many.
-- An entry that was not committed yet is chained later, so its id may be below the one before it in the chain.
-- The head of a tenant is locked while its chain grows. A tenant whose head another call has locked is left out. So is a
-- tenant without a head while another call makes heads, or while the table is being vacuumed.
set local role robot_brain_audit;

create or replace function robot_brain.chain_audit(p_most integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
-- The index of unchained entries is small, and a table that was never analyzed looks small, too.
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_chained integer := 0;
  v_tenant_id text;
  v_head robot_brain.audit_heads;
  v_entry robot_brain.audit_logs;
begin
  for v_tenant_id in
    select distinct f.tenant_id
    from (select l.tenant_id from robot_brain.audit_logs l where l.n is null limit p_most) f
    order by f.tenant_id
  loop
    if not exists (select from robot_brain.audit_heads h where h.tenant_id = v_tenant_id) then
      begin
        -- The insert would wait for another call that makes the same head.
        lock table robot_brain.audit_heads in share update exclusive mode nowait;
      exception
        when lock_not_available then
          continue;
      end;
      insert into robot_brain.audit_heads (tenant_id, n, hash) values (v_tenant_id, 0, '') on conflict (tenant_id) do nothing;
    end if;
    select h.* into v_head from robot_brain.audit_heads h where h.tenant_id = v_tenant_id for update skip locked;
    continue when not found;

    -- A statement of its own, so that it sees what a call has chained that held the head before.
    for v_entry in
      select l.*
      from robot_brain.audit_logs l
      where l.tenant_id = v_tenant_id and l.n is null
      order by l.id
      limit p_most - v_chained
    loop
      v_entry.n := v_head.n + 1;
      v_entry.chained_at := v_now;
      v_entry.hash := robot_brain.audit_hash(v_head.hash, v_entry);
      update robot_brain.audit_logs l
      set n = v_entry.n, hash = v_entry.hash, chained_at = v_entry.chained_at
      where l.tenant_id = v_tenant_id and l.created_at = v_entry.created_at and l.id = v_entry.id;
      v_head.n := v_entry.n;
      v_head.hash := v_entry.hash;
      v_chained := v_chained + 1;
    end loop;
    update robot_brain.audit_heads h set n = v_head.n, hash = v_head.hash where h.tenant_id = v_tenant_id;
    exit when v_chained >= p_most;
  end loop;
  return v_chained;
end
$$;

grant execute on function robot_brain.chain_audit to robot_brain_owner;
