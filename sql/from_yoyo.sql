-- Add the parts of migrations/0001_base.sql that a schema applied by yoyo-migrations lacks: policies that need no
-- function, and a comment. `make migrate` runs this file once, when it takes such a database over (ops/takeover.py).

set local lock_timeout = '5s';
set local statement_timeout = '60s';

set local role robot_brain_owner;

-- Requests lock the tables in the same order, which avoids deadlocks.
do $$
declare
  v_table text;
begin
  foreach v_table in array array[
    'idempotency_keys', 'sessions', 'conversations', 'robot_interactions', 'users', 'user_profiles', 'audit_logs'
  ] loop
    execute format(
      'alter policy tenant on robot_brain.%I using (tenant_id = nullif(pg_catalog.current_setting(%L, true), %L))',
      v_table, 'robot_brain.tenant_id', ''
    );
  end loop;
end
$$;

set local role robot_brain_stats;

alter policy tenant_reads on robot_brain.uncounted
  using (tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), ''));
alter policy tenant_writes on robot_brain.uncounted
  with check (tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), ''));

do $$
declare
  v_table text;
begin
  foreach v_table in array array['tenant_stats', 'personality_stats', 'daily_stats', 'refresh_state'] loop
    execute format(
      'alter policy tenant on robot_brain.%I
        using (tenant_id in (nullif(pg_catalog.current_setting(%L, true), %L), %L))',
      v_table, 'robot_brain.tenant_id', '', '*'
    );
  end loop;
end
$$;

set local role robot_brain_owner;
-- squawk-ignore ban-drop-function
drop function robot_brain.current_tenant();
comment on schema robot_brain_api is 'The SQL functions of Robot Brain: one for each request. The app may use nothing else';
reset role;
