"""Databases to back up and to restore into, the roles that do it, and what a database holds."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from psycopg import sql

from ops.archive import SCHEMAS
from ops.audit_chains import verify_chains
from ops.backup import backup
from ops.progress import Progress
from ops.restore import restore
from ops.roles import ROLES
from tests.integration.catalogue import catalogue
from tests.integration.months import make_months, move_to
from tests.integration.user_rows import fill, step
from tests.support.bundle import Bundle, Json, deployed, turn
from tests.support.servers.databases import Database, Template, set_app_login
from tests.support.servers.postgres import MIGRATOR, SUPERUSER, Postgres

# Each makes backups and restores them: a superuser, a role as Neon's console makes it, and a role made in SQL.
KINDS = ("superuser", "console", "sql")
CONSOLE = "robot_brain_console"
# The console's role is a member of a role like neon_superuser.
_PROVIDER = "provider_superuser"
OWNERS = {"superuser": SUPERUSER, "console": CONSOLE, "sql": MIGRATOR}
# What a turn may have. The texts hold what an archive has to quote.
TURN = turn(
    1,
    user_message="tab\tline\nback\\slash \\. '' $$ %s ünï🤖",
    items=[{"call": "a\\nb"}],
    metadata={"mood": "👍"},
    interaction={"interaction_type": "order", "duration_ms": 5, "success": True},
)
KEY = {"idempotency-key": "key of the backup"}
_RELATIONS = """
select format('%%I.%%I', n.nspname, c.relname), c.relkind
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) and c.relkind in ('r', 'm') order by 1
"""
Rows = dict[str, list[str]]


@contextlib.contextmanager
def kinds_of_roles(postgres: Postgres) -> Iterator[None]:
    """Make the console's role on this server, and drop it at the end of the block."""
    with postgres.admin() as admin:
        console, provider = sql.Identifier(CONSOLE), sql.Identifier(_PROVIDER)
        admin.execute(sql.SQL("create role {} nologin createdb createrole bypassrls replication").format(provider))
        admin.execute(
            sql.SQL("grant pg_read_all_data, pg_write_all_data, pg_monitor to {} with admin option").format(provider)
        )
        admin.execute(
            sql.SQL("create role {} login createdb createrole bypassrls replication password {} in role {}").format(
                console, postgres.migrator_password or None, provider
            )
        )
    try:
        yield
    finally:
        with postgres.admin() as admin:
            for name in (CONSOLE, _PROVIDER):
                # What it was granted in databases that live on.
                admin.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
                admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def share_roles(postgres: Postgres) -> None:
    """Let the console's role grant our roles, which the other one made, as the sentence for a second owner says."""
    with postgres.admin() as admin:
        admin.execute(
            sql.SQL("grant {} to {} with admin option").format(
                sql.SQL(", ").join(map(sql.Identifier, ROLES)), sql.Identifier(CONSOLE)
            )
        )


def url_of(postgres: Postgres, kind: str, dbname: str) -> str:
    """Return DIRECT_DATABASE_URL of `dbname` for a role of this kind."""
    password = postgres.superuser_password if kind == "superuser" else postgres.migrator_password
    return postgres.address.url(OWNERS[kind], password, dbname)


@contextlib.contextmanager
def new_database(postgres: Postgres, owner: str, template: str = "template0", name: str = "") -> Iterator[str]:
    """Make a database of `owner` for the block, and yield its name."""
    name = name or f"test_{secrets.token_hex(6)}"
    with postgres.admin() as admin:
        admin.execute(
            sql.SQL("create database {} template {} strategy file_copy owner {}").format(
                *map(sql.Identifier, (name, template, owner))
            )
        )
    try:
        yield name
    finally:
        with postgres.admin() as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def quietly(stream: StringIO | None = None) -> Progress:
    """Return a progress that no terminal shows."""
    return Progress(stream or StringIO())


def fill_database(database: Database) -> None:
    """Store something in each table: two months and DEFAULT, items, people, erasures, keys, and uncounted rows."""
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        assert bundle.write("long", {"messages": [TURN, turn(2), turn(3)]}, KEY).status == 201
        for session in ("older", "ancient", "short", "gone"):
            assert bundle.write(session, TURN).status == 201
        for user in ("ann", "bob"):
            body = {"email": f"{user}@example.com", "profile": {"first_name": user.title()}}
            assert bundle.user("PUT", user, body).status == 201
        assert bundle.user("DELETE", "bob").status == 204
        assert bundle.erase("gone").status == 204
        assert bundle.replace("long", 2, {"user_message": "changed", "robot_response": "so"}).status == 200
        with database.admin() as admin, database.app() as app:
            move_to(database, "older", "now() - interval '1 month'")
            make_months(app)
            move_to(database, "ancient", "timestamptz '2001-01-15 12:00:00+00'")
            bundle.refresh()
            make_months(app)
            move_to(database, "ancient", "timestamptz '1999-01-15 12:00:00+00'")
            # The first step marks over 100 sessions, and erases none of them.
            fill(admin, "kim", 101, 1)
            assert step(app, "kim") != "erased"
        # Neither counted nor chained.
        assert bundle.write("short", turn(2)).status == 201
        with database.admin() as admin:
            # A restore fills the view from the sessions. So make it current here, and leave the write uncounted.
            admin.execute("refresh materialized view robot_brain.session_stats")


