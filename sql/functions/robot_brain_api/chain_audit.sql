-- Chain up to 2,000 entries of the audit trail. Returns {"audit_chained": number, "has_more": whether there may be more}.
set local role robot_brain_owner;

create or replace function robot_brain_api.chain_audit(p_schema_version integer default null, out body text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  c_most constant integer := 2000;
  v_chained integer;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  v_chained := robot_brain.chain_audit(c_most);
  body := json_build_object('audit_chained', v_chained, 'has_more', v_chained >= c_most);
end
$$;

grant execute on function robot_brain_api.chain_audit to robot_brain_app;
