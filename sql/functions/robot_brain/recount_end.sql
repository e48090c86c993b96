-- Last step of make ops DO=recount (sql/README.md). The next refresh then rebuilds session_stats.
set local role robot_brain_stats;

create or replace function robot_brain.recount_end()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update robot_brain.refresh_state r set view_due = true where r.tenant_id = '*';
end;
