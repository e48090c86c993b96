"""A change is repeated only if the attempt before it did nothing, or if If-Match holds a whole tag."""

from collections.abc import Callable, Iterator

import pytest

from robot_brain.database import call
from tests.integration.edge import assert_problem
from tests.integration.test_connection_silence import read_only, relayed
from tests.support.bundle import Bundle, Json, Reply, turn
from tests.support.log_lines import logged
from tests.support.marks import without_pooler
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import Database

NEW = {"user_message": "edited", "robot_response": "edited"}
Change = Callable[[Bundle, dict[str, str]], Reply]
CHANGES: dict[str, Change] = {
    "PUT": lambda functions, headers: functions.replace("s", 1, NEW, headers),
    "PATCH": lambda functions, headers: functions.patch("s", {"user_metadata": {"a": 1}}, headers),
    "DELETE of turns": lambda functions, headers: functions.remove("s", 1, headers),
    "DELETE": lambda functions, headers: functions.erase("s", headers),
}
DONE = {"PUT": 200, "PATCH": 200, "DELETE of turns": 200, "DELETE": 204}
changes = pytest.mark.parametrize("name", CHANGES)


@pytest.fixture
def served(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bundle, FaultRelay]]:
    """The functions behind a relay, and a session of three turns. The layer waits only briefly for an answer."""
    with relayed(database) as (functions, relay):
        assert functions.write("s", {"messages": [turn(1), turn(2), turn(3)]}).status == 201
        monkeypatch.setattr(call, "_LONGEST_ANSWER", 1.0)
        yield functions, relay


def state(functions: Bundle) -> tuple[str | None, list[Json]]:
    """Return the tag and the turns of the session."""
    reply = functions.read("s")
    return reply.headers.get("etag"), reply.json.get("messages", [])


@changes
@pytest.mark.parametrize("if_match", [None, '"3"'])
def test_an_unanswered_change_without_a_whole_tag_is_504_after_one_attempt(
    served: tuple[Bundle, FaultRelay], name: str, if_match: str | None
) -> None:
    functions, relay = served
    before = state(functions)
    with logged() as lines:
        relay.silence_open()
        reply = CHANGES[name](functions, {"if-match": if_match} if if_match else {})
        line = lines()[-1]
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert (line["error"], line["attempts"], line.get("Retries")) == ("DeadlineExceededError", 1, None)
    assert line["unanswered"]
    relay.restore()
    assert state(functions) == before


@changes
def test_a_change_whose_answer_is_lost_is_done_once_and_504(served: tuple[Bundle, FaultRelay], name: str) -> None:
    functions, relay = served
    before = state(functions)
    with logged() as lines:
        relay.lose_answers()
        reply = CHANGES[name](functions, {})
        line = lines()[-1]
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert (line["attempts"], line.get("Retries")) == (1, None)
    assert state(functions) != before


@changes
def test_an_unanswered_change_with_a_whole_tag_is_repeated(served: tuple[Bundle, FaultRelay], name: str) -> None:
    functions, relay = served
    tag, _ = state(functions)
    assert tag is not None
    with logged() as lines:
        relay.silence_open()
        reply = CHANGES[name](functions, {"if-match": tag})
        line = lines()[-1]
    assert reply.status == DONE[name], reply.body
    assert line["Retries"] == [1]


@changes
def test_a_change_with_a_whole_tag_whose_answer_is_lost_is_504_and_done_once(
    served: tuple[Bundle, FaultRelay], name: str
) -> None:
    """The retry is refused because the first attempt made another state, which the refusal does not show."""
    functions, relay = served
    tag, _ = state(functions)
    assert tag is not None
    with logged() as lines:
        relay.lose_answers()
        reply = CHANGES[name](functions, {"if-match": tag})
        line = lines()[-1]
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert line["Retries"] == [1]
    assert line["unanswered"]
    assert state(functions)[0] != tag


@changes
def test_an_unanswered_change_with_a_stale_whole_tag_is_504(served: tuple[Bundle, FaultRelay], name: str) -> None:
    functions, relay = served
    tag, _ = state(functions)
    assert tag is not None
    assert functions.write("s", turn(4)).status == 201
    before = state(functions)
    with logged() as lines:
        relay.silence_open()
        reply = CHANGES[name](functions, {"if-match": tag})
        line = lines()[-1]
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert line["database_error"].startswith("RB412")
    assert state(functions) == before


@changes
def test_an_unanswered_change_of_an_erased_session_is_504(served: tuple[Bundle, FaultRelay], name: str) -> None:
    functions, relay = served
    tag, _ = state(functions)
    assert tag is not None
    assert functions.erase("s").status == 204
    relay.silence_open()
    assert_problem(CHANGES[name](functions, {"if-match": tag}), 504, functions.context.aws_request_id)


@changes
@without_pooler
def test_a_change_that_a_failover_refused_is_repeated_without_a_tag(
    bundle: Bundle, database: Database, name: str
) -> None:
    """PostgreSQL rolled the attempt back, so the attempt surely did nothing."""
    assert bundle.write("s", {"messages": [turn(1), turn(2), turn(3)]}).status == 201
    with database.admin() as admin, logged() as lines:
        read_only(admin, database, "on")
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename like 'robot_brain_app%'")
        assert bundle.read("s").status == 200
        read_only(admin, database, "off")
        assert CHANGES[name](bundle, {}).status == DONE[name]
        assert lines()[-1]["Retries"] == [1]


@changes
@without_pooler
def test_a_change_of_a_server_that_stays_read_only_is_database_away(
    bundle: Bundle, database: Database, name: str
) -> None:
    assert bundle.write("s", {"messages": [turn(1), turn(2), turn(3)]}).status == 201
    before = state(bundle)
    with database.admin() as admin:
        read_only(admin, database, "on")
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename like 'robot_brain_app%'")
        reply = CHANGES[name](bundle, {})
        read_only(admin, database, "off")
    assert_problem(reply, 503, bundle.context.aws_request_id)
    assert (reply.json["title"], reply.headers["retry-after"]) == ("Database away", "5")
    assert state(bundle) == before
