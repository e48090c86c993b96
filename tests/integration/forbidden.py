"""Statements that robot_brain_app may not run, by what they would do."""

from typing import LiteralString

from tests.support.servers.databases import APP

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
    "give itself a role": f"grant robot_brain_owner to {APP}",
    "give itself a right": f"grant select on robot_brain.conversations to {APP}",
    "become a superuser": f"alter role {APP} superuser",
    "bypass row-level security": f"alter role {APP} bypassrls",
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
    "read a file": "select pg_catalog.pg_read_file('PG_VERSION')",
    "write a file": "copy (select 1) to '/dev/null'",
    "run a program": "copy (select 1) to program 'true'",
    "read password hashes": "select rolpassword from pg_catalog.pg_authid",
}
