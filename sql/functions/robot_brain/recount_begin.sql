-- Step of make ops DO=recount (sql/README.md). Creates the temporary tables, and counts the sessions and interactions
-- of a tenant. A session that is being erased counts until its row goes, as in the sums. The count of
-- interactions has no condition on the time. So it reads all months and DEFAULT, and finds each one once, also if a month
-- is made meanwhile.
set local role robot_brain_stats;

create or replace function robot_brain.recount_begin(p_tenant_id text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  create temporary table if not exists recounted (
    figure text not null, name text not null, counted numeric not null
  );
  create temporary table if not exists recount_differs (
    figure text not null, name text not null, was numeric not null, counted numeric not null
  );
  truncate pg_temp.recounted, pg_temp.recount_differs;

  insert into pg_temp.recounted (figure, name, counted)
  select 'sessions', '', count(*) from robot_brain.sessions s where s.tenant_id = p_tenant_id
  union all
  select 'interactions', '', count(*) from robot_brain.robot_interactions i where i.tenant_id = p_tenant_id;
end
$$;
