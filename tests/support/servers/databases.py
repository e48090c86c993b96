"""One database per test, cloned from a template. The template is migrated once per server and test run."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from ops.migrate import migrate
from tests.support.servers.address import Address
from tests.support.servers.postgres import MIGRATOR, Postgres

APP = "robot_brain_app_a"
TEMPLATE = "robot_brain_template"


@dataclass(frozen=True)
class Database:
    """One migrated, empty database.

    `app_url` is DATABASE_URL, for the login APP. It goes through the pooler if `kind` is pooled. `direct_url` is
    DIRECT_DATABASE_URL, for the role that migrates. It never goes through the pooler.
    """

    kind: str
    name: str
    app_url: str
    direct_url: str
    postgres: Postgres

    def admin(self) -> psycopg.Connection:
        """Return an autocommit connection of the superuser, not through the pooler. Close it with `with`."""
        return self.postgres.admin(self.name)

    def app(self) -> psycopg.Connection:
        """Return an autocommit connection as the functions open it; close it with `with`."""
        return psycopg.connect(self.app_url, autocommit=True, prepare_threshold=None)


@dataclass(frozen=True)
class Template:
    """A server whose template database is migrated, and at which APP can log in."""

    postgres: Postgres
    app_password: str

    def app_url(self, dbname: str, through: Address | None = None) -> str:
        """Return APP's URL of `dbname`, at the address `through`, or at the server itself without it."""
        return (through or self.postgres.address).url(APP, self.app_password, dbname)

    @contextmanager
    def clone(self, kind: str, through: Address | None = None) -> Iterator[Database]:
        """Make a database for one test. Drop it afterwards, and end the connections that are still open."""
        name = f"test_{secrets.token_hex(6)}"
        admin = self.postgres.kept_admin()
        admin.execute(
            sql.SQL("create database {} template {} strategy file_copy owner {}").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE), sql.Identifier(MIGRATOR)
            )
        )
        _repeat_grants(admin, name)
        try:
            yield Database(kind, name, self.app_url(name, through), self.postgres.direct_url(name), self.postgres)
        finally:
            drop_database(self.postgres.kept_admin(), name)


def make_template(postgres: Postgres) -> Template:
    """Migrate a template database as the role that Neon gives, and let APP log in. Once per server."""
    app_password = secrets.token_urlsafe(24) if postgres.migrator_password else ""
    with postgres.admin() as admin:
        create_database(admin, TEMPLATE)
        migrate(postgres.direct_url(TEMPLATE))
        set_app_login(admin, app_password)
        # No functions use it, so RETIRE= must not take it for another deployment of the cluster.
        admin.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(TEMPLATE)))
    return Template(postgres, app_password)


def create_database(admin: psycopg.Connection, name: str, options: LiteralString = "") -> None:
    """Make an empty database that belongs to the migrating role."""
    admin.execute(
        sql.SQL("create database {} template template0 owner {} {}").format(
            sql.Identifier(name), sql.Identifier(MIGRATOR), sql.SQL(options)
        )
    )


def drop_database(admin: psycopg.Connection, name: str) -> None:
    """Drop a database, and end the connections to it."""
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def set_app_login(admin: psycopg.Connection, password: str) -> None:
    """Let APP log in with `password`. If `password` is empty, the server must trust it."""
    admin.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(APP), password or None))


def _repeat_grants(admin: psycopg.Connection, name: str) -> None:
    """Copy the template database's own rights to `name`, because a clone does not have them."""
    # We copy them and grant nothing ourselves, so the tests show if the migrations forget a right.
    admin.execute(
        """
        update pg_database clone set datacl = template.datacl from pg_database template
        where clone.datname = %s and template.datname = %s
        """,
        [name, TEMPLATE],
    )
