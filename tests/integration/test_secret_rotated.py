"""A password that was rotated costs no request: a refused login reads the secret once more and repeats the call."""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.integration.edge import assert_problem
from tests.support.aws import moto_server, secrets_manager
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import over_tcp, over_tls
from tests.support.neon.faults import fault
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.databases import Database
from tests.support.servers.failing import never_answers
from tests.support.servers.one_answer import one_answer
from tests.support.servers.stand_in import neon_stand_in
from tests.support.waiting import wait_until

# The login of these tests. All other tests log in as robot_brain_app_a.
LOGIN = "robot_brain_app_b"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain-AbCdEf"


class Rotated:
    """LOGIN of one database, whose password a test changes, and a secret that holds its URL."""

    def __init__(self, database: Database, client: Any, arn: str) -> None:
        self.database = database
        self.client = client
        self.arn = arn

    def execute(self, statement: str) -> None:
        with self.database.admin() as admin:
            admin.execute(statement.encode())

    def new_password(self) -> str:
        """Give LOGIN another password, and return its URL."""
        password = secrets.token_urlsafe(24)
        self.execute(f"alter role {LOGIN} login password '{password}'")
        parts = psycopg.conninfo.conninfo_to_dict(self.database.app_url)
        return self.database.app_url.replace(f"{parts['user']}:{parts['password']}@", f"{LOGIN}:{password}@")

    def store(self, url: str) -> None:
        """Write a URL into the secret."""
        self.client.put_secret_value(SecretId=self.arn, SecretString=json.dumps({"DATABASE_URL": url, "other": "x"}))

    def end_connections(self) -> None:
        """End the connections of LOGIN in PostgreSQL. A client of a pooler stays connected to the pooler."""
        self.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '{LOGIN}'")

    def variables(self, url: str) -> Mapping[str, str]:
        """Return the functions' environment, with Secrets Manager at `url`."""
        return {"DATABASE_SECRET_ARN": self.arn, "AWS_ENDPOINT_URL_SECRETS_MANAGER": url, **KEYS}


