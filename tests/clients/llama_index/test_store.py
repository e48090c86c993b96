"""The chat store for LlamaIndex over the API of `make run`, with and without lost answers."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.storage.chat_store.base import BaseChatStore

from robot_brain_client import RobotBrain
from robot_brain_client.llama_index import RobotBrainChatStore
from tests.clients.documented import block
from tests.clients.lossy_relay import LossyRelay


def said(role: str, text: str, **more: Any) -> ChatMessage:
    return ChatMessage(role=MessageRole(role), content=text, additional_kwargs=more)


TURNS = int(os.environ.get("TURNS", "800"))
MESSAGES = [
    said("system", "You know the weather."),
    said("user", "Is it cold?"),
    said("assistant", "", tool_calls=[{"id": "1", "name": "temperature"}]),
    said("tool", "-3", tool_call_id="1"),
    said("assistant", "Yes, -3."),
    said("user", "Thanks"),
    said("assistant", "Welcome."),
]


@pytest.fixture
def store(relay: LossyRelay) -> Iterator[RobotBrainChatStore]:
    """A store."""
    with RobotBrain(relay.url) as brain:
        yield RobotBrainChatStore(brain)


def test_messages_come_back_equal_and_an_exchange_is_one_turn(
    store: RobotBrainChatStore, api: str, session_id: str
) -> None:
    assert isinstance(store, BaseChatStore)
    assert store.get_messages(session_id) == []
    for message in MESSAGES:
        store.add_message(session_id, message)
    assert store.get_messages(session_id) == MESSAGES
    with RobotBrain(api) as brain:
        turns = [(turn["user_message"], turn["robot_response"]) for turn in brain.turns(session_id)]
    assert turns == [("", ""), ("Is it cold?", "Yes, -3."), ("Thanks", "Welcome.")]


def test_set_messages_replaces_all(store: RobotBrainChatStore, session_id: str) -> None:
    store.set_messages(session_id, MESSAGES)
    store.set_messages(session_id, MESSAGES[2:5])
    assert store.get_messages(session_id) == MESSAGES[2:5]
    store.set_messages(session_id, [])
    assert store.get_messages(session_id) == []


def test_delete_messages_erases_the_session_and_returns_what_it_held(
    store: RobotBrainChatStore, session_id: str
) -> None:
    assert store.delete_messages(session_id) is None
    store.set_messages(session_id, MESSAGES)
    assert session_id in store.get_keys()
    assert store.delete_messages(session_id) == MESSAGES
    assert session_id not in store.get_keys()
    store.add_message(session_id, MESSAGES[1])
    assert store.get_messages(session_id) == MESSAGES[1:2]


def test_a_message_is_deleted_by_its_index(store: RobotBrainChatStore, session_id: str) -> None:
    store.set_messages(session_id, MESSAGES)
    left = list(MESSAGES)
    for index in (3, 0, 4, 1):
        assert store.delete_message(session_id, index) == left.pop(index)
        assert store.get_messages(session_id) == left
    assert store.delete_message(session_id, 3) is None
    assert store.delete_message(f"{session_id}-unknown", 0) is None


def test_the_newest_message_is_deleted_until_no_message_is_left(store: RobotBrainChatStore, session_id: str) -> None:
    store.set_messages(session_id, MESSAGES)
    for count in range(len(MESSAGES) - 1, -1, -1):
        assert store.delete_last_message(session_id) == MESSAGES[count]
    assert store.delete_last_message(session_id) is None
    assert store.get_messages(session_id) == []


def test_the_asynchronous_methods_do_the_same(store: RobotBrainChatStore, session_id: str) -> None:
    async def work() -> None:
        await store.aset_messages(session_id, MESSAGES[:4])
        for message in MESSAGES[4:]:
            await store.async_add_message(session_id, message)
        assert await store.aget_messages(session_id) == MESSAGES
        assert await store.adelete_message(session_id, 0) == MESSAGES[0]
        assert await store.adelete_last_message(session_id) == MESSAGES[-1]
        assert session_id in await store.aget_keys()
        assert await store.adelete_messages(session_id) == MESSAGES[1:-1]

    asyncio.run(work())


@pytest.mark.parametrize("text", ["日本語 🙂", "'; drop table x; --", "a\0b", "", "x" * 100_000])
def test_any_text_comes_back_equal(store: RobotBrainChatStore, session_id: str, text: str) -> None:
    messages = [said("user", text), said("tool", text), said("assistant", text)]
    for message in messages:
        store.add_message(session_id, message)
    assert store.get_messages(session_id) == messages


def test_a_picture_of_60_kb_and_its_text_come_back_equal(store: RobotBrainChatStore, session_id: str) -> None:
    picture = ImageBlock(image=base64.b64encode(os.urandom(60_000)), image_mimetype="image/png")
    message = ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="What?"), picture])
    store.add_message(session_id, message)
    assert store.get_messages(session_id) == [message]


def test_250_messages_come_back_in_order(store: RobotBrainChatStore, session_id: str) -> None:
    messages = [said("user" if number % 2 == 0 else "assistant", str(number)) for number in range(250)]
    store.set_messages(session_id, messages)
    assert store.get_messages(session_id) == messages


def test_a_memory_of_the_framework_works_over_it(store: RobotBrainChatStore, session_id: str) -> None:
    memory = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key=session_id, token_limit=10_000)
    for message in MESSAGES[1:]:
        memory.put(message)
    assert memory.get() == MESSAGES[1:]
    memory.reset()
    assert store.get_messages(session_id) == []


def test_a_store_as_json_has_neither_the_client_nor_its_credentials(store: RobotBrainChatStore) -> None:
    assert set(store.model_dump()) == {"personality", "class_name"}


def test_of_100_exchanges_by_threads_with_lost_answers_each_is_stored_once(losing_url: str, session_id: str) -> None:
    def talk(number: int) -> None:
        key = f"{session_id}-{number % 8}"
        with locks[number % 8]:
            store.add_message(key, said("user", f"q{number}"))
            store.add_message(key, said("assistant", f"a{number}"))

    locks = [threading.Lock() for _ in range(8)]
    with RobotBrain(losing_url) as brain, ThreadPoolExecutor(8) as threads:
        store = RobotBrainChatStore(brain)
        list(threads.map(talk, range(100)))
        found = [turn for part in range(8) for turn in brain.turns(f"{session_id}-{part}")]
    assert sorted((int(turn["user_message"][1:]), int(turn["robot_response"][1:])) for turn in found) == [
        (number, number) for number in range(100)
    ]


def test_the_code_of_the_document_runs(api: str, session_id: str) -> None:
    names: dict[str, Any] = {}
    exec(block("LlamaIndex", api, session_id), names)
    names["memory"].put(MESSAGES[1])
    assert names["store"].get_messages(session_id) == [MESSAGES[1]]
    names["brain"].close()


def test_what_eight_threads_store_comes_back_equal(api: str, session_id: str) -> None:
    stores: list[RobotBrainChatStore] = []

    def talk(part: int) -> None:
        store = stores[0]
        wanted = [said("user", f"q{number}") for number in range(TURNS // 8)]
        for message in wanted:
            store.add_message(f"{session_id}-{part}", message)
        assert store.get_messages(f"{session_id}-{part}") == wanted

    with RobotBrain(api) as brain, ThreadPoolExecutor(8) as threads:
        stores.append(RobotBrainChatStore(brain))
        list(threads.map(talk, range(8)))
