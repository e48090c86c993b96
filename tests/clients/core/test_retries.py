"""What the client sends again, against answers of a gateway and against an API whose answers are lost."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from robot_brain_client import (
    AsyncRobotBrain,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PreconditionFailedError,
    RobotBrain,
    RobotBrainError,
    UnauthorizedError,
    UnavailableError,
)
from robot_brain_client.answers import Call
from robot_brain_client.retrying import Attempts
from robot_brain_client.types import OneTurn
from tests.clients.core.conftest import Caller
from tests.clients.core.scripted_gateway import Scripted, ScriptedGateway, scripted
from tests.clients.lossy_relay import lossy_relay
from tests.support.waiting import wait_until

TURN: OneTurn = {"robot_personality": "guide", "user_message": "Hello!", "robot_response": ""}
CONTENT = {"user_message": "Hello!", "robot_response": "Hi."}
WRITTEN = Scripted(201, {"session_id": "s", "message_count": 1, "last_seq": 1, "messages": []}, {"etag": '"1.a"'})
BUSY = Scripted(503, {"title": "Database waking"}, {"retry-after": "0"})
UNKNOWN = [Scripted(504, {"title": "Deadline exceeded"}), Scripted(502, {"message": "x"}), Scripted(500), Scripted(0)]
CHANGES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("replace", ("s", 1, CONTENT), {}),
    ("remove", ("s",), {"after": 0}),
    ("edit_session", ("s", {"user_metadata": {}}), {}),
    ("replace_user", ("ann", {}), {}),
    ("patch_user", ("ann", {}), {}),
]


@pytest.mark.parametrize("status", [409, 429, 503])
def test_what_was_surely_not_done_is_sent_again_after_the_pause_that_the_answer_names(
    call: Caller, status: int
) -> None:
    refused = Scripted(status, {"title": "Later"}, {"retry-after": "0"})
    with scripted(refused, refused, WRITTEN) as gateway:
        assert call(gateway.url, "write", "s", TURN).etag == '"1.a"'
    assert len(gateway.seen) == 3
    assert len({request.headers["idempotency-key"] for request in gateway.seen}) == 1


@pytest.mark.parametrize("lost", UNKNOWN, ids=lambda answer: str(answer.status))
def test_a_write_whose_outcome_is_unknown_is_sent_again_with_its_one_key(call: Caller, lost: Scripted) -> None:
    with scripted(lost, WRITTEN) as gateway:
        call(gateway.url, "write", "s", TURN)
    first, second = gateway.seen
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


@pytest.mark.parametrize("lost", UNKNOWN, ids=lambda answer: str(answer.status))
@pytest.mark.parametrize(("method", "arguments", "named"), CHANGES, ids=[each[0] for each in CHANGES])
@pytest.mark.parametrize("tag", [None, '"1"'])
def test_a_change_without_a_whole_tag_is_sent_once_and_its_outcome_is_reported_as_unknown(
    call: Caller, lost: Scripted, method: str, arguments: Any, named: Any, tag: str | None
) -> None:
    with scripted(lost) as gateway, pytest.raises(OutcomeUnknownError):
        call(gateway.url, method, *arguments, **named, if_match=tag)
    assert len(gateway.seen) == 1


@pytest.mark.parametrize(("method", "arguments", "named"), CHANGES, ids=[each[0] for each in CHANGES])
def test_a_change_with_a_whole_tag_is_sent_again(call: Caller, method: str, arguments: Any, named: Any) -> None:
    with scripted(Scripted(0), Scripted(200, {})) as gateway:
        call(gateway.url, method, *arguments, **named, if_match='"1.a"')
    assert [request.headers["if-match"] for request in gateway.seen] == ['"1.a"', '"1.a"']


@pytest.mark.parametrize("lost", UNKNOWN, ids=lambda answer: str(answer.status))
def test_a_read_is_sent_again_whatever_happened(call: Caller, lost: Scripted) -> None:
    with scripted(lost, Scripted(200, {"totals": {}})) as gateway:
        assert call(gateway.url, "stats").body == {"totals": {}}
    assert len(gateway.seen) == 2


def test_a_refusal_after_a_lost_answer_says_that_the_change_may_have_been_done(call: Caller) -> None:
    refused = Scripted(412, {"title": "Precondition failed", "last_seq": 1}, {"etag": '"1.b"'})
    with scripted(Scripted(0), refused) as gateway, pytest.raises(PreconditionFailedError) as lost:
        call(gateway.url, "replace", "s", 1, CONTENT, if_match='"1.a"')
    assert (lost.value.perhaps_done, lost.value.etag, lost.value.problem["last_seq"]) == (True, '"1.b"', 1)
    with scripted(refused) as gateway, pytest.raises(PreconditionFailedError) as plain:
        call(gateway.url, "replace", "s", 1, CONTENT, if_match='"1.a"')
    assert not plain.value.perhaps_done


@pytest.mark.parametrize(("answer", "kind"), [(BUSY, UnavailableError), (Scripted(409, {}), ConflictError)])
def test_no_attempt_begins_after_the_patience(call: Caller, answer: Scripted, kind: type[RobotBrainError]) -> None:
    with scripted(answer) as gateway, pytest.raises(kind):
        call(gateway.url, "write", "s", TURN, options={"patience": 0.5})
    assert gateway.seen
    with scripted(Scripted(503, {}, {"retry-after": "5"})) as gateway, pytest.raises(UnavailableError):
        call(gateway.url, "write", "s", TURN, options={"patience": 2})
    assert len(gateway.seen) == 1


def test_a_refused_connection_after_a_lost_answer_is_an_unknown_outcome() -> None:
    attempts = Attempts(Call("POST", "/sessions/s/messages", repeatable=True), patience=1)
    attempts.failure(OutcomeUnknownError("No answer"))

    def be_refused() -> None:
        for _ in range(1_000_000):
            attempts.failure(NotSentError("refused"))
            time.sleep(0.01)

    with pytest.raises(OutcomeUnknownError, match="An earlier attempt got no answer: refused"):
        be_refused()


def test_a_refused_token_is_not_sent_again(call: Caller) -> None:
    with scripted(Scripted(401, {"message": "Unauthorized"})) as gateway, pytest.raises(UnauthorizedError) as refused:
        call(gateway.url, "write", "s", TURN)
    assert str(refused.value) == "401 Unauthorized"
    assert len(gateway.seen) == 1


def test_without_a_server_the_error_says_that_nothing_was_sent(call: Caller) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(NotSentError, match=url.removeprefix("http://")):
            call(url, "health", options={"patience": 0.5})


def test_a_connection_that_never_comes_ends_the_attempts_after_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    attempts = Attempts(Call("GET", "/health", repeatable=True), patience=60)

    def be_refused() -> None:
        while True:
            now[0] += attempts.failure(NotSentError("refused"))

    with pytest.raises(NotSentError, match="refused"):
        be_refused()
    assert 0 < now[0] < 10


def test_each_pause_is_logged(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "robot_brain_client")
    with scripted(BUSY, Scripted(0), WRITTEN) as gateway:
        call(gateway.url, "write", "s", TURN)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if "brain" in record.name]
    assert [level for level, _ in lines] == ["DEBUG", "WARNING"]
    assert lines[0][1].startswith("POST /sessions/s/messages: 503 Database waking. Sent again in ")


def test_a_422_names_each_broken_rule(call: Caller, api: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        call(api, "write", "s", {"user_message": "Hello!"})
    assert str(refused.value) == (
        "422 Invalid request: body.robot_personality is missing; body.robot_response is missing"
    )


@pytest.mark.parametrize("wrong", ["", ".", "..", "team/ann"])
def test_an_id_that_would_make_another_path_is_refused_before_anything_is_sent(call: Caller, wrong: str) -> None:
    with scripted(Scripted(200, {})) as gateway:
        for method in ("read", "erase_session", "erase_user", "export_user"):
            with pytest.raises(ValueError, match="An id is not empty"):
                call(gateway.url, method, wrong)
        assert gateway.seen == []


def _closed(gateway: ScriptedGateway, count: int) -> bool:
    return gateway.closed == count


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    with scripted(Scripted(200, {}, closes=True)) as gateway, RobotBrain(gateway.url) as brain:
        for count in range(1, 11):
            brain.edit_session("s", {})
            wait_until(partial(_closed, gateway, count))
    assert len(gateway.seen) == 10


def test_a_connection_is_kept_for_the_next_request() -> None:
    with scripted(Scripted(200, {})) as gateway, RobotBrain(gateway.url) as brain:
        for _ in range(5):
            brain.health()
    assert gateway.connections == 1


def test_of_100_writes_whose_answers_are_lost_each_is_stored_once(api: str, session_id: str) -> None:
    with lossy_relay(api, every=2) as relay, RobotBrain(relay.url) as brain, ThreadPoolExecutor(10) as threads:
        numbered = [{**TURN, "user_message": str(number)} for number in range(100)]
        answers = list(threads.map(lambda each: brain.write(session_id, each), numbered))
    assert relay.lost >= 50
    assert 0 < sum(answer.replayed for answer in answers) <= relay.lost
    with RobotBrain(api) as brain:
        stored = [turn["user_message"] for turn in brain.turns(session_id)]
    assert sorted(map(int, stored)) == list(range(100))


def test_a_write_of_the_asynchronous_client_is_stored_once_if_its_answer_is_lost(api: str, session_id: str) -> None:
    async def write_all(url: str) -> None:
        async with AsyncRobotBrain(url) as brain:
            await asyncio.gather(*(brain.write(session_id, {**TURN, "user_message": str(each)}) for each in range(20)))

    with lossy_relay(api, every=2) as relay:
        asyncio.run(write_all(relay.url))
    assert relay.lost >= 10
    with RobotBrain(api) as brain:
        assert sorted(int(turn["user_message"]) for turn in brain.turns(session_id)) == list(range(20))


def test_an_erasure_whose_answer_is_lost_is_done(call: Caller, api: str, session_id: str) -> None:
    with lossy_relay(api, every=0) as relay:
        call(relay.url, "write", session_id, TURN)
        # Only the answer to the next change is lost.
        relay.every = relay.changes + 1
        assert call(relay.url, "erase_session", session_id) is True
    with pytest.raises(NotFoundError):
        call(api, "erase_session", session_id)


@pytest.mark.parametrize("method", ["erase_session", "erase_user"])
def test_an_erasure_goes_on_until_nothing_is_left_and_its_condition_counts_once(call: Caller, method: str) -> None:
    with scripted(Scripted(202), Scripted(0), Scripted(204)) as gateway:
        assert call(gateway.url, method, "one", if_match='"3.a"') is True
        assert [(each.method, each.headers.get("if-match")) for each in gateway.seen] == [
            ("DELETE", '"3.a"'),
            ("DELETE", None),
            ("DELETE", None),
        ]


def test_an_erasure_that_patience_ends_is_false(call: Caller) -> None:
    with scripted(Scripted(202)) as gateway:
        assert call(gateway.url, "erase_user", "one", options={"patience": 0}) is False
        assert len(gateway.seen) == 1
