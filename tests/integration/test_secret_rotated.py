"""A password that was rotated costs no request: a refused login reads the secret once more and repeats the call."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.integration.rotated_secret import ENDINGS, ENDS, KEYS, LOGIN, Rotated, warm
from tests.support.aws import secrets_manager
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import over_tcp, over_tls
from tests.support.neon.faults import fault
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.stand_in import neon_stand_in


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
