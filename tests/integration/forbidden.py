"""Statements that no login of the functions may run, by what they would do."""

from typing import LiteralString

FORBIDDEN: dict[str, LiteralString] = {
    "create a schema": "create schema mine",
    "create a table": "create table public.mine ()",
    "create a table in our schema": "create table robot_brain.mine ()",
    "create a table in the API": "create table robot_brain_api.mine ()",
    "create a temporary table": "create temporary table mine ()",
    "create a view": "create view public.mine as select 1",
    "create a sequence": "create sequence public.mine",
    "create a type": "create type public.mine as enum ('a')",
    "create a function": "create function public.mine() returns int language sql return 1",
    "create a temporary function": "create function pg_temp.mine() returns int language sql return 1",
    "create a function in the API": "create function robot_brain_api.mine() returns int language sql return 1",
    "replace a function of the API": """
        create or replace function robot_brain_api.health(int, int) returns text language sql return ''
    """,
    "drop a function of the API": "drop function robot_brain_api.health(integer, integer)",
    "create a role": "create role mine",
    "give itself a role": "grant robot_brain_owner to current_user",
    "give itself a right": "grant select on robot_brain.conversations to current_user",
    "become a superuser": "alter role current_user superuser",
    "bypass row-level security": "alter role current_user bypassrls",
    "log in again after its retirement": "alter role current_user login",
    "open more connections": "alter role current_user connection limit -1",
    "use its password for longer": "alter role current_user valid until 'infinity'",
    "change the password of another login": "alter role robot_brain_migrator password 'mine'",
    "change the settings of another login": "alter role robot_brain_migrator set statement_timeout = 0",
    "change the settings of all roles": "alter role all set statement_timeout = 0",
    "change the comment of a login": "comment on role robot_brain_app_b is 'mine'",
    "drop a login": "drop role robot_brain_app_b",
    "change the database": """
      do $$ begin execute format('alter database %I set work_mem = 64', current_database()); end $$
    """,
    "create a database": "create database mine",
    "create an event trigger": "create event trigger mine on ddl_command_start execute function robot_brain.mine()",
    "create a foreign data wrapper": "create foreign data wrapper mine",
    "create a publication for all tables": "create publication mine for all tables",
    "drop a table": "drop table robot_brain.sessions",
    "change a table": "alter table robot_brain.sessions disable row level security",
    "lock a table": "do 'begin lock table robot_brain.sessions in access share mode; end'",
    "create a policy": "create policy mine on robot_brain.sessions using (true)",
    "refresh the view by itself": "refresh materialized view robot_brain.session_stats",
    "switch triggers off": "set session_replication_role = replica",
    "change the server": "alter system set work_mem = '1GB'",
    "load a library": "load 'plpgsql.so'",
    "reload the settings": "select pg_catalog.pg_reload_conf()",
    "list a folder": "select pg_catalog.pg_ls_dir('.')",
    "import a file": "select pg_catalog.lo_import('/etc/hostname')",
    "end a connection of the owner": """
      select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where usename = 'postgres'
    """,
    "read a file": "select pg_catalog.pg_read_file('PG_VERSION')",
    "write a file": "copy (select 1) to '/dev/null'",
    "run a program": "copy (select 1) to program 'true'",
    "read password hashes": "select rolpassword from pg_catalog.pg_authid",
}
