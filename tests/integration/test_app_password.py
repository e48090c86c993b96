"""`make app-password` gives one of two roles a password in turn, proves it, and prints or stores the URL."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from local.settings import ROOT
from ops.app_password import rotate
from ops.app_url import app_url
from ops.errors import MigrationError
from ops.logins import LOGINS
from ops.migrate import migrate
from ops.retire import retire
from tests.support.aws import moto_server, secrets_manager
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template, set_app_login
from tests.support.servers.one_answer import one_answer
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.postgres import Postgres
from tests.support.waiting import outputs_of, wait_until

FIRST, SECOND = "robot_brain_app_a", "robot_brain_app_b"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain-AbCdEf"
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath)}


@pytest.fixture(autouse=True)
def logins_put_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave the logins as other tests expect them. All databases of the server share them."""
    yield
    if "database" in request.fixturenames:
        template: Template = request.getfixturevalue("tls_template")
        with template.postgres.admin() as admin:
            for role in LOGINS:
                admin.execute(f"alter role {role} nologin password null connection limit -1".encode())
                admin.execute(f"comment on role {role} is null".encode())
                admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role])
            admin.execute(f"grant robot_brain_app to {FIRST}, {SECOND}".encode())
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


@over_tls
def test_the_first_password_has_128_bits_and_logs_in_over_verified_tls(database: Database) -> None:
    only(database)

    role, before, url = rotate(database.direct_url)

    assert (role, before) == (FIRST, None)
    password = urlsplit(url).password
    assert password is not None
    # In the URL-safe base64 alphabet each character holds six bits.
    assert len(password) * 6 >= 128
    assert parse_qs(urlsplit(url).query)["sslmode"] == ["verify-full"]
    assert who(url) == (FIRST, True)
    with database.admin() as admin:
        row = admin.execute("select rolpassword from pg_authid where rolname = %s", [FIRST]).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert password not in row[0]


@over_tls
def test_the_logins_take_turns_and_the_old_one_works_until_it_is_retired(database: Database) -> None:
    # As before there were two logins.
    only(database, "robot_brain_app")
    old = app_url(database.direct_url, "robot_brain_app", "of-a-test")
    for expected in (FIRST, SECOND, FIRST, SECOND):
        before = urlsplit(old).username
        role, active, url = rotate(database.direct_url)
        assert (role, active and active.name) == (expected, before)
        assert who(old) == (before, True)
        assert who(url) == (expected, True)

        retired(database)

        assert can_log_in(database) == [expected]
        assert refused(old)
        assert who(url) == (expected, True)
        old = url


@over_tls
def test_a_third_login_is_refused_with_both_ways_on(database: Database) -> None:
    _, _, url = rotate(database.direct_url)
    with pytest.raises(MigrationError) as caught:
        rotate(database.direct_url)
    assert "functions use robot_brain_app_b by now, run: make app-password RETIRE=old" in str(caught.value)
    assert "lost and never used, run: make app-password RETIRE=new" in str(caught.value)
    assert who(url) == (SECOND, True)
    assert who(database.app_url) == (FIRST, True)


@over_tls
def test_a_password_that_was_lost_is_taken_back_with_retire_new(database: Database) -> None:
    _, _, lost = rotate(database.direct_url)
    retired(database, "new")
    assert refused(lost)
    assert who(database.app_url) == (FIRST, True)
    role, _, url = rotate(database.direct_url)
    assert who(url) == (role, True) == (SECOND, True)


@over_tls
def test_two_passwords_without_a_date_are_distinguished_by_the_name_of_a_role(database: Database) -> None:
    only(database, FIRST, SECOND)
    for which in ("old", "new"):
        with pytest.raises(MigrationError, match=r"RETIRE=robot_brain_app_[ab]"):
            retired(database, which)
    retired(database, FIRST)
    assert can_log_in(database) == [SECOND]
    with pytest.raises(MigrationError, match="Only robot_brain_app_b can log in"):
        retired(database, SECOND)
    with pytest.raises(MigrationError, match="RETIRE= is old, new or one of"):
        retired(database, "both")


