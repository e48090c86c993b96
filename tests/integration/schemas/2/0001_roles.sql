-- Robot Brain: the conversation memory of chat robots, inside PostgreSQL.
--
-- The database is the API's core. A Lambda function parses a request, calls ONE function of the schema
-- robot_brain_api, and sends the JSON that this function assembled. One request is one statement is one
-- transaction is one round trip, so it is right behind a transaction-mode pooler and needs no state in the session.
--
--   0001_roles.sql         who may do what
--   0002_tables.sql        what is kept: sessions, conversations (turns), interactions, idempotency keys, users, audit
--   0003_partitions.sql    turns live in months; a missing month never loses a turn
--   0004_statistics.sql    figures that cost what happened since the last refresh, not what is stored
--   0005_api.sql           the SQL functions of robot_brain_api
--   0006_recount.sql       what `make recount` calls
--
-- Roles
--   robot_brain_owner   owns schemas, tables and functions. Cannot log in, does not bypass row-level security (RLS).
--   robot_brain_stats   works across tenants: it counts, and clears expired idempotency keys. It reaches the tables of
--                       the owner through policies of its own. Cannot log in.
--   robot_brain_app     what the functions log in as: it may EXECUTE the functions of robot_brain_api and nothing else.
--
-- Tenants
--   Every table has tenant_id; RLS is enabled and forced. A door sets robot_brain.tenant_id for its own transaction
--   (set_config(..., true)) and names the tenant in every condition besides: the condition finds the rows, the policy
--   stands behind a condition that somebody forgets one day.
--
-- A session's turns
--   The session's row is the lock and the counter. write_message raises message_count under that lock, so seq is
--   1, 2, 3 ... without gap or double; created_at is read from the clock while the lock is held, and never before the
--   session's last_active, so time never runs against seq.
--
-- Errors that the doors raise have SQLSTATEs of their own; a caller tells them apart by these, never by their words:
--   RB409   the write came after its own repeat, which has written it
--   RB412   the session is not in the state that If-Match names; DETAIL is JSON: {last_seq, etag}
--   RB422   the idempotency key was used for another request; DETAIL is JSON: {session_id, seq} of the first one
--   RB423   the session's user_metadata would be larger than 16 KiB
--   RB503   the caller needs a newer schema than this one
--
-- Versions
--   Each function's last parameter, p_schema_version, is the schema version that its caller was written for. An older
--   schema would silently drop what it does not know, so it refuses the call. Callers name their parameters: a new one
--   comes last, with a default, so the functions of the release before go on.
--
-- Settings
--   No answer may depend on DateStyle, TimeZone or another setting of a session, role or database. Values become text
--   by functions that read no setting (to_char, json_build_object of text, numeric and date). UTC is written
--   interval '0': to PostgreSQL 18 the name UTC is an abbreviation of the session's own zone first, and with
--   TimeZone 'UTC+3' it is three hours late. Ties are ordered by code point (collate "C").
--
-- Migrations are applied once each, in order, every file in a transaction of its own, under an advisory lock.
-- The migrating role owns the database and has CREATEDB and CREATEROLE, which is what Neon gives, and no more.

set local lock_timeout = '5s';
set local statement_timeout = '60s';

do $$
begin
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'the database % has the encoding %, and Robot Brain needs UTF8',
      current_database(), current_setting('server_encoding')
      using hint = 'Create the database with: create database ... encoding ''UTF8'' template template0';
  end if;
end
$$;

do $$
declare
  v_role text;
begin
  foreach v_role in array array['robot_brain_owner', 'robot_brain_stats', 'robot_brain_app'] loop
    -- Roles belong to the whole cluster: the migration of another database may have made them.
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I nologin', v_role);
    end if;
  end loop;
end
$$;

-- To hand objects to these roles one has to be their member. PostgreSQL 16 and later make the creator of a role its
-- administrator only, 15 not even that; this statement is valid, and enough, on all of them.
grant robot_brain_owner to current_user;
grant robot_brain_stats to current_user;

-- Neon's pooler refuses settings at connection time and leaks a plain SET to its next client, so the timeouts of the
-- runtime role sit on the role. A request is one statement: statement_timeout bounds the transaction too.
alter role robot_brain_app set statement_timeout = '10s';
alter role robot_brain_app set lock_timeout = '5s';
alter role robot_brain_app set idle_in_transaction_session_timeout = '10s';
alter role robot_brain_app set default_transaction_isolation = 'read committed';
-- The server may have other defaults. Without row_security each function fails; in another encoding texts are lost.
alter role robot_brain_app set row_security = on;
alter role robot_brain_app set client_encoding = 'UTF8';

do $$
begin
  execute format('grant connect on database %I to robot_brain_app', current_database());
  -- PUBLIC may create temporary tables by default. The statistics need that (REFRESH ... CONCURRENTLY), the app does not.
  execute format('revoke temporary on database %I from public', current_database());
  execute format('grant temporary on database %I to robot_brain_stats', current_database());
  if to_regnamespace('public') is not null and has_schema_privilege('robot_brain_app', 'public', 'create') then
    revoke create on schema public from public;
  end if;
end
$$;

create schema robot_brain authorization robot_brain_owner;
create schema robot_brain_api authorization robot_brain_owner;

set local role robot_brain_owner;

comment on schema robot_brain is 'Tables and internal functions of Robot Brain; nobody but its own functions reads them';
comment on schema robot_brain_api is 'The doors of Robot Brain: one function per request, the only thing the app may use';

alter default privileges for role robot_brain_owner revoke execute on functions from public;
grant usage on schema robot_brain_api to robot_brain_app;
grant usage on schema robot_brain to robot_brain_stats;

-- The version of this schema. A change that a caller relies on, of a table or a function, raises it.
create function robot_brain.schema_version()
returns integer
language sql
immutable
parallel safe
return 2;

-- Raises RB503. A function calls it if its caller needs a newer schema.
create function robot_brain.refuse_version(p_schema_version integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using
    errcode = 'RB503',
    message = format('the schema has version %s, and the caller needs %s', robot_brain.schema_version(), p_schema_version),
    hint = 'Run make migrate with DIRECT_DATABASE_URL.';
end
$$;

-- A moment the way the API writes it: UTC whatever the server's TimeZone, always six digits.
create function robot_brain.iso_time(p_time timestamptz)
returns text
language sql
stable
strict
parallel safe
return pg_catalog.to_char(p_time at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- The tenant of the running transaction, null where none was set. On a server connection that once had a tenant the
-- setting comes back as '' and not as null, hence nullif.
create function robot_brain.current_tenant()
returns text
language sql
stable
parallel safe
return nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), '');

reset role;

alter default privileges for role robot_brain_stats revoke execute on functions from public;
