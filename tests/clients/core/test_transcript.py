"""A session as a list of items, against the API of `make run`, also if answers are lost."""

from __future__ import annotations

import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from robot_brain_client import OutcomeUnknownError, RobotBrain
from robot_brain_client.answers import Answer, Call
from robot_brain_client.flows import Flow, Steps
from robot_brain_client.transcript import Transcript
from tests.clients.core.test_exchanges import FORM
from tests.clients.lossy_relay import LossyRelay, lossy_relay

EXCHANGE: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "cold?"}],
    [{"call": 1}, {"output": "-3"}],
    [{"role": "assistant", "content": "Yes, -3."}],
]


def changes(relay: LossyRelay) -> list[str]:
    return [method for method, _ in relay.requests if method != "GET"]


def test_an_exchange_with_a_tool_is_one_full_turn_and_three_requests(api: str, session_id: str) -> None:
    with lossy_relay(api, every=0) as relay, RobotBrain(relay.url) as brain:
        transcript = Transcript(session_id, FORM, "guide")
        for items in EXCHANGE:
            brain.run(transcript.append(items))
        assert [method for method, _ in relay.requests] == ["POST", "PUT", "PUT"]
        [turn] = brain.turns(session_id)
    assert (turn["user_message"], turn["robot_response"], len(turn["items"])) == ("cold?", "Yes, -3.", 4)


def test_a_change_without_an_answer_is_looked_up_before_it_is_sent_again(api: str, session_id: str) -> None:
    """A repeat with a tag that its own first attempt made old can be unknown again and again."""
    with lossy_relay(api, every=2) as relay, RobotBrain(relay.url) as brain:
        transcript = Transcript(session_id, FORM, "guide")
        brain.run(transcript.append([{"role": "user", "content": "cold?"}]))
        brain.run(transcript.append([{"call": 1}]))
        assert [method for method, _ in relay.requests] == ["POST", "PUT", "GET"]
        assert brain.run(transcript.read()) == [{"role": "user", "content": "cold?"}, {"call": 1}]
        relay.requests.clear()
        relay.changes += 1
        assert brain.run(transcript.pop()) == {"call": 1}
        assert [method for method, _ in relay.requests] == ["GET", "PUT", "GET"]


def test_an_attempt_that_still_runs_is_repeated_in_the_same_state_and_done_once(api: str, session_id: str) -> None:
    """The first attempt is a 504 that was not done yet, so the turn does not show it."""
    with RobotBrain(api) as brain:
        transcript = Transcript(session_id, FORM, "guide")
        brain.run(transcript.append([{"role": "user", "content": "cold?"}]))
        for flow, wanted in ((transcript.append([{"call": 1}]), None), (transcript.pop(), {"call": 1})):
            steps, sent = Steps(flow), 0
            while steps.call is not None:
                sent += steps.call.method == "PUT"
                if steps.call.method == "PUT" and sent == 1:
                    steps.error(OutcomeUnknownError("504"))
                else:
                    steps.answer(brain.run(one(steps.call)))
            assert (steps.result, sent) == (wanted, 2)
        assert brain.run(transcript.read()) == [{"role": "user", "content": "cold?"}]


@pytest.mark.parametrize("kind", ["append", "pop"])
def test_attempts_without_an_answer_end_after_a_minute(
    api: str, session_id: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, sent = [time.monotonic()], list[Call]()
    with RobotBrain(api) as brain:
        transcript = Transcript(session_id, FORM, "guide")
        brain.run(transcript.append([{"role": "user", "content": "cold?"}]))
        steps = Steps(transcript.append([{"call": 1}]) if kind == "append" else transcript.pop())

        def drive() -> None:
            while steps.call is not None:
                if steps.call.method != "PUT":
                    steps.answer(brain.run(one(steps.call)))
                    continue
                sent.append(steps.call)
                now[0] += 10
                monkeypatch.setattr("robot_brain_client.removing.time.monotonic", lambda: now[0])
                steps.error(OutcomeUnknownError("504"))

        with pytest.raises(OutcomeUnknownError, match="504"):
            drive()
        monkeypatch.undo()
        assert len(sent) == 8
        assert brain.run(transcript.read()) == [{"role": "user", "content": "cold?"}]


def one(call: Call) -> Flow[Answer[Any]]:
    """Send one call."""
    return (yield call)


def test_more_than_a_request_and_a_page_can_have_comes_back_equal(api: str, session_id: str) -> None:
    items = [{"role": role, "content": f"{n}{'x' * 120_000}"} for n in range(40) for role in ("user", "assistant")]
    with lossy_relay(api, every=3) as relay, RobotBrain(relay.url) as brain:
        brain.run(Transcript(session_id, FORM, "guide").append(items))
        assert brain.run(Transcript(session_id, FORM, "guide").read()) == items
        assert len(list(brain.turns(session_id))) == 40


@pytest.mark.parametrize("every", [0, 2])
def test_a_transcript_is_a_list_whatever_answers_are_lost(api: str, session_id: str, every: int) -> None:
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)
    wanted: list[dict[str, Any]] = []
    with lossy_relay(api, every) as relay, RobotBrain(relay.url) as brain:
        transcript = Transcript(session_id, FORM, "guide")
        for step in range(25):
            if rng.random() < 0.1:
                transcript = Transcript(session_id, FORM, "guide")
            match rng.choice(["append", "append", "append", "pop", "delete", "read", "clear"]):
                case "append":
                    roles = rng.choices(["user", "assistant", "tool"], k=rng.randint(1, 4))
                    items = [{"role": role, "content": f"{step}.{place}"} for place, role in enumerate(roles)]
                    brain.run(transcript.append(items))
                    wanted += items
                case "pop":
                    assert brain.run(transcript.pop()) == (wanted.pop() if wanted else None), seed
                case "delete":
                    place = rng.randint(0, 5)
                    found = wanted.pop(place) if place < len(wanted) else None
                    assert brain.run(transcript.delete(place)) == found, seed
                case "read":
                    limit = rng.randint(0, 8)
                    assert brain.run(transcript.read(limit)) == wanted[max(0, len(wanted) - limit) :], seed
                case "clear" if rng.random() < 0.2:
                    brain.run(transcript.clear())
                    wanted = []
            assert brain.run(transcript.read()) == wanted, seed


