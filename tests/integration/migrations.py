"""Running migrations as an operator does, and looking at what they left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.databases import drop_database
from tests.servers.postgres import MIGRATOR, SUPERUSER, Postgres
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path.stem for path in (ROOT / "sql").glob("*.sql"))
RECORDS = "robot_brain_migrations"

_SCHEMA = """
with ours as (select oid, nspname from pg_namespace where nspname in ('robot_brain', 'robot_brain_api'))
select 'schema ' || nspname || ' ' || n.nspowner::regrole::text || coalesce(n.nspacl::text, '')
from pg_namespace n join ours using (oid, nspname)
union all
select format('%s %s.%s %s %s %s %s %s', relkind, nspname, relname, relowner::regrole, relacl, relrowsecurity,
  relforcerowsecurity, pg_get_expr(relpartbound, c.oid))
from pg_class c join ours on ours.oid = relnamespace
union all
select format('column %s.%s %s %s', nspname, relname, attname, format_type(atttypid, atttypmod))
from pg_attribute a join pg_class c on c.oid = attrelid join ours on ours.oid = relnamespace where attnum > 0
union all
select format('function %s.%s %s %s %s', nspname, p.oid::regprocedure, proowner::regrole, proacl, md5(prosrc))
from pg_proc p join ours on ours.oid = pronamespace
union all
select format('policy %s.%s %s %s %s %s', nspname, relname, polname, polcmd, polroles::regrole[],
  pg_get_expr(polqual, polrelid))
from pg_policy join pg_class c on c.oid = polrelid join ours on ours.oid = relnamespace
union all
select format('constraint %s.%s %s', nspname, conname, pg_get_constraintdef(t.oid))
from pg_constraint t join ours on ours.oid = connamespace where contype <> 'n'
order by 1
"""


@contextmanager
def migrating(direct_url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `python -m local.migrate` beside the test; kill it if the test leaves before it ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.migrate"],
        cwd=ROOT,
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


def finish(process: "subprocess.Popen[str]") -> list[str]:
    """Wait for a migration that must succeed, and return what it says it applied."""
    out, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, log
    last = out.strip().splitlines()[-1]
    if last.startswith("Nothing to do"):
        return []
    count, _, names = last.partition(" applied: ")
    applied = names.split(", ")
    assert len(applied) == int(count)
    return applied


def recorded(admin: psycopg.Connection) -> list[str]:
    """Return the names of the migrations that the database says it has, in order of their names."""
    if admin.execute(f"select to_regclass('{RECORDS}._yoyo_migration')").fetchone() == (None,):
        return []
    rows = admin.execute(f"select migration_id from {RECORDS}._yoyo_migration").fetchall()
    return sorted(name for (name,) in rows)


def schema(admin: psycopg.Connection) -> list[str]:
    """Return a line for each object of our two schemas, with its owner, rights, policies and a function's source."""
    return [line for (line,) in admin.execute(_SCHEMA).fetchall()]


def empty(cluster: Postgres) -> None:
    """Drop all databases and roles of `cluster` but the server's own and the migrating role."""
    with cluster.admin() as admin:
        for (name,) in admin.execute(
            "select datname from pg_database where not datistemplate and datname <> 'postgres'"
        ).fetchall():
            drop_database(admin, name)
        for (name,) in admin.execute(
            "select rolname from pg_roles where rolname !~ '^pg_' and rolname <> all (%s)",
            [[SUPERUSER, MIGRATOR]],
        ).fetchall():
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
