"""The SDK's Runner with our session, and the example, with a model that is a function."""

from __future__ import annotations

import asyncio
import inspect
import sys
import textwrap
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, function_tool, set_tracing_disabled

from robot_brain_client import AsyncRobotBrain
from robot_brain_client.openai_agents import RobotBrainSession
from tests.clients.documented import block
from tests.clients.examples import example
from tests.clients.lossy_relay import lossy_relay
from tests.clients.openai_agents.function_model import FunctionModel, said, weather

set_tracing_disabled(True)


@function_tool
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"-3 degrees in {city}"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("every", [0, 2])
def test_an_exchange_with_a_tool_is_one_full_turn(api: str, session_id: str, every: int, streamed: bool) -> None:
    model = FunctionModel(weather)
    agent = Agent(name="Guide", tools=[temperature], model=model)

    async def talk(url: str) -> None:
        async with AsyncRobotBrain(url) as brain:
            session = RobotBrainSession(session_id, brain, personality="guide")
            for question in ("Is it cold in Oslo?", "And now?"):
                if streamed:
                    result: Any = Runner.run_streamed(agent, question, session=session)
                    async for _ in result.stream_events():
                        pass
                else:
                    result = await Runner.run(agent, question, session=session)
                assert result.final_output == "It is -3 degrees in Oslo."
            turns = [turn async for turn in brain.turns(session_id)]
        assert [turn["user_message"] for turn in turns] == ["Is it cold in Oslo?", "And now?"]
        assert {turn["robot_response"] for turn in turns} == {"It is -3 degrees in Oslo."}
        assert [len(turn["items"]) for turn in turns] == [4, 4]

    with lossy_relay(api, every) as relay:
        asyncio.run(talk(relay.url))
    # The second run gives the model all items of the first one.
    assert len(model.inputs[2]) == 5
    if not every:
        methods = [method for method, _ in relay.requests]
        assert methods[:8] == ["GET", "POST", "PUT", "PUT"] * 2


def test_the_input_callback_and_the_limit_of_the_run_choose_what_the_model_gets(api: str, session_id: str) -> None:
    model = FunctionModel(lambda items: [said("yes")])
    agent = Agent(name="Guide", model=model)

    async def talk() -> None:
        async with AsyncRobotBrain(api) as brain:
            session = RobotBrainSession(session_id, brain)
            for number in range(3):
                await Runner.run(agent, str(number), session=session)
            newest = RunConfig(session_input_callback=lambda history, new: [*history[-1:], *new])
            await Runner.run(agent, "3", session=session, run_config=newest)
            assert len(await session.get_items()) == 8

    asyncio.run(talk())
    assert [len(each) for each in model.inputs] == [1, 3, 5, 2]


def test_a_model_that_fails_leaves_the_question_and_the_next_run_goes_on(api: str, session_id: str) -> None:
    def fails(items: list[Any]) -> list[Any]:
        raise RuntimeError("no model")

    async def talk() -> None:
        async with AsyncRobotBrain(api) as brain:
            session = RobotBrainSession(session_id, brain)
            with pytest.raises(RuntimeError, match="no model"):
                await Runner.run(Agent(name="Guide", model=FunctionModel(fails)), "one", session=session)
            agent = Agent(name="Guide", model=FunctionModel(lambda items: [said("yes")]))
            await Runner.run(agent, "two", session=session)
            texts = [item["content"] for item in await session.get_items() if item.get("role") == "user"]
            assert texts == ["one", "two"]

    asyncio.run(talk())


def test_the_example_answers_and_remembers(api: str, session_id: str) -> None:
    robot = example("openai_agents_robot")
    model = FunctionModel(weather)

    async def talk() -> None:
        async with AsyncRobotBrain(api) as brain:
            for _ in range(2):
                assert await robot.talk(brain, session_id, "Is it cold?", model) == "It is -3 degrees in Oslo."

    asyncio.run(talk())
    assert len(model.inputs[2]) == 5


def test_the_code_of_the_document_runs(api: str, session_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = block("OpenAI Agents", api, session_id)
    model = FunctionModel(lambda items: [said("yes")])
    code = code.replace('Agent(name="Guide")', 'Agent(name="Guide", model=model)')
    names: dict[str, Any] = {"model": model}
    exec(f"async def main():\n{textwrap.indent(code, '    ')}\n    await brain.close()\n    return result", names)
    assert inspect.iscoroutinefunction(names["main"])
    assert asyncio.run(names["main"]()).final_output == "yes"
    assert "agents" in sys.modules
