"""The history of messages for LangChain over the API of `make run`, with and without lost answers."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables.history import RunnableWithMessageHistory

from robot_brain_client import AsyncRobotBrain, RobotBrain
from robot_brain_client.langchain import RobotBrainChatMessageHistory
from tests.clients.documented import block
from tests.clients.lossy_relay import LossyRelay, lossy_relay

TOOL_CALL = {"name": "temperature", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}
TURNS = int(os.environ.get("TURNS", "800"))
USAGE: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
MESSAGES: list[BaseMessage] = [
    SystemMessage("You know the weather."),
    HumanMessage("Is it cold?", id="h1", additional_kwargs={"a": [1, None]}),
    AIMessage("", tool_calls=[TOOL_CALL], id="a1"),
    ToolMessage("-3", tool_call_id="call_1", artifact={"raw": -3}),
    AIMessage("Yes, -3.", id="a2", response_metadata={"model": "m"}, usage_metadata=USAGE),
    HumanMessage("Thanks"),
    AIMessage([{"type": "text", "text": "Welcome."}]),
]


@pytest.fixture
def brain(relay: LossyRelay) -> Iterator[RobotBrain]:
    """A client."""
    with RobotBrain(relay.url) as brain:
        yield brain


def test_messages_come_back_equal_however_they_were_added(brain: RobotBrain, session_id: str) -> None:
    history = RobotBrainChatMessageHistory(session_id, brain)
    assert isinstance(history, BaseChatMessageHistory)
    assert history.messages == []
    history.add_messages(MESSAGES[:1])
    for message in MESSAGES[1:4]:
        history.add_message(message)
    history.add_messages(MESSAGES[4:])
    assert history.messages == MESSAGES
    assert RobotBrainChatMessageHistory(session_id, brain).messages == MESSAGES
    turns = list(brain.turns(session_id))
    assert [(turn["user_message"], turn["robot_response"]) for turn in turns] == [
        ("", ""),
        ("Is it cold?", "Yes, -3."),
        ("Thanks", "Welcome."),
    ]


@pytest.mark.parametrize("own_client", [False, True])
def test_the_asynchronous_methods_store_and_read_the_same(relay: LossyRelay, session_id: str, own_client: bool) -> None:
    async def work() -> None:
        with RobotBrain(relay.url) as brain:
            async with AsyncRobotBrain(relay.url) as other:
                history = RobotBrainChatMessageHistory(session_id, brain, async_brain=other if own_client else None)
                for message in MESSAGES:
                    await history.aadd_messages([message])
                assert await history.aget_messages() == MESSAGES
                assert len([turn async for turn in other.turns(session_id)]) == 3
                await history.aclear()
                assert await history.aget_messages() == []

    asyncio.run(work())


def test_the_asynchronous_methods_know_the_turn_that_they_wrote_last(api: str, session_id: str) -> None:
    async def work(relay: LossyRelay) -> None:
        with RobotBrain(relay.url) as brain:
            async with AsyncRobotBrain(relay.url) as other:
                history = RobotBrainChatMessageHistory(session_id, brain, async_brain=other)
                for message in MESSAGES[1:5]:
                    await history.aadd_messages([message])
                assert [method for method, _ in relay.requests] == ["POST", "PUT", "PUT", "PUT"]

    with lossy_relay(api, every=0) as relay:
        asyncio.run(work(relay))


def test_synchronous_and_asynchronous_methods_can_be_mixed_and_used_at_once(relay: LossyRelay, session_id: str) -> None:
    async def work() -> None:
        with RobotBrain(relay.url) as brain:
            async with AsyncRobotBrain(relay.url) as other:
                history = RobotBrainChatMessageHistory(session_id, brain, async_brain=other)
                await history.aadd_messages(MESSAGES[:3])
                history.add_messages(MESSAGES[3:])
                assert await history.aget_messages() == MESSAGES
                await history.aclear()
                history.add_message(AIMessage("one"))
                history.clear()
                await history.aadd_messages([AIMessage("two")])
                assert history.messages == [AIMessage("two")]
                await asyncio.gather(*(history.aadd_messages([AIMessage(str(number))]) for number in range(10)))
                texts = [message.text for message in history.messages]
                assert sorted(texts) == sorted(["two", *map(str, range(10))])

    asyncio.run(work())


def test_clear_removes_every_message_and_the_history_can_be_used_again(brain: RobotBrain, session_id: str) -> None:
    history = RobotBrainChatMessageHistory(session_id, brain)
    history.clear()
    history.add_messages(MESSAGES)
    history.clear()
    assert history.messages == []
    assert brain.read(session_id).body["messages"] == []
    history.add_user_message("again")
    assert history.messages == [HumanMessage("again")]


@pytest.mark.parametrize("text", ["日本語 🙂", "'; drop table x; --", "a\0b", "\ud83d", "", "x" * 100_000])
def test_any_text_comes_back_equal(brain: RobotBrain, session_id: str, text: str) -> None:
    history = RobotBrainChatMessageHistory(session_id, brain)
    messages: list[BaseMessage] = [HumanMessage(text), ToolMessage(text, tool_call_id="1"), AIMessage(text)]
    for message in messages:
        history.add_message(message)
    assert history.messages == messages


def test_a_picture_of_60_kb_comes_back_equal(brain: RobotBrain, session_id: str) -> None:
    url = "data:image/png;base64," + base64.b64encode(os.urandom(60_000)).decode()
    content: list[Any] = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    history = RobotBrainChatMessageHistory(session_id, brain)
    history.add_messages([HumanMessage(content)])
    assert history.messages == [HumanMessage(content)]
    [turn] = brain.turns(session_id)
    assert turn["user_message"] == "What?"


def test_250_messages_come_back_in_order(brain: RobotBrain, session_id: str) -> None:
    messages = [(HumanMessage if number % 2 == 0 else AIMessage)(str(number)) for number in range(250)]
    history = RobotBrainChatMessageHistory(session_id, brain)
    history.add_messages(messages)
    assert history.messages == messages
    assert len(list(brain.turns(session_id))) == 125


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_chain_with_history_makes_a_full_turn_of_each_exchange(
    relay: LossyRelay, brain: RobotBrain, session_id: str, asynchronous: bool
) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage(f"a{number}") for number in range(3)]))
    chain = RunnableWithMessageHistory(model, lambda key: RobotBrainChatMessageHistory(key, brain))
    config: Any = {"configurable": {"session_id": session_id}}
    for number in range(3):
        question = [HumanMessage(f"q{number}")]
        answer = asyncio.run(chain.ainvoke(question, config)) if asynchronous else chain.invoke(question, config)
        assert answer.content == f"a{number}"
    turns = list(brain.turns(session_id))
    assert [(turn["user_message"], turn["robot_response"]) for turn in turns] == [(f"q{n}", f"a{n}") for n in range(3)]
    if not relay.every:
        assert [method for method, _ in relay.requests if method != "GET"] == ["POST"] * 3


def test_of_100_exchanges_by_threads_with_lost_answers_each_is_stored_once(losing_url: str, session_id: str) -> None:
    def talk(number: int) -> None:
        history = histories[number % 8]
        history.add_messages([HumanMessage(f"q{number}"), AIMessage(f"a{number}")])

    with RobotBrain(losing_url) as brain, ThreadPoolExecutor(8) as threads:
        histories = [RobotBrainChatMessageHistory(f"{session_id}-{part}", brain) for part in range(8)]
        list(threads.map(talk, range(100)))
        found = [turn for part in range(8) for turn in brain.turns(f"{session_id}-{part}")]
    assert sorted((int(turn["user_message"][1:]), int(turn["robot_response"][1:])) for turn in found) == [
        (number, number) for number in range(100)
    ]


def test_the_code_of_the_document_runs(api: str, session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(block("LangChain", api, session_id), names)
    assert names["history"].messages == [HumanMessage("Is it cold in Oslo?"), AIMessage("Yes, -3.")]
    names["brain"].close()
    assert "Yes, -3." in capsys.readouterr().out


def test_what_eight_threads_store_comes_back_equal(api: str, session_id: str) -> None:
    clients: list[RobotBrain] = []

    def talk(part: int) -> None:
        history = RobotBrainChatMessageHistory(f"{session_id}-{part}", clients[0])
        wanted: list[BaseMessage] = []
        for number in range(TURNS // 8):
            wanted += [HumanMessage(f"q{number}"), AIMessage(f"a{number}")]
            history.add_messages(wanted[-2:])
        assert history.messages == wanted

    with RobotBrain(api) as brain, ThreadPoolExecutor(8) as threads:
        clients.append(brain)
        list(threads.map(talk, range(8)))
