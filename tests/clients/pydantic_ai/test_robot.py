"""The example of Pydantic AI over the API of `make run`, with a model that is a function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic_ai import BinaryContent
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from robot_brain_client import AsyncRobotBrain
from robot_brain_client.transcript import Transcript
from tests.clients.examples import example
from tests.clients.lossy_relay import LossyRelay

robot = example("pydantic_ai_robot")
QUESTION = "Is it cold in Oslo?"
ANSWER = "It is -3 degrees in Oslo."


class Weather:
    """Asks the tool for each question, and then answers with its output. `inputs` are the messages of each call."""

    def __init__(self) -> None:
        self.inputs: list[list[ModelMessage]] = []
        self.model = FunctionModel(self._answer)

    def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.inputs.append(list(messages))
        last = messages[-1].parts[-1]
        if last.part_kind == "tool-return":
            return ModelResponse([TextPart(f"It is {last.content}.")])
        return ModelResponse([ToolCallPart("temperature", {"city": "Oslo"})])


def run(url: str, work: Callable[[AsyncRobotBrain], Coroutine[Any, Any, None]]) -> None:
    async def all_of_it() -> None:
        async with AsyncRobotBrain(url) as brain:
            await work(brain)

    asyncio.run(all_of_it())


async def stored(brain: AsyncRobotBrain, session_id: str) -> list[ModelMessage]:
    items = await brain.run(Transcript(session_id, robot.FORM, "guide").read())
    return ModelMessagesTypeAdapter.validate_python(items)


def test_two_runs_with_a_tool_are_two_full_turns(relay: LossyRelay, session_id: str) -> None:
    weather = Weather()

    async def work(brain: AsyncRobotBrain) -> None:
        for _ in range(2):
            assert await robot.talk(brain, session_id, QUESTION, weather.model) == ANSWER
        turns = [turn async for turn in brain.turns(session_id)]
        assert [(turn["user_message"], turn["robot_response"]) for turn in turns] == [(QUESTION, ANSWER)] * 2
        assert [len(turn["items"]) for turn in turns] == [4, 4]
        assert all(QUESTION not in str(turn["items"]) and ANSWER not in str(turn["items"]) for turn in turns)

    run(relay.url, work)
    assert [len(messages) for messages in weather.inputs] == [1, 3, 5, 7]
    if not relay.every:
        assert [method for method, _ in relay.requests if method != "GET"] == ["POST", "POST"]


def test_the_messages_come_back_equal(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        picture = BinaryContent(bytes(range(256)) * 200, media_type="image/png")
        result = await robot.robot.run(["What is this? 日本語", picture], model=Weather().model)
        items = ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json")
        await brain.run(Transcript(session_id, robot.FORM, "guide").append(items))
        assert ModelMessagesTypeAdapter.dump_python(await stored(brain, session_id), mode="json") == items
        [turn] = [turn async for turn in brain.turns(session_id)]
        assert turn["user_message"] == "What is this? 日本語"

    run(relay.url, work)


def test_the_model_reads_an_edited_text_and_the_turns_of_another_client(api: str, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        weather = Weather()
        await robot.talk(brain, session_id, "My number is 4711", weather.model)
        [turn] = (await brain.read(session_id)).body["messages"]
        await brain.replace(session_id, turn["seq"], content(turn) | {"user_message": "[removed]"})
        other: Any = {"robot_personality": "guide", "user_message": "hello", "robot_response": "Hello."}
        await brain.write(session_id, other)
        await robot.talk(brain, session_id, QUESTION, weather.model)
        [prompt, *_] = weather.inputs[-1][0].parts
        assert prompt.content == "[removed]"
        assert "4711" not in str(weather.inputs[-1])
        assert [part.content for message in weather.inputs[-1][4:6] for part in message.parts] == ["hello", "Hello."]

    def content(turn: Any) -> Any:
        return {name: turn[name] for name in ("user_message", "robot_response", "metadata", "items")}

    run(api, work)


def test_a_run_that_fails_stores_nothing_and_the_next_one_goes_on(api: str, session_id: str) -> None:
    def fails(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise RuntimeError("no model")

    async def work(brain: AsyncRobotBrain) -> None:
        with pytest.raises(RuntimeError, match="no model"):
            await robot.talk(brain, session_id, QUESTION, FunctionModel(fails))
        assert await stored(brain, session_id) == []
        assert await robot.talk(brain, session_id, QUESTION, Weather().model) == ANSWER

    run(api, work)


def test_of_100_exchanges_with_lost_answers_each_is_stored_once(losing_url: str, session_id: str) -> None:
    def echo(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse([TextPart(f"a{messages[-1].parts[-1].content}")])

    async def work(brain: AsyncRobotBrain) -> None:
        async def ten(part: int) -> None:
            for number in range(part, 100, 10):
                await robot.talk(brain, f"{session_id}-{part}", str(number), FunctionModel(echo))

        await asyncio.gather(*(ten(part) for part in range(10)))
        turns = [turn for part in range(10) async for turn in brain.turns(f"{session_id}-{part}")]
        found = sorted((int(turn["user_message"]), turn["robot_response"]) for turn in turns)
        assert found == [(number, f"a{number}") for number in range(100)]

    run(losing_url, work)