@contextmanager
def warm(rotated: Rotated, url: str, **more: str) -> Iterator[Bundle]:
    """Yield an environment that has a connection as LOGIN, and a session `s` with one turn."""
    rotated.store(rotated.new_password())
    with deployed({**rotated.variables(url), **more}) as functions:
        assert functions.write("s", turn()).status == 201
        yield functions


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of Secrets Manager as moto simulates it."""
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    with moto_server() as url:
        yield url


@pytest.fixture
def rotated(database: Database, moto: str) -> Iterator[Rotated]:
    """LOGIN with a secret of its own. Afterwards it cannot log in, as a migration made it."""
    client = secrets_manager(moto)
    arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString="{}")["ARN"]
    made = Rotated(database, client, arn)
    yield made
    made.execute(f"alter role {LOGIN} nologin password null")
    made.end_connections()


def kept(_: Rotated, __: Bundle) -> None:
    """Leave the environment its open connection."""


def ended(rotated: Rotated, _: Bundle) -> None:
    """End the connection in the server. A pooler has to log in again, with what it remembers."""
    rotated.end_connections()


def idle(_: Rotated, __: Bundle) -> None:
    """Let the connection become too old to be used again (DB_IDLE_TIMEOUT is 1 ms)."""
    time.sleep(0.01)


ENDS: dict[str, tuple[Callable[[Rotated, Bundle], None], dict[str, str]]] = {
    "kept": (kept, {}),
    "ended": (ended, {}),
    "idle": (idle, {"DB_IDLE_TIMEOUT": "1"}),
}


# PgBouncer keeps a client waiting if the server refuses the pooler's own login, and gives no answer. Two roles in turn
# avoid this: see test_no_request_fails_if_the_old_role_loses_its_rights.
ENDINGS = [(kind, end) for kind in ("tls", "pooled") for end in ENDS if (kind, end) != ("pooled", "ended")]


@pytest.mark.parametrize(("database", "end"), ENDINGS, indirect=["database"])
def test_no_request_of_a_warm_environment_fails_if_the_password_and_the_secret_changed(
    rotated: Rotated, moto: str, end: str
) -> None:
    end_connection, more = ENDS[end]
    requests: list[Callable[[Bundle], int]] = [
        lambda functions: functions.write("s", turn(2)).status,
        # Without If-Match a PUT is repeated only if the earlier attempt certainly did nothing.
        lambda functions: functions.replace("s", 1, {"user_message": "a", "robot_response": "b"}).status,
        lambda functions: functions.read("s").status,
        lambda functions: functions.patch("s", {"user_metadata": {"a": 1}}).status,
        lambda functions: functions.database_health().status,
    ]
    with warm(rotated, moto, **more) as functions, logged() as lines:
        statuses = []
        for request in requests:
            rotated.store(rotated.new_password())
            end_connection(rotated, functions)
            statuses.append(request(functions))
        assert statuses == [201, 200, 200, 200, 200]
        assert functions.read("s").json["session"]["message_count"] == 2
        renewed = [line for line in lines() if "Retries" in line]
    assert len(renewed) == (0 if end == "kept" else len(requests))


@over_tcp
def test_no_request_fails_if_the_old_role_loses_its_rights_and_the_secret_names_another(
    rotated: Rotated, moto: str
) -> None:
    with warm(rotated, moto) as functions:
        rotated.store(rotated.database.app_url)
        rotated.execute(f"revoke robot_brain_app from {LOGIN}")
        try:
            assert functions.replace("s", 1, {"user_message": "a", "robot_response": "b"}).status == 200
            assert functions.write("s", turn(2)).status == 201
            assert _used_by(rotated) == 0
        finally:
            rotated.execute(f"grant robot_brain_app to {LOGIN}")


@over_tcp
def test_a_role_without_rights_is_503_if_the_secret_still_names_it(rotated: Rotated, moto: str) -> None:
    with warm(rotated, moto) as functions, logged() as lines:
        rotated.execute(f"revoke robot_brain_app from {LOGIN}")
        try:
            assert_problem(functions.read("s"), 503, functions.context.aws_request_id)
        finally:
            rotated.execute(f"grant robot_brain_app to {LOGIN}")
        assert lines()[-1]["attempts"] == 1
        assert functions.read("s").status == 200


@over_tls
@pytest.mark.parametrize("loss", ["nologin", "dropped"])
def test_no_request_fails_if_the_old_role_cannot_log_in_any_more_and_the_secret_names_another(
    rotated: Rotated, moto: str, loss: str
) -> None:
    with warm(rotated, moto) as functions:
        rotated.store(rotated.database.app_url)
        rename = "alter role {} rename to {}"
        lost = f"alter role {LOGIN} nologin password null"
        rotated.execute(lost if loss == "nologin" else rename.format(LOGIN, "robot_brain_renamed"))
        try:
            rotated.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'robot-brain'"
            )
            assert functions.replace("s", 1, {"user_message": "a", "robot_response": "b"}).status == 200
            assert functions.write("s", turn(2)).status == 201
        finally:
            if loss == "dropped":
                rotated.execute(rename.format("robot_brain_renamed", LOGIN))


def _used_by(rotated: Rotated) -> int:
    """Return how many connections of LOGIN are in use, in the server and from clients of the pooler."""
    with rotated.database.admin() as admin:
        row = admin.execute(
            "select count(*) from pg_stat_activity where usename = %s and state <> 'idle'", [LOGIN]
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("database", "end"), [each for each in ENDINGS if each[1] != "kept"], indirect=["database"])
def test_an_unchanged_secret_is_fetched_once_more_in_each_request_that_is_refused(rotated: Rotated, end: str) -> None:
    end_connection, more = ENDS[end]
    text = json.dumps({"SecretString": rotated.new_password()}).encode()
    with (
        one_answer(200, text) as (url, received),
        deployed({**rotated.variables(url), **more}) as functions,
        logged() as lines,
    ):
        assert functions.write("s", turn()).status == 201
        rotated.new_password()
        for request in (1, 2):
            end_connection(rotated, functions)
            reply = functions.replace("s", 1, {"user_message": "a", "robot_response": "b"})
            assert_problem(reply, 503, functions.context.aws_request_id)
            assert len(received) == 1 + request
            line = lines()[-1]
            assert "login" in line["database_error"] or "authentication failed" in line["database_error"]
            assert text.decode().rpartition(":")[0] not in str(line)


@over_tcp
def test_a_secret_that_was_fetched_in_the_same_request_is_not_fetched_again(rotated: Rotated) -> None:
    text = json.dumps({"SecretString": rotated.new_password()}).encode()
    rotated.new_password()
    with one_answer(200, text) as (url, received), deployed(rotated.variables(url)) as functions:
        for request in (1, 2):
            reply = functions.read("s")
            assert_problem(reply, 503, functions.context.aws_request_id)
            assert "retry-after" not in reply.headers
            assert len(received) == request


@over_tls
def test_a_new_url_that_is_refused_too_ends_the_request_with_503_after_one_more_fetch(
    rotated: Rotated, moto: str
) -> None:
    with warm(rotated, moto) as functions, logged() as lines:
        for _ in range(2):
            wrong = rotated.new_password()
            rotated.new_password()
            rotated.store(wrong)
            rotated.end_connections()
            reply = functions.read("s")
            assert_problem(reply, 503, functions.context.aws_request_id)
        assert lines()[-1]["attempts"] <= 2
        rotated.store(rotated.new_password())
        assert functions.read("s").status == 200


@over_tcp
@pytest.mark.parametrize("status", [404, 500])
def test_a_secret_that_cannot_be_fetched_again_is_503_with_the_reason_in_the_log(
    rotated: Rotated, moto: str, status: int
) -> None:
    with warm(rotated, moto, DB_IDLE_TIMEOUT="1") as functions, logged() as lines:
        rotated.new_password()
        time.sleep(0.01)
        if status == 404:
            rotated.client.delete_secret(SecretId=rotated.arn, ForceDeleteWithoutRecovery=True)
            reply = functions.write("s", turn(2))
        else:
            with one_answer(500, b"{}") as (url, _), pytest.MonkeyPatch.context() as patch:
                _secrets_at(patch, url)
                reply = functions.write("s", turn(2))
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert ("retry-after" in reply.headers) == (status == 500)
        assert f"AWS Secrets Manager answered {status}" in lines()[-1]["reason"]
        assert "login" in lines()[-1]["database_error"] or "authentication" in lines()[-1]["database_error"]


@over_tcp
def test_a_silent_secrets_manager_ends_the_request_within_its_deadline(rotated: Rotated, moto: str) -> None:
    with warm(rotated, moto, DB_IDLE_TIMEOUT="1") as functions, never_answers() as port:
        rotated.new_password()
        time.sleep(0.01)
        functions.context.milliseconds = 3_000
        with pytest.MonkeyPatch.context() as patch:
            _secrets_at(patch, f"http://127.0.0.1:{port}")
            began = time.monotonic()
            reply = functions.read("s")
        # The limit of the request, and seconds for a busy machine.
        assert time.monotonic() - began < 3 + 10
        assert reply.status in (503, 504)


def _secrets_at(patch: pytest.MonkeyPatch, url: str) -> None:
    from robot_brain.database.connection import lazy_connection

    lazy = lazy_connection()
    patch.setattr(lazy, "_settings", lazy._settings._replace(secrets_endpoint=url))


@pytest.fixture(scope="module")
def stand_in(authority: Authority) -> Iterator[StandIn]:
    """A stand-in for Neon for this file."""
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    with neon_stand_in(authority) as made:
        yield made


@pytest.mark.parametrize("name", ["password", "disabled", "not_found", "quota", "ip_address", "login_failing"])
def test_a_request_that_neons_proxy_refuses_succeeds_if_the_secret_has_another_url_by_now(
    stand_in: StandIn, moto: str, authority: Authority, name: str
) -> None:
    client = secrets_manager(moto)
    arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=stand_in.url)["ARN"]
    variables = {"DATABASE_SECRET_ARN": arn, "AWS_ENDPOINT_URL_SECRETS_MANAGER": moto, **KEYS}
    with deployed(variables) as functions, logged() as lines:
        assert functions.write("s", turn()).status == 201
        with fault(stand_in, f"proxy_{name}"):
            client.put_secret_value(SecretId=arn, SecretString=stand_in.pooler_url)
            assert functions.replace("s", 1, {"user_message": name, "robot_response": ""}).status == 200
        assert lines()[-1]["Retries"] in ([1], [1, 1])


@over_tls
def test_with_database_url_a_refused_login_is_503_at_once(rotated: Rotated) -> None:
    with deployed({"DATABASE_URL": rotated.new_password()}) as functions, logged() as lines:
        assert functions.write("s", turn()).status == 201
        rotated.new_password()
        rotated.end_connections()
        wait_until(lambda: functions.read("s").status == 503)
        assert all("Secrets" not in str(line) for line in lines())