def test_several_writers_lose_and_double_no_item(api: str, session_id: str) -> None:
    def write(number: int) -> None:
        transcript = Transcript(session_id, FORM, "guide")
        for step in range(6):
            for items in ([{"role": "user", "content": f"q{number}.{step}"}], [{"call": f"{number}.{step}"}]):
                brain.run(transcript.append(items))

    with lossy_relay(api, every=4) as relay, RobotBrain(relay.url) as brain, ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
        items = brain.run(Transcript(session_id, FORM, "guide").read())
        turns = list(brain.turns(session_id))
    assert relay.lost
    pairs = [(items[place]["content"][1:], items[place + 1]["call"]) for place in range(0, len(items), 2)]
    assert sorted(first for first, _ in pairs) == sorted(f"{n}.{s}" for n in range(4) for s in range(6))
    assert all(first == second for first, second in pairs)
    assert len(turns) == 24


@pytest.mark.parametrize("every", [0, 5])
def test_several_poppers_get_each_item_once(api: str, session_id: str, every: int) -> None:
    unknown: list[OutcomeUnknownError] = []

    def pop_all(_: int) -> list[str]:
        transcript = Transcript(session_id, FORM, "guide")
        found: list[str] = []
        while True:
            try:
                item = brain.run(transcript.pop())
            except OutcomeUnknownError as error:
                unknown.append(error)
                continue
            if item is None:
                return found
            found.append(item["content"])

    with lossy_relay(api, every) as relay, RobotBrain(relay.url) as brain, ThreadPoolExecutor(4) as threads:
        items = [{"role": "user", "content": str(number)} for number in range(24)]
        brain.run(Transcript(session_id, FORM, "guide").append(items))
        popped = [text for found in threads.map(pop_all, range(4)) for text in found]
    assert len(popped) == len(set(popped))
    # An item may be missing only if a pop said that its outcome is unknown.
    assert 24 - len(popped) <= len(unknown)
    if not every:
        assert not unknown


def test_items_of_another_client_stay_if_an_adapter_adds_to_the_session(api: str, session_id: str) -> None:
    plain = {"robot_personality": "g", "user_message": "cold?", "robot_response": "", "items": [{"tool": 1}]}
    with RobotBrain(api) as brain:
        brain.write(session_id, plain)  # type: ignore[arg-type]
        brain.run(Transcript(session_id, FORM, "guide").append([{"role": "assistant", "content": "-3"}]))
        assert next(turn.get("items", [])[:1] for turn in brain.turns(session_id)) == [{"tool": 1}]
        items = brain.run(Transcript(session_id, FORM, "guide").read())
    assert items == [{"role": "user", "content": "cold?"}, {"role": "assistant", "content": "-3"}]


def test_a_turn_of_another_client_that_holds_items_alone_is_not_removed_by_a_pop(api: str, session_id: str) -> None:
    plain = {"robot_personality": "g", "user_message": "", "robot_response": "", "items": [{"tool": 1}]}
    with RobotBrain(api) as brain:
        brain.run(Transcript(session_id, FORM, "guide").append([{"role": "user", "content": "cold?"}]))
        brain.write(session_id, plain)  # type: ignore[arg-type]
        popped = brain.run(Transcript(session_id, FORM, "guide").pop())
        assert popped == {"role": "user", "content": "cold?"}
        assert [{"tool": 1}] in [turn.get("items") for turn in brain.turns(session_id)]
