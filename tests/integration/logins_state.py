"""The login roles of the shared server, which tests of the rotation change."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from local.settings import ROOT
from ops.logins import LOGINS, PAIR
from ops.retire import retire
from tests.support.servers.databases import Database, Template, set_app_login

FIRST, SECOND = PAIR
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath)}


@contextmanager
def logins_put_back(template: Template) -> Iterator[None]:
    """Restore the logins after the block as other tests expect them. All databases of the server share them."""
    yield
    with template.postgres.admin() as admin:
        for role in LOGINS:
            admin.execute(f"alter role {role} nologin password null connection limit -1".encode())
            admin.execute(f"comment on role {role} is null".encode())
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role])
        admin.execute(f"grant robot_brain_app to {', '.join(PAIR)}".encode())
        set_app_login(admin, template.app_password)


def who(url: str) -> tuple[object, ...] | None:
    """Return the role and whether TLS is used, as a new connection sees it."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        return connection.execute("select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()


def refused(url: str) -> bool:
    """Return True once a connection was refused. Raises if it opens, or if it fails for another reason."""
    with pytest.raises(psycopg.OperationalError, match=r"authentication failed|not permitted to log in"):
        who(url)
    return True


def can_log_in(database: Database) -> list[str]:
    with database.admin() as admin:
        rows = admin.execute(
            "select rolname from pg_roles where rolname like 'robot_brain_app%' and rolcanlogin order by 1"
        ).fetchall()
    return [name for (name,) in rows]


def only(database: Database, *roles: str, password: str = "of-a-test") -> None:
    """Let only these roles log in, as if no command had given them their passwords."""
    with database.admin() as admin:
        for role in LOGINS:
            admin.execute(f"alter role {role} nologin password null".encode())
        for role in roles:
            admin.execute(f"alter role {role} login password '{password}'".encode())


def run(database: Database, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ops", "app-password", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | {"DIRECT_DATABASE_URL": database.direct_url} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


def retired(database: Database, which: str = "old", *, force: bool = True) -> list[str]:
    said: list[str] = []
    retire(database.direct_url, which, said.append, force=force, idle_seconds=0.1, call_seconds=2)
    return said


def aws(url: str) -> dict[str, str]:
    """Return the variables with which a command calls Secrets Manager at `url`, once and without a retry."""
    return {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_MAX_ATTEMPTS": "1",
    }
