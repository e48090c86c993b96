-- The audit trail, which belongs to a role of its own, and two roles that log in in turn.
-- squawk-ignore-file ban-drop-table

set local lock_timeout = '5s';
set local statement_timeout = '60s';

do $$
declare
  v_role text;
begin
  foreach v_role in array array['robot_brain_audit', 'robot_brain_app_a', 'robot_brain_app_b'] loop
    -- Roles belong to the whole cluster: the migration of another database may have made them.
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I nologin', v_role);
    end if;
  end loop;
end
$$;

-- The migrating role hands over objects to robot_brain_audit, and ends the connections of the others.
grant robot_brain_audit to current_user;
grant robot_brain_app_a to current_user;
grant robot_brain_app_b to current_user;
-- robot_brain_app holds the rights, and the two have them as its members.
grant robot_brain_app to robot_brain_app_a;
grant robot_brain_app to robot_brain_app_b;
alter default privileges for role robot_brain_audit revoke execute on functions from public;

set local role robot_brain_owner;

do $$
begin
  -- Without a tenant a forced policy shows no row. The table is dropped below.
  alter table robot_brain.audit_logs no force row level security;
  if exists (select from robot_brain.audit_logs) then
    raise exception 'robot_brain.audit_logs has rows, which no release has written'
      using hint = 'Copy the rows to another table, delete them, and run make migrate again.';
  end if;
end
$$;
drop table robot_brain.audit_logs;

-- A call that makes a month locks this table, which never has a row. Any login can take an advisory lock.
create table robot_brain.month_making (
  tenant_id varchar(128) not null,
  constraint month_making_pkey primary key (tenant_id)
);
alter table robot_brain.month_making enable row level security;
alter table robot_brain.month_making force row level security;

grant usage on schema robot_brain to robot_brain_audit;
grant create on schema robot_brain to robot_brain_audit;
reset role;

set local role robot_brain_audit;

-- Each operation with its time and its actor. It has no text of a client, only ids, names of columns, counts and times.
create table robot_brain.audit_logs (
  -- '*' is the tenant of an operator's commands
  tenant_id varchar(128) not null,
  id bigint not null generated always as identity,
  table_name varchar(50) not null,
  -- the id of the session or of the user, also for turns and profiles
  record_id varchar(255) not null,
  action varchar(10) not null,
  old_data jsonb,
  new_data jsonb,
  -- who acted: the subject of the token, the ARN of the signer, or the database role of an operator
  user_id varchar(1024),
  request_id varchar(100),
  created_at timestamptz not null,
  -- The place in the tenant's chain, its hash, and when the refresh chained the row. Null until then.
  n bigint,
  hash bytea,
  chained_at timestamptz,
  constraint audit_logs_pkey primary key (tenant_id, created_at, id),
  constraint audit_logs_action check (action in ('INSERT', 'UPDATE', 'DELETE', 'EXPORT', 'ERASE')),
  constraint audit_logs_chained check (
    (n is null and hash is null and chained_at is null)
    or (n >= 1 and hash is not null and chained_at is not null)
  )
);
comment on index robot_brain.audit_logs_pkey is 'read_audit: the entries of a tenant between two times';

-- The tables were made by this file, so no request waits for their indexes.
-- squawk-ignore require-concurrent-index-creation
create index audit_logs_record_idx on robot_brain.audit_logs (tenant_id, record_id, created_at, id);
comment on index robot_brain.audit_logs_record_idx is 'read_audit: the entries of a session or a user';

-- squawk-ignore require-concurrent-index-creation
create index audit_logs_user_idx on robot_brain.audit_logs (tenant_id, user_id, created_at, id) where user_id is not null;
comment on index robot_brain.audit_logs_user_idx is 'read_audit: what a caller did';

-- squawk-ignore require-concurrent-index-creation
create unique index audit_logs_chain_key on robot_brain.audit_logs (tenant_id, n) where n is not null;
comment on index robot_brain.audit_logs_chain_key is 'verify_audit: the chain of a tenant in its order';

-- squawk-ignore require-concurrent-index-creation
create index audit_logs_unchained_idx on robot_brain.audit_logs (tenant_id, id) where n is null;
comment on index robot_brain.audit_logs_unchained_idx is 'chain_audit: the rows that no refresh has chained yet';

-- The end of each tenant's chain.
create table robot_brain.audit_heads (
  tenant_id varchar(128) not null,
  n bigint not null,
  hash bytea not null,
  constraint audit_heads_pkey primary key (tenant_id)
);

do $$
declare
  v_table text;
begin
  foreach v_table in array array['audit_logs', 'audit_heads'] loop
    execute format('alter table robot_brain.%I enable row level security', v_table);
    execute format('alter table robot_brain.%I force row level security', v_table);
    execute format('create policy every_tenant on robot_brain.%I to robot_brain_audit using (true)', v_table);
  end loop;
end
$$;

-- A client of the functions chooses the tenant of a call, and an operator's entries are of no client.
create policy tenant on robot_brain.audit_logs for select to robot_brain_owner
  using (
    tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), '')
    and tenant_id <> '*'
  );
grant select on robot_brain.audit_logs to robot_brain_owner;

-- Append-only also for the owner of the table, which may only chain a row.
revoke update, delete, truncate on robot_brain.audit_logs from robot_brain_audit;
grant update (n, hash, chained_at) on robot_brain.audit_logs to robot_brain_audit;
revoke delete, truncate on robot_brain.audit_heads from robot_brain_audit;

reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_audit;
reset role;