def rows_of(postgres: Postgres, dbname: str) -> Rows:
    """Return the rows of each table of our schemas in the table's own order. Those of the view have no order."""
    with postgres.admin(dbname) as admin:
        admin.execute("set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'")
        relations = admin.execute(_RELATIONS, [list(SCHEMAS)]).fetchall()
        rows = {
            name: [row for (row,) in admin.execute(f"select t::text from only {name} t".encode())]
            for name, _ in relations
        }
        return {name: sorted(rows[name]) if kind == "m" else rows[name] for name, kind in relations}


def objects_of(postgres: Postgres, dbname: str) -> list[str]:
    """Return the lines of the catalogue that a backup holds."""
    with postgres.admin(dbname) as admin:
        # Logins and their members belong to the cluster, and the rights to a database name its owner.
        lines = [line for line in catalogue(admin) if not line.startswith(("database", "role", "member"))]
    # A restore leaves no trace of a dropped column, so those after it have other numbers.
    lines = [re.sub(r"^(column \S+ \S+) \d+", r"\1", line) for line in lines if "pg.dropped" not in line]
    # PostgreSQL parses the text of a check again, and then spells its casts in another way.
    casts = re.compile(r"::character varying|::text(\[\])?|[()]")
    return sorted(casts.sub("", line) if line.startswith("constraint") else line for line in lines)


def figures(bundle: Bundle) -> Json:
    """Return /stats without the age of the figures."""
    reply = bundle.stats()
    assert reply.status == 200, reply.body
    return {name: value for name, value in reply.json.items() if name not in ("as_of", "age_seconds")}


def assert_broken_nowhere(direct_url: str) -> None:
    """Assert that audit-verify finds no break."""
    results = list(verify_chains(direct_url, None, lambda line: None))
    assert results
    assert [(result.tenant, result.wrong) for result in results if result.broken] == []


@dataclass(frozen=True)
class Source:
    """A database with rows, and the backups that each kind of role made of it."""

    database: Database
    rows: Rows
    objects: list[str]
    figures: Json
    archives: dict[str, Path]

    @property
    def postgres(self) -> Postgres:
        return self.database.postgres

    def archive(self, kind: str) -> Path:
        """Return the backup of this kind of role, or of a superuser if the kind may make none."""
        return self.archives.get(kind, self.archives["superuser"])


@contextlib.contextmanager
def filled(template: Template, kind: str, folder: Path) -> Iterator[Source]:
    """Yield a database with rows, and its backups in `folder`."""
    with template.clone(kind) as database:
        fill_database(database)
        with deployed({"DATABASE_URL": database.app_url}) as bundle:
            found = figures(bundle)
        archives = {}
        for role in ("superuser", "console"):
            archives[role] = folder / f"{kind}-{role}.dump"
            backup(url_of(database.postgres, role, database.name), archives[role], quietly())
        there = database.postgres, database.name
        yield Source(database, rows_of(*there), objects_of(*there), found, archives)


def restored(postgres: Postgres, kind: str, dbname: str, archive: Path, **options: bool) -> list[str]:
    """Restore as this kind of role. Return what the command said."""
    said: list[str] = []
    restore(url_of(postgres, kind, dbname), archive, quietly(), said.append, **options)
    return said


def app_of(template: Template, postgres: Postgres, dbname: str) -> Database:
    """Return the database as the functions see it. On another cluster the login gets its password first."""
    if postgres is not template.postgres:
        with postgres.admin() as admin:
            set_app_login(admin, template.app_password)
    there = replace(template, postgres=postgres)
    return Database("restored", dbname, there.app_url(dbname), postgres.direct_url(dbname), postgres)


def changes_of(database: Database) -> dict[str, Any]:
    """Write, replay, refresh, read and erase. Return the statuses."""
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        written = bundle.write("long", turn(9))
        replayed = bundle.write("long", {"messages": [TURN, turn(2), turn(3)]}, KEY)
        refreshed = bundle.refresh()
        read = bundle.read("long")
        return {
            "write": (written.status, written.json.get("last_seq")),
            "replay": (replayed.status, replayed.headers.get("idempotent-replayed")),
            "refresh": bool(refreshed),
            "read": (read.status, [each["seq"] for each in read.json["messages"]]),
            "text": read.json["messages"][0]["user_message"],
            "older": [bundle.read(each).json["session"]["message_count"] for each in ("older", "ancient")],
            "erase": bundle.erase("short").status,
            "erased": bundle.read("short").status,
            "stats": bundle.stats().status,
        }
