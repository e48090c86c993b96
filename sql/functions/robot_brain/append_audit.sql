-- Append an entry to the audit trail, in the transaction of what it records. The next refresh chains it. So the call
-- touches no row of another request.
--   p_table_name   the table that was changed
--   p_record_id    the id of the session or of the user
--   p_action       INSERT, UPDATE, DELETE, EXPORT or ERASE
--   p_old, p_new   ids, names of columns, counts and times. No texts, items, e-mails, names or hashes
--   p_actor        who acted, or null if the gateway does not say it
-- The tenant '*' is that of an operator's commands.
set local role robot_brain_audit;

create or replace function robot_brain.append_audit(
  p_tenant_id text,
  p_table_name text,
  p_record_id text,
  p_action text,
  p_old jsonb,
  p_new jsonb,
  p_actor text,
  p_request_id text
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Callers that need a plan for each call would have this insert planned again, too. It has only one plan.
set plan_cache_mode = force_generic_plan
as $$
begin
  insert into robot_brain.audit_logs (
    tenant_id, table_name, record_id, action, old_data, new_data, user_id, request_id, created_at
  )
  values (
    p_tenant_id, p_table_name, p_record_id, p_action, p_old, p_new, left(p_actor, 1024), left(p_request_id, 100),
    clock_timestamp()
  );
end
$$;

grant execute on function robot_brain.append_audit to robot_brain_owner, robot_brain_stats;
