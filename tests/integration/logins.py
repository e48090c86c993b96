"""Log in as each role that has the rights of the functions."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.support.servers.databases import APP, Database

# robot_brain_app and its members. test_privileges.py compares them with the catalogue.
LOGINS = ("robot_brain_app", "robot_brain_app_a", "robot_brain_app_b")

# One for the whole run, because a pooler remembers passwords.
_PASSWORD = secrets.token_urlsafe(24)


@contextmanager
def login_url(database: Database, role: str) -> Iterator[str]:
    """Let `role` log in during the block, and yield its URL. It leads through the pooler if `app_url` does."""
    if role == APP:
        yield database.app_url
        return
    name = sql.Identifier(role)
    password = _PASSWORD if database.postgres.superuser_password else None
    with database.admin() as admin:
        admin.execute(sql.SQL("alter role {} login password {}").format(name, password))
    try:
        yield _as(database.app_url, role, password)
    finally:
        with database.admin() as admin:
            admin.execute(sql.SQL("alter role {} nologin password null").format(name))


@contextmanager
def login(database: Database, role: str) -> Iterator[psycopg.Connection]:
    """Let `role` log in during the block, and yield an autocommit connection of it."""
    with (
        login_url(database, role) as url,
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection,
    ):
        yield connection


def _as(url: str, role: str, password: str | None) -> str:
    parts = urlsplit(url)
    credentials = f"{role}:{password}" if password else role
    return parts._replace(netloc=f"{credentials}@{parts.netloc.rpartition('@')[2]}").geturl()
