"""The URL that `make app-password` prints: its host, and the options that the server proved to support."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from ops.app_password import rotate
from ops.app_url import app_url
from ops.errors import MigrationError
from ops.migrate import migrate
from ops.retire import retire
from tests.integration.logins_state import (
    FIRST,
    SECOND,
    logins_put_back,
    retired,
    run,
    who,
)
from tests.support.bundle import deployed, turn
from tests.support.marks import over_tls
from tests.support.servers.authority import Authority
from tests.support.servers.databases import Database, Template
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.postgres import Postgres
from tests.support.servers.tls_front import tls_front


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


@over_tls
def test_the_command_prints_only_the_url_on_stdout_and_the_next_step_on_stderr(database: Database) -> None:
    done = run(database)
    (url,) = done.stdout.splitlines()
    assert who(url) == (SECOND, True)
    password = urlsplit(url).password
    assert password is not None
    assert password not in done.stderr
    assert "This is shown once: put it into your secret store now." in done.stderr
    assert ".venv-sam/bin/sam deploy --parameter-overrides DatabaseUrl=" in done.stderr
    assert "robot_brain_app_a can log in too" in done.stderr
    assert "make app-password RETIRE=old" in done.stderr
    # 200 connections, 3 of them reserved, for two logins of 8 functions.
    assert "The server allows 197 connections" in done.stderr
    assert "DbPoolSize up to 12 (8 functions)" in done.stderr

    with psycopg.connect(url):
        done = run(database, "--retire", "old")
    assert (done.returncode, done.stdout) == (0, "")
    assert "robot_brain_app_a cannot log in any more." in done.stderr


@over_tls
def test_a_server_with_scram_over_tls_gets_channel_binding_and_postgresql_15_no_direct_negotiation(
    database: Database,
) -> None:
    _, _, url = rotate(database.direct_url)
    options = parse_qs(urlsplit(url).query)
    assert options["channel_binding"] == ["require"]
    assert ("sslnegotiation" in options) == (database.postgres.version >= 17)
    assert who(url) == (SECOND, True)


@over_tls
def test_a_direct_url_of_several_hosts_gives_the_functions_all_of_them(database: Database) -> None:
    port = psycopg.conninfo.conninfo_to_dict(database.direct_url)["port"]
    several = database.direct_url.replace(f"@127.0.0.1:{port}/", f"@127.0.0.1:1,127.0.0.1:{port}/")
    assert several != database.direct_url
    _, _, url = rotate(f"{several}&target_session_attrs=read-write")
    assert urlsplit(url).netloc.rpartition("@")[2] == f"127.0.0.1:1,127.0.0.1:{port}"
    assert parse_qs(urlsplit(url).query)["target_session_attrs"] == ["read-write"]
    assert who(url) == (SECOND, True)


@pytest.mark.parametrize(
    ("host", "port", "place"),
    [("a,b", "1,2", "a:1,b:2"), ("a,b", "1", "a:1,b:1"), ("a,b", ",", "a,b"), ("a,b", None, "a,b")],
)
def test_each_host_of_a_url_has_its_own_port(host: str, port: str | None, place: str) -> None:
    given = f"host={host} dbname=d user=o" + (f" port={port}" if port else "")
    assert app_url(given, "r", "p") == f"postgresql://r:p@{place}/d"


@over_tls
def test_pgbouncer_1_18_gets_neither_option(database: Database, pooler: PgBouncer) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(database.direct_url)
    _, _, url = rotate(database.direct_url.replace(f":{parts['port']}/", f":{pooler.address.port}/"))
    assert urlsplit(url).port == pooler.address.port
    assert set(parse_qs(urlsplit(url).query)) == {"sslmode", "sslrootcert"}
    assert who(url) == (SECOND, True)


def test_a_proxy_that_takes_tls_at_once_gets_direct_negotiation_and_without_scram_no_channel_binding(
    embedded_database: Database, authority: Authority, tmp_path: Path
) -> None:
    files = authority.certificates(tmp_path).valid
    address = embedded_database.postgres.address
    with embedded_login(embedded_database), tls_front(address, files.chain, files.key) as (port, began):
        tls = f"?sslmode=verify-full&sslrootcert={authority.root_cert}"
        _, _, url = rotate(f"postgresql://robot_brain_migrator@127.0.0.1:{port}/{embedded_database.name}{tls}")
        assert parse_qs(urlsplit(url).query)["sslnegotiation"] == ["direct"]
        assert "channel_binding" not in parse_qs(urlsplit(url).query)
        began.clear()
        with deployed({"DATABASE_URL": url}) as functions:
            assert functions.write("s", turn()).status == 201
        assert began == ["direct"]


@contextmanager
def embedded_login(database: Database) -> Iterator[None]:
    """Let no role of the embedded server log in during the block, and the first one afterwards."""
    with database.admin() as admin:
        admin.execute(f"alter role {FIRST} nologin".encode())
    try:
        yield
    finally:
        with database.admin() as admin:
            admin.execute(f"alter role {FIRST} login password null".encode())
            admin.execute(f"comment on role {FIRST} is null".encode())


def test_a_server_without_tls_gets_neither_option(embedded_database: Database) -> None:
    with embedded_login(embedded_database):
        role, _, url = rotate(embedded_database.direct_url)
        assert (role, set(parse_qs(urlsplit(url).query))) == (FIRST, {"host", "port"})
        with psycopg.connect(url) as connection:
            assert connection.execute("select current_user").fetchone() == (FIRST,)


@over_tls
def test_the_pooler_takes_a_new_password_at_once(database: Database, pooler: PgBouncer) -> None:
    for expected in (SECOND, FIRST, SECOND):
        _, _, url = rotate(database.direct_url)
        password = urlsplit(url).password
        assert password is not None
        assert who(pooler.address.url(expected, password, database.name)) == (expected, True)
        retired(database)


def test_the_url_for_neon_names_the_pooler() -> None:
    direct = "postgresql://owner:o@ep-quiet-sun-a1b2c3d4.eu-central-1.aws.neon.tech/brain?sslmode=require"
    url = app_url(direct, FIRST, "p/w", {"channel_binding": "require"})

    assert urlsplit(url).hostname == "ep-quiet-sun-a1b2c3d4-pooler.eu-central-1.aws.neon.tech"
    assert urlsplit(url).username == FIRST
    assert urlsplit(url).password == "p%2Fw"
    assert urlsplit(url).path == "/brain"
    assert urlsplit(url).query == "sslmode=require&channel_binding=require"
    assert "owner" not in url


def test_a_pooled_host_and_a_host_outside_neon_stay_unchanged() -> None:
    for host in ("ep-quiet-sun-a1b2c3d4-pooler.eu-central-1.aws.neon.tech", "db.example.org", "127.0.0.1"):
        url = app_url(f"postgresql://owner:o@{host}:5433/brain", FIRST, "p")
        assert urlsplit(url).netloc == f"{FIRST}:p@{host}:5433"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush-4711@[::1/brain",
        "mysql://me:hush-4711@host/brain",
        "postgresql://me:hush%zz@host/x",
        "hush-4711",
    ],
)
@pytest.mark.parametrize("work", [migrate, rotate])
def test_the_error_for_a_url_that_cannot_be_read_never_quotes_the_url(url: str, work: Callable[[str], object]) -> None:
    with pytest.raises(MigrationError) as raised:
        work(url)
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "DIRECT_DATABASE_URL" in str(raised.value)


def test_the_error_about_a_database_without_our_roles_says_to_migrate_first(empty_cluster: Postgres) -> None:
    for work in (rotate, lambda url: retire(url, "old", lambda _: None)):
        with pytest.raises(MigrationError, match="make migrate"):
            work(empty_cluster.direct_url("postgres"))
