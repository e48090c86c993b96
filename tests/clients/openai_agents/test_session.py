"""What the tests of the SDK ask of a session, for our session over the API of `make run`."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from agents import Session, SessionSettings
from agents.extensions.memory.encrypt_session import EncryptedSession

from robot_brain_client import AsyncRobotBrain, OutcomeUnknownError
from robot_brain_client.openai_agents import RobotBrainSession
from tests.clients.lossy_relay import LossyRelay

TURNS = int(os.environ.get("TURNS", "800"))
Work = Callable[[AsyncRobotBrain], Coroutine[Any, Any, None]]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def call(name: str) -> list[dict[str, Any]]:
    return [
        {"type": "function_call", "id": "fc", "call_id": name, "name": "t", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": name, "output": "-3"},
    ]


def run(url: str, work: Work) -> None:
    async def all_of_it() -> None:
        async with AsyncRobotBrain(url) as brain:
            await work(brain)

    asyncio.run(all_of_it())


def test_a_session_is_one_of_the_protocol(api: str, session_id: str) -> None:
    assert isinstance(RobotBrainSession(session_id, AsyncRobotBrain(api)), Session)


ITEMS = [user("a"), assistant("b"), user("c"), *call("1"), *call("2"), assistant("d"), user("e")]


@pytest.mark.parametrize("size", [1, 2, 3, len(ITEMS)])
def test_items_come_back_equal_and_in_order_however_they_were_added(
    relay: LossyRelay, session_id: str, size: int
) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        for start in range(0, len(ITEMS), size):
            await session.add_items(ITEMS[start : start + size])
        assert await session.get_items() == ITEMS
        assert await RobotBrainSession(session_id, brain).get_items() == ITEMS
        await session.add_items([])
        assert len([turn async for turn in brain.turns(session_id)]) == 3

    run(relay.url, work)


@pytest.mark.parametrize("limit", [0, 1, 2, 4, 9, 100, None])
def test_a_limit_returns_the_newest_items_oldest_first(relay: LossyRelay, session_id: str, limit: int | None) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        await session.add_items(ITEMS)
        assert await session.get_items(limit) == (ITEMS if limit is None else ITEMS[max(0, len(ITEMS) - limit) :])
        limited = RobotBrainSession(session_id, brain, session_settings=SessionSettings(limit=2))
        assert await limited.get_items() == ITEMS[-2:]
        assert await limited.get_items(1) == ITEMS[-1:]

    run(relay.url, work)


def test_pop_returns_each_item_from_the_newest_and_then_nothing(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        assert await session.pop_item() is None
        await session.add_items(ITEMS)
        for count in range(len(ITEMS) - 1, -1, -1):
            assert await session.pop_item() == ITEMS[count]
            assert await session.get_items() == ITEMS[:count]
        assert await session.pop_item() is None
        await session.add_items(ITEMS[3:])
        assert await session.get_items() == ITEMS[3:]

    run(relay.url, work)


def test_clear_removes_every_item_and_the_session_can_be_used_again(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        await session.clear_session()
        await session.add_items(ITEMS)
        await session.clear_session()
        assert await session.get_items() == []
        assert (await brain.read(session_id)).body["messages"] == []
        await session.add_items([user("again")])
        assert await session.get_items() == [user("again")]

    run(relay.url, work)


def test_sessions_do_not_see_each_other(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        one, other = (RobotBrainSession(f"{session_id}-{number}", brain) for number in "12")
        await one.add_items([user("one")])
        await other.add_items([user("other")])
        await one.clear_session()
        assert (await one.get_items(), await other.get_items()) == ([], [user("other")])

    run(relay.url, work)


TEXTS = ["日本語 🙂 \u202e", "'; drop table sessions; --", "a\0b", "\ud83d", "", "x" * 100_000, '{"$": "user_message"}']


@pytest.mark.parametrize("text", TEXTS, ids=["unicode", "sql", "nul", "surrogate", "empty", "large", "marks"])
def test_any_text_comes_back_equal(relay: LossyRelay, session_id: str, text: str) -> None:
    output = {"type": "function_call_output", "call_id": "1", "output": text}
    items = [user(text), call("1")[0], output, assistant(text)]

    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        for item in items:
            await session.add_items([item])
        assert await session.get_items() == items
        assert await session.pop_item() == items[-1]

    run(relay.url, work)


def test_a_picture_beside_a_text_comes_back_equal(relay: LossyRelay, session_id: str) -> None:
    picture = "data:image/png;base64," + base64.b64encode(os.urandom(60_000)).decode()
    parts = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": picture}]

    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        await session.add_items([{"role": "user", "content": parts}])
        assert await session.get_items() == [{"role": "user", "content": parts}]
        [turn] = [turn async for turn in brain.turns(session_id)]
        assert turn["user_message"] == "What is this?"

    run(relay.url, work)


def test_250_messages_are_stored_at_once(relay: LossyRelay, session_id: str) -> None:
    items = [(user if number % 2 else assistant)(str(number)) for number in range(1, 251)]

    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        await session.add_items(items)
        assert await session.get_items() == items

    run(relay.url, work)


def test_25_appends_at_once_keep_every_item(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        shared = RobotBrainSession(session_id, brain)
        sessions = [RobotBrainSession(session_id, brain) for _ in range(12)]
        texts = [str(number) for number in range(25)]
        await asyncio.gather(
            *(sessions[n].add_items([user(texts[n])]) for n in range(12)),
            *(shared.add_items([user(text)]) for text in texts[12:]),
        )
        assert sorted(item["content"] for item in await shared.get_items()) == sorted(texts)

    run(relay.url, work)


def test_four_poppers_get_each_of_24_items_once(relay: LossyRelay, session_id: str) -> None:
    async def pop_all(brain: AsyncRobotBrain) -> tuple[list[str], int]:
        session, unknown = RobotBrainSession(session_id, brain), 0
        found: list[str] = []
        while True:
            try:
                if (item := await session.pop_item()) is None:
                    return found, unknown
                found.append(item["content"])
            except OutcomeUnknownError:
                unknown += 1

    async def work(brain: AsyncRobotBrain) -> None:
        await RobotBrainSession(session_id, brain).add_items([user(str(number)) for number in range(24)])
        results = await asyncio.gather(*(pop_all(brain) for _ in range(4)))
        popped = [text for found, _ in results for text in found]
        unknown = sum(count for _, count in results)
        assert len(popped) == len(set(popped))
        assert 24 - len(popped) <= unknown
        assert relay.every or not unknown

    run(relay.url, work)


def test_an_encrypted_session_works_over_it(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        inner = RobotBrainSession(session_id, brain)
        session = EncryptedSession(session_id, inner, encryption_key="k" * 32)
        await session.add_items(ITEMS[:4])
        await session.add_items(ITEMS[4:])
        assert await session.get_items() == ITEMS
        assert await session.pop_item() == ITEMS[-1]
        assert "call_id" not in str(await inner.get_items())
        assert [turn["user_message"] async for turn in brain.turns(session_id)] == [""]
        await session.clear_session()
        assert await session.get_items() == []

    run(relay.url, work)


def test_of_100_exchanges_with_lost_answers_each_is_stored_once(losing_url: str, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        async def talk(number: int) -> None:
            session = RobotBrainSession(f"{session_id}-{number % 10}", brain)
            await session.add_items([user(f"q{number}")])
            await session.add_items(call(str(number)))
            await session.add_items([assistant(f"a{number}")])

        await asyncio.gather(*(one_after_another(talk, part) for part in range(10)))
        whole = []
        for part in range(10):
            async for turn in brain.turns(f"{session_id}-{part}"):
                whole.append((turn["user_message"][1:], turn["robot_response"][1:], len(turn["items"])))
        assert sorted(whole) == sorted((str(number), str(number), 4) for number in range(100))

    async def one_after_another(talk: Callable[[int], Coroutine[Any, Any, None]], part: int) -> None:
        for number in range(part, 100, 10):
            await talk(number)

    run(losing_url, work)


def test_what_eight_threads_store_comes_back_equal(api: str, session_id: str) -> None:
    def talk(part: int) -> None:
        async def work(brain: AsyncRobotBrain) -> None:
            session = RobotBrainSession(f"{session_id}-{part}", brain)
            wanted: list[Any] = []
            for number in range(TURNS // 8):
                wanted += [user(f"q{number}"), assistant(f"a{number}")]
                await session.add_items(wanted[-2:])
            assert await session.get_items() == wanted

        run(api, work)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(talk, range(8)))
