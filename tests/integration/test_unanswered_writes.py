"""The error of a retry does not show whether the unanswered attempt before it wrote: the answer is 504."""

from collections.abc import Callable

import pytest

from robot_brain.database import call
from robot_brain.database.patterns import patterns
from robot_brain.settings import settings
from tests.integration.edge import assert_problem
from tests.integration.test_connection_refused import secret
from tests.integration.test_connection_silence import relayed, turns
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import over_tls
from tests.support.servers.databases import APP, Database

LARGE = {"a": "x" * 9000}
FAIL = """
create function public.fail() returns trigger language plpgsql as 'begin raise exception ''MARKED''; end';
create trigger fail before insert on robot_brain.sessions for each row execute function public.fail();
"""


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the layer wait only briefly for an answer."""
    monkeypatch.setattr(call, "_LONGEST_ANSWER", 0.5)


def execute(database: Database, statements: str) -> None:
    """Run statements as the superuser."""
    with database.admin() as admin:
        admin.execute(statements.encode())


def merge(functions: Bundle, **metadata: str) -> None:
    """Write a turn with user metadata."""
    assert functions.write("s", {"messages": [turn(0)], "user_metadata": metadata}).status == 201


# By the refusal that a retry gets: the preparation, the request's headers, and the error in the log.
Preparation = Callable[[Bundle, Database], object]
REFUSALS: dict[str, tuple[Preparation, dict[str, str], str]] = {
    "412": (lambda functions, _: functions.write("s", turn(0)), {"if-match": '"0"'}, "RB412"),
    "422 key": (
        lambda functions, _: functions.write("s", turn(0), {"idempotency-key": "k"}),
        {"idempotency-key": "k"},
        "RB422",
    ),
    "422 metadata": (lambda functions, _: merge(functions, b="x" * 9000), {}, "RB423"),
    "500": (lambda _, database: execute(database, FAIL), {}, "P0001"),
    "503": (
        lambda _, database: execute(database, "revoke usage on schema robot_brain_api from robot_brain_app"),
        {},
        "42501",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_unanswered_write_is_504_if_its_retry_is_refused(database: Database, refusal: str) -> None:
    prepare, headers, sqlstate = REFUSALS[refusal]
    with relayed(database) as (functions, relay), logged() as lines:
        assert functions.read("s").status == 404
        prepare(functions, database)
        before = turns(database)
        relay.silence_open()
        reply = functions.write("s", {"messages": [turn(1)], "user_metadata": LARGE}, headers)
        assert_problem(reply, 504, functions.context.aws_request_id)
        line = lines()[-1]
    assert (line["error"], line["attempts"], line["Failures"]) == ("DeadlineExceededError", 2, [1])
    assert line["unanswered"] == "the server went silent: no answer in time"
    assert line["database_error"].startswith(sqlstate)
    assert turns(database) == before


@over_tls
@pytest.mark.parametrize(
    ("text", "error"), [("nonsense", "SettingsError"), (None, "DatabaseRefusedError")], ids=["wrong", "deleted"]
)
def test_an_unanswered_write_is_504_if_the_secret_is_useless_afterwards(
    database: Database, text: str | None, error: str
) -> None:
    with (
        relayed(database) as (_, relay),
        secret(settings().database_url) as (environment, client, arn),
        deployed({**environment, "DB_IDLE_TIMEOUT": "30000"}) as functions,
        logged() as lines,
    ):
        assert functions.write("s", turn(1)).status == 201
        if text is None:
            client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
        else:
            client.put_secret_value(SecretId=arn, SecretString=text)
        # After a failed attempt to connect the layer fetches the secret again.
        execute(database, f"alter role {APP} connection limit 0")
        try:
            relay.silence_open()
            reply = functions.write("s", turn(2))
        finally:
            execute(database, f"alter role {APP} connection limit -1")
        assert_problem(reply, 504, functions.context.aws_request_id)
        line = lines()[-1]
    assert (line["error"], line["attempts"], line["Failures"]) == ("DeadlineExceededError", 3, [1])
    assert error in line["reason"]
    assert line["database_error"]


@over_tls
def test_a_wrong_secret_counts_as_a_failure_and_the_log_line_has_the_cause(database: Database) -> None:
    with secret("nonsense") as (environment, _, _), deployed(environment) as functions:
        with logged() as lines:
            for _ in range(3):
                assert_problem(functions.write("s", turn()), 500, functions.context.aws_request_id)
            *_, report, line = lines()
        assert patterns().failures == 3
    assert report["pattern"] == "connection_failures"
    assert (line["attempts"], line["Failures"]) == (1, [1])
    assert line["database_error"] == line["reason"]


def test_an_unanswered_read_gets_the_answer_of_its_retry(database: Database) -> None:
    with relayed(database) as (functions, relay):
        assert functions.write("s", turn()).status == 201
        for status, session_id in ((200, "s"), (404, "unknown")):
            relay.silence_open()
            assert functions.read(session_id).status == status
            relay.silence_open()
            assert functions.stats(session_id=session_id).status == status