@over_tls
def test_retiring_ends_idle_connections_and_those_in_use_and_a_second_run_has_nothing_to_do(
    database: Database,
) -> None:
    rotate(database.direct_url)
    with psycopg.connect(database.app_url, autocommit=True) as idle, psycopg.connect(database.app_url) as used:
        idle.execute("select 1")
        used.execute("select 1")  # in a transaction
        said = retired(database)
        assert said[-1] == "Connections ended: 1 idle, 1 in use."
        for connection in (idle, used):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
    assert retired(database) == ["Connections ended: 0 idle, 0 in use."]
    assert can_log_in(database) == [SECOND]


@over_tls
def test_a_role_that_was_used_in_the_last_minute_is_not_retired_without_force(database: Database) -> None:
    rotate(database.direct_url)
    with psycopg.connect(database.app_url, autocommit=True) as used:
        used.execute("select 1")
        with pytest.raises(MigrationError, match=r"robot_brain_app_a is in use: 1 connections.*\n.*open now"):
            retired(database, force=False)
        assert can_log_in(database) == [FIRST, SECOND]
        used.execute("select 1")
    retired(database, force=False)
    assert can_log_in(database) == [SECOND]


@over_tls
def test_each_change_of_a_login_is_an_entry_of_the_audit_trail(database: Database) -> None:
    rotate(database.direct_url)
    retired(database)
    with database.admin() as admin:
        found = admin.execute(
            "select tenant_id, table_name, record_id, action, new_data, user_id from robot_brain.audit_logs"
            " where table_name = 'pg_authid' order by id"
        ).fetchall()
    assert found == [
        ("*", "pg_authid", SECOND, "UPDATE", {"login": True}, "robot_brain_migrator"),
        ("*", "pg_authid", FIRST, "UPDATE", {"login": False}, "robot_brain_migrator"),
    ]


@over_tls
def test_a_login_that_cannot_connect_is_taken_back_and_the_next_run_succeeds(database: Database) -> None:
    with database.admin() as admin:
        admin.execute(f"revoke connect on database {database.name} from public, robot_brain_app".encode())
    done = run(database)
    assert done.returncode == 1
    assert "could not connect with it" in done.stderr
    assert "permission denied for database" in done.stderr
    assert done.stdout == ""
    assert can_log_in(database) == [FIRST]
    with database.admin() as admin:
        admin.execute(f"grant connect on database {database.name} to robot_brain_app".encode())
    _, _, url = rotate(database.direct_url)
    assert who(url) == (SECOND, True)


