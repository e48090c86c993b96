"""One database per test: cloned from a template that was migrated once per server and run."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ops.migrate import migrate
from tests.support.servers.address import Address
from tests.support.servers.postgres import MIGRATOR, Postgres

APP = "robot_brain_app"
TEMPLATE = "robot_brain_template"


@dataclass(frozen=True)
class Database:
    """One migrated, empty database.

    `app_url` is DATABASE_URL (as robot_brain_app, through the pooler where `kind` is pooled), `direct_url` is
    DIRECT_DATABASE_URL (as the role that migrates, never through the pooler).
    """

    kind: str
    name: str
    app_url: str
    direct_url: str
    postgres: Postgres

    def admin(self) -> psycopg.Connection:
        """Return an autocommit connection of the superuser, past the pooler; close it with `with`."""
        return self.postgres.admin(self.name)

    def app(self) -> psycopg.Connection:
        """Return an autocommit connection as the functions open it; close it with `with`."""
        return psycopg.connect(self.app_url, autocommit=True, prepare_threshold=None)


@dataclass(frozen=True)
class Template:
    """A server whose template database is migrated, and where robot_brain_app can log in."""

    postgres: Postgres
    app_password: str

    def app_url(self, dbname: str, through: Address | None = None) -> str:
        """Return robot_brain_app's URL of `dbname`, at the address `through` or else at the server itself."""
        return (through or self.postgres.address).url(APP, self.app_password, dbname)

    @contextmanager
    def clone(self, kind: str, through: Address | None = None) -> Iterator[Database]:
        """Make a database for one test, and drop it afterwards with whoever is still connected to it."""
        name = f"test_{secrets.token_hex(6)}"
        with self.postgres.admin() as admin:
            admin.execute(
                sql.SQL("create database {} template {} strategy file_copy owner {}").format(
                    sql.Identifier(name), sql.Identifier(TEMPLATE), sql.Identifier(MIGRATOR)
                )
            )
            _repeat_grants(admin, name)
        try:
            yield Database(kind, name, self.app_url(name, through), self.postgres.direct_url(name), self.postgres)
        finally:
            # Another connection: a test may have started the server anew.
            with self.postgres.admin() as admin:
                drop_database(admin, name)


def make_template(postgres: Postgres) -> Template:
    """Migrate a template database as the role that Neon gives, and let robot_brain_app log in (once per server)."""
    app_password = secrets.token_urlsafe(24) if postgres.migrator_password else ""
    with postgres.admin() as admin:
        create_database(admin, TEMPLATE)
        migrate(postgres.direct_url(TEMPLATE))
        set_app_login(admin, app_password)
    return Template(postgres, app_password)


def create_database(admin: psycopg.Connection, name: str) -> None:
    """Make an empty database that belongs to the migrating role."""
    admin.execute(
        sql.SQL("create database {} template template0 owner {}").format(sql.Identifier(name), sql.Identifier(MIGRATOR))
    )


def drop_database(admin: psycopg.Connection, name: str) -> None:
    """Drop a database, connections to it included."""
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def set_app_login(admin: psycopg.Connection, password: str) -> None:
    """Let robot_brain_app log in with `password`; with none (trust) where it is empty."""
    admin.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(APP), password or None))


def _repeat_grants(admin: psycopg.Connection, name: str) -> None:
    """Give `name` the rights that the migrations set on the template database itself: a clone does not have them."""
    # As it is, and not granted anew statement by statement, so that a right the migrations forget shows in the tests.
    admin.execute(
        """
        update pg_database clone set datacl = template.datacl from pg_database template
        where clone.datname = %s and template.datname = %s
        """,
        [name, TEMPLATE],
    )
