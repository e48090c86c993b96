"""`make app-password` sets or changes the password of the runtime role."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from local.settings import ROOT
from ops.app_password import app_url, set_app_password
from ops.errors import MigrationError
from ops.migrate import migrate
from tests.support.marks import over_tls
from tests.support.servers.databases import APP, Database, Template, set_app_login
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.postgres import Postgres


@pytest.fixture(autouse=True)
def password_put_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Restore the role's first password. All databases of the server share the role, so other tests need it."""
    yield
    if "database" in request.fixturenames:
        template: Template = request.getfixturevalue("tls_template")
        with template.postgres.admin() as admin:
            set_app_login(admin, template.app_password)


def user_and_tls(url: str) -> tuple[object, ...] | None:
    with psycopg.connect(url, connect_timeout=10) as connection:
        return connection.execute("select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()


@over_tls
def test_the_password_has_128_bits_and_logs_in_over_verified_tls(database: Database) -> None:
    url = set_app_password(database.direct_url)

    password = urlsplit(url).password
    assert password is not None
    # In the URL-safe base64 alphabet each character holds six bits.
    assert len(password) * 6 >= 128
    assert parse_qs(urlsplit(url).query)["sslmode"] == ["verify-full"]
    assert user_and_tls(url) == (APP, True)


@over_tls
def test_a_new_password_replaces_the_previous_one(database: Database) -> None:
    first, second = set_app_password(database.direct_url), set_app_password(database.direct_url)

    assert first != second
    assert user_and_tls(second) == (APP, True)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        user_and_tls(first)


@over_tls
def test_the_pooler_takes_a_new_password_at_once(database: Database, pooler: PgBouncer) -> None:
    for _ in range(2):
        password = urlsplit(set_app_password(database.direct_url)).password
        assert password is not None
        assert user_and_tls(pooler.address.url(APP, password, database.name)) == (APP, True)


@over_tls
def test_the_password_is_stored_as_a_scram_verifier_only(database: Database) -> None:
    password = urlsplit(set_app_password(database.direct_url)).password
    assert password is not None
    with database.admin() as admin:
        row = admin.execute("select rolpassword from pg_authid where rolname = %s", [APP]).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert password not in row[0]


@over_tls
def test_the_command_prints_only_the_url_on_stdout(database: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "app-password"],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": database.direct_url},
        capture_output=True,
        text=True,
        check=True,
    )
    (url,) = done.stdout.splitlines()
    assert user_and_tls(url) == (APP, True)
    password = urlsplit(url).password
    assert password is not None
    assert password not in done.stderr


def test_the_url_for_neon_names_the_pooler() -> None:
    direct = "postgresql://owner:o@ep-quiet-sun-a1b2c3d4.eu-central-1.aws.neon.tech/brain?sslmode=require"

    assert urlsplit(app_url(direct, "p/w")).hostname == "ep-quiet-sun-a1b2c3d4-pooler.eu-central-1.aws.neon.tech"
    assert urlsplit(app_url(direct, "p/w")).username == APP
    assert urlsplit(app_url(direct, "p/w")).password == "p%2Fw"
    assert urlsplit(app_url(direct, "p/w")).path == "/brain"
    assert "owner" not in app_url(direct, "p/w")


def test_a_pooled_host_and_a_host_outside_neon_stay_unchanged() -> None:
    for host in ("ep-quiet-sun-a1b2c3d4-pooler.eu-central-1.aws.neon.tech", "db.example.org", "127.0.0.1"):
        assert urlsplit(app_url(f"postgresql://owner:o@{host}:5433/brain", "p")).netloc == f"{APP}:p@{host}:5433"


def test_the_error_about_a_database_without_our_roles_says_to_migrate_first(empty_cluster: Postgres) -> None:
    with pytest.raises(MigrationError, match="make migrate"):
        set_app_password(empty_cluster.direct_url("postgres"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush-4711@[::1/brain",
        "mysql://me:hush-4711@host/brain",
        "postgresql://me:hush%zz@host/x",
        "hush-4711",
    ],
)
@pytest.mark.parametrize("work", [migrate, set_app_password])
def test_the_error_for_a_url_that_cannot_be_read_never_quotes_the_url(url: str, work: Callable[[str], object]) -> None:
    with pytest.raises(MigrationError) as raised:
        work(url)
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "DIRECT_DATABASE_URL" in str(raised.value)
