"""A login that is refused for good is 503, after one more fetch of the secret at most."""

import json
import time

import pytest

from tests.integration.edge import assert_problem
from tests.integration.rotated_secret import ENDINGS, ENDS, LOGIN, Rotated, warm
from tests.support.bundle import deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import over_tcp, over_tls
from tests.support.servers.failing import never_answers
from tests.support.servers.one_answer import one_answer
from tests.support.waiting import wait_until


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


@over_tls
def test_with_database_url_a_refused_login_is_503_at_once(rotated: Rotated) -> None:
    with deployed({"DATABASE_URL": rotated.new_password()}) as functions, logged() as lines:
        assert functions.write("s", turn()).status == 201
        rotated.new_password()
        rotated.end_connections()
        wait_until(lambda: functions.read("s").status == 503)
        assert all("Secrets" not in str(line) for line in lines())