def start(database: Database, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ops", "app-password", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | {"DIRECT_DATABASE_URL": database.direct_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_when(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    wait_until(condition)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    outputs_of(process)


@over_tls
def test_a_command_killed_before_its_commit_changes_nothing(database: Database) -> None:
    with database.admin() as holder, database.admin() as admin, holder.transaction():
        holder.execute("alter role robot_brain_app set row_security = on")
        process = start(database)
        kill_when(process, lambda: _waits(admin))
    assert can_log_in(database) == [FIRST]
    _, _, url = rotate(database.direct_url)
    assert who(url) == (SECOND, True)


@over_tls
def test_a_command_killed_before_it_prints_the_url_leaves_two_logins_of_which_the_new_one_can_be_taken_back(
    database: Database,
) -> None:
    with database.admin() as admin:
        # The new login is refused, so the command tries again for some seconds.
        admin.execute(f"alter role {SECOND} connection limit 0".encode())
        process = start(database)
        kill_when(process, lambda: can_log_in(database) == [FIRST, SECOND])
        admin.execute(f"alter role {SECOND} connection limit -1".encode())
    with pytest.raises(MigrationError, match="RETIRE=new"):
        rotate(database.direct_url)
    retired(database, "new")
    assert who(database.app_url) == (FIRST, True)
    _, _, url = rotate(database.direct_url)
    assert who(url) == (SECOND, True)


@over_tls
def test_a_retirement_killed_after_it_took_the_rights_is_finished_by_the_next_run(database: Database) -> None:
    _, _, url = rotate(database.direct_url)
    with psycopg.connect(database.app_url, autocommit=True) as used:
        used.execute("select 1")
        process = start(database, "--retire", "old", "--force")
        kill_when(process, lambda: not _has_rights(database, FIRST))
        assert can_log_in(database) == [FIRST, SECOND]
    retired(database)
    assert can_log_in(database) == [SECOND]
    assert _has_rights(database, FIRST)
    assert who(url) == (SECOND, True)


def _has_rights(database: Database, role: str) -> bool:
    with database.admin() as admin:
        return admin.execute("select pg_has_role(%s, 'robot_brain_app', 'usage')", [role]).fetchone() == (True,)


def _waits(admin: psycopg.Connection) -> bool:
    found = admin.execute(
        "select 1 from pg_stat_activity where application_name = 'robot-brain-password' and wait_event_type = 'Lock'"
    ).fetchone()
    return found is not None


@over_tls
def test_of_two_operators_at_once_one_gets_a_url_that_works_and_the_other_an_error(database: Database) -> None:
    for _ in range(3):
        urls: list[str] = []
        errors: list[MigrationError] = []

        def operate(urls: list[str] = urls, errors: list[MigrationError] = errors) -> None:
            try:
                urls.append(rotate(database.direct_url)[2])
            except MigrationError as error:
                errors.append(error)

        threads = [threading.Thread(target=operate) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(urls), len(errors)) == (1, 1)
        assert "Another command" in str(errors[0]) or "can log in already" in str(errors[0])
        assert who(urls[0]) == (SECOND, True)
        retired(database, "new")


@over_tls
def test_a_login_that_keeps_a_change_of_its_role_open_does_not_stop_its_retirement(database: Database) -> None:
    rotate(database.direct_url)
    with psycopg.connect(database.app_url) as thief:
        thief.execute("set idle_in_transaction_session_timeout = 0")
        thief.execute("alter role current_user set search_path = ''")
        retired(database)
        with pytest.raises(psycopg.OperationalError):
            thief.execute("select 1")
        thief.close()
    assert can_log_in(database) == [SECOND]


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
    # 200 connections, 3 of them reserved, for two logins of 7 functions.
    assert "The server allows 197 connections" in done.stderr
    assert "DbPoolSize up to 14 (7 functions)" in done.stderr

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
    if database.postgres.version < 17:
        assert "sslnegotiation" not in options
    assert who(url) == (SECOND, True)


def test_a_server_without_tls_gets_neither_option(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute(f"alter role {FIRST} nologin".encode())
    try:
        role, _, url = rotate(embedded_database.direct_url)
        assert (role, set(parse_qs(urlsplit(url).query))) == (FIRST, {"host", "port"})
        with psycopg.connect(url) as connection:
            assert connection.execute("select current_user").fetchone() == (FIRST,)
    finally:
        with embedded_database.admin() as admin:
            admin.execute(f"alter role {FIRST} login password null".encode())
            admin.execute(f"comment on role {FIRST} is null".encode())


@over_tls
def test_the_pooler_takes_a_new_password_at_once(database: Database, pooler: PgBouncer) -> None:
    for expected in (SECOND, FIRST, SECOND):
        _, _, url = rotate(database.direct_url)
        password = urlsplit(url).password
        assert password is not None
        assert who(pooler.address.url(expected, password, database.name)) == (expected, True)
        retired(database)


@pytest.fixture
def moto() -> Iterator[str]:
    """The URL of Secrets Manager as moto simulates it."""
    with moto_server() as url:
        yield url


def aws(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_MAX_ATTEMPTS": "1",
    }


@over_tls
@pytest.mark.parametrize("kind", ["text", "json"])
def test_the_command_writes_the_url_into_the_secret_and_keeps_its_other_members(
    database: Database, moto: str, kind: str
) -> None:
    text = "postgresql://old" if kind == "text" else json.dumps({"NEON_API_KEY": "napi_1", "DATABASE_URL": "old"})
    client = secrets_manager(moto)
    arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]

    done = run(database, "--secret", arn, **aws(moto))

    assert (done.returncode, done.stdout) == (0, "")
    stored = client.get_secret_value(SecretId=arn)["SecretString"]
    if kind == "json":
        members = json.loads(stored)
        assert members.pop("NEON_API_KEY") == "napi_1"
        stored = members.pop("DATABASE_URL")
        assert members == {}
    assert who(stored) == (SECOND, True)
    assert str(urlsplit(stored).password) not in done.stderr
    assert "Nothing has to be deployed" in done.stderr
    assert "make app-password RETIRE=old" in done.stderr


@over_tls
@pytest.mark.parametrize(
    ("arn", "reason"),
    [
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:nothing-AbCdEf", "ResourceNotFoundException"),
        ("robot-brain/database", "must be the ARN"),
    ],
)
def test_a_secret_that_cannot_be_read_changes_nothing(database: Database, moto: str, arn: str, reason: str) -> None:
    done = run(database, "--secret", arn, **aws(moto))
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr
    assert can_log_in(database) == [FIRST]


@over_tls
@pytest.mark.parametrize("text", ["{not json", None])
def test_a_secret_whose_text_cannot_be_replaced_changes_nothing(
    database: Database, moto: str, text: str | None
) -> None:
    content: dict[str, Any] = {"SecretBinary": b"x"} if text is None else {"SecretString": text}
    arn = secrets_manager(moto).create_secret(Name=f"robot-brain/{uuid.uuid4()}", **content)["ARN"]
    done = run(database, "--secret", arn, **aws(moto))
    assert (done.returncode, done.stdout) == (1, "")
    assert can_log_in(database) == [FIRST]


@over_tls
def test_without_the_right_to_read_the_secret_nothing_is_changed(database: Database) -> None:
    with one_answer(400, b'{"__type": "AccessDeniedException", "Message": "hush"}') as (url, _):
        done = run(database, "--secret", ARN, **aws(url))
    assert (done.returncode, done.stdout) == (1, "")
    assert "AccessDeniedException in GetSecretValue" in done.stderr
    assert can_log_in(database) == [FIRST]


@over_tls
def test_if_the_secret_can_be_read_and_not_written_the_url_is_printed_so_that_it_is_not_lost(
    database: Database,
) -> None:
    with readable_secret() as url:
        done = run(database, "--secret", ARN, **aws(url))
    assert done.returncode == 1
    assert "AccessDeniedException in PutSecretValue" in done.stderr
    assert "Put it into the secret now" in done.stderr
    (printed,) = done.stdout.splitlines()
    assert who(printed) == (SECOND, True)
    assert str(urlsplit(printed).password) not in done.stderr


@contextmanager
def readable_secret() -> Iterator[str]:
    """Serve a Secrets Manager that answers reads and denies writes. moto allows everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            reads = self.headers["x-amz-target"].endswith(".GetSecretValue")
            answer = {"SecretString": "postgresql://old"} if reads else {"__type": "AccessDeniedException"}
            body = json.dumps(answer).encode()
            self.send_response(200 if reads else 400)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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


def test_the_error_about_a_database_without_our_roles_says_to_migrate_first(empty_cluster: Postgres) -> None:
    for work in (rotate, lambda url: retire(url, "old", lambda _: None)):
        with pytest.raises(MigrationError, match="make migrate"):
            work(empty_cluster.direct_url("postgres"))


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
