"""Run migrations as an operator does, and read their results."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from local.settings import ROOT
from ops.sql_files import read_sql
from tests.support.servers.databases import drop_database
from tests.support.servers.gate import Gate
from tests.support.servers.postgres import MIGRATOR, SUPERUSER, Postgres
from tests.support.waiting import outputs_of

_SQL = read_sql()
# The names of all files, in the order in which an empty database gets them.
FILES = [file.name for file in [*_SQL.migrations, *_SQL.functions]]
# How many of them the records can hold before the last transaction. Each migration outside a transaction is one step.
_STEPS = [0] + [number + step for number, file in enumerate(_SQL.migrations) if file.runs_outside for step in (0, 1)]

# A migration that found the lock taken and will soon try again.
WAITS_FOR_MIGRATION = """
select pid from pg_stat_activity
where datname = current_database() and application_name = 'robot-brain-migrate'
  and strpos(query, 'pg_catalog.pg_locks') > 0 and state = 'idle'
"""

# Returns a row as soon as the server process with this pid has ended.
PROCESS_ENDED = "select 1 where not exists (select from pg_stat_activity where pid = %s)"

# A migration that makes a table.
TABLE = "set local role robot_brain_owner;\ncreate table robot_brain.{} (tenant_id text not null);\n"


@contextmanager
def migrating(direct_url: str, root: Path = ROOT) -> Iterator["subprocess.Popen[str]"]:
    """Run `python -m ops migrate` of `root` during the block, and kill it if it still runs at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "migrate"],
        cwd=root,
        env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": direct_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def killed_at(gate: Gate, direct_url: str, statement: int, root: Path = ROOT) -> Iterator[int]:
    """Kill a migration that waits before its `statement`, and yield the pid of its server process."""
    gate.close(statement)
    with migrating(direct_url, root) as process:
        backend = gate.wait_for_arrival(process)
        process.kill()
        process.wait()
        yield backend


def add(sql: Path, name: str, text: str) -> str:
    """Write a file of sql/ and return its name."""
    (sql / f"{name}.sql").write_text(text, encoding="utf-8")
    return name


def finish(process: "subprocess.Popen[str]") -> list[str]:
    """Wait for a migration, assert that it succeeds, and return the names of the files that it applied."""
    out, log = outputs_of(process)
    assert process.returncode == 0, log
    if out.strip().startswith("Nothing to do"):
        return []
    # If a transaction collides with one of another database's migration, it is applied and reported again.
    applied = list(dict.fromkeys(re.findall(r"^applying ([^\s,]+)", log, re.MULTILINE)))
    assert out.strip().splitlines()[-1] == f"Applied {len(applied)} files."
    return applied


def recorded(admin: psycopg.Connection) -> list[str]:
    """Return the names of the files that the database records, in the order in which they are applied."""
    if admin.execute("select to_regclass('robot_brain_migrations.files')").fetchone() == (None,):
        return []
    names = {name for (name,) in admin.execute("select name from robot_brain_migrations.files").fetchall()}
    return [*(name for name in FILES if name in names), *sorted(names - set(FILES))]


def committed(applied: int) -> list[str]:
    """Return the names of the files that are recorded after a kill, if `applied` files were applied before it."""
    return FILES[: max(step for step in _STEPS if step <= applied)]


def empty(cluster: Postgres) -> None:
    """Drop all databases and roles of `cluster` except the server's own and the migrating role."""
    with cluster.admin() as admin:
        for (name,) in admin.execute(
            "select datname from pg_database where not datistemplate and datname <> 'postgres'"
        ).fetchall():
            drop_database(admin, name)
        for (name,) in admin.execute(
            # A role cannot be dropped before the memberships that it granted.
            "select rolname from pg_roles where rolname !~ '^pg_' and rolname <> all (%s)"
            " order by rolname !~ '^robot_brain'",
            [[SUPERUSER, MIGRATOR]],
        ).fetchall():
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
