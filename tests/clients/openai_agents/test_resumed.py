"""What the SDK does to a session beside adding: a run that waits for a person, a rewind, a compaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from agents import Agent, Runner, RunState, function_tool, set_tracing_disabled
from agents.memory import OpenAIResponsesCompactionSession
from agents.run_internal.session_persistence import rewind_session_items

from robot_brain_client import AsyncRobotBrain
from robot_brain_client.openai_agents import RobotBrainSession
from tests.clients.lossy_relay import LossyRelay
from tests.clients.openai_agents.function_model import FunctionModel, said, weather

set_tracing_disabled(True)
QUESTION = "Is it cold in Oslo?"


@function_tool(name_override="temperature", needs_approval=True)
def approved_temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"-3 degrees in {city}"


def run(url: str, work: Callable[[AsyncRobotBrain], Coroutine[Any, Any, None]]) -> None:
    async def all_of_it() -> None:
        async with AsyncRobotBrain(url) as brain:
            await work(brain)

    asyncio.run(all_of_it())


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_run_that_waits_for_a_person_is_one_full_turn(
    relay: LossyRelay, session_id: str, approved: bool, restarted: bool
) -> None:
    agent = Agent(name="Guide", tools=[approved_temperature], model=FunctionModel(weather))

    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        result = await Runner.run(agent, QUESTION, session=session)
        [interruption] = result.interruptions
        assert [item.get("type", "message") for item in await session.get_items()] == ["message", "function_call"]
        state = result.to_state()
        if restarted:
            # Another process goes on, from the state as text.
            state = await RunState.from_string(agent, state.to_string())
            [interruption] = state.get_interruptions()
            session = RobotBrainSession(session_id, brain)
        state.approve(interruption) if approved else state.reject(interruption)
        result = await Runner.run(agent, state, session=session)
        [turn] = [turn async for turn in brain.turns(session_id)]
        assert (turn["user_message"], turn["robot_response"]) == (QUESTION, result.final_output)
        assert len(turn["items"]) == 4
        output = (await session.get_items())[2]["output"]
        assert (output == "-3 degrees in Oslo") == approved

    run(relay.url, work)


def test_a_rewind_removes_what_the_failed_attempt_added(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        session = RobotBrainSession(session_id, brain)
        agent = Agent(name="Guide", model=FunctionModel(lambda items: [said("yes")]))
        await Runner.run(agent, QUESTION, session=session)
        before = await session.get_items()
        added: list[Any] = [{"role": "user", "content": "And now?"}, {"role": "user", "content": "Please."}]
        await session.add_items(added)
        await rewind_session_items(session, added)
        assert await session.get_items() == before
        # What is not at the end stays.
        await session.add_items([{"role": "user", "content": "Other."}])
        await rewind_session_items(session, added)
        assert (await session.get_items())[:-1] == before

    run(relay.url, work)


class Compactor:
    """OpenAI's service that compacts: all items but the user's become one of type `compaction`."""

    def __init__(self) -> None:
        self.responses = self
        self.inputs: list[list[Any]] = []

    async def compact(self, *, input: list[Any], **named: Any) -> SimpleNamespace:
        """Return the compacted items."""
        self.inputs.append(input)
        kept = [item for item in input if item.get("role") == "user"]
        output = [*kept, {"type": "compaction", "id": "cmp_1", "encrypted_content": "secret"}]
        return SimpleNamespace(output=output, usage=None)


def test_a_compaction_replaces_the_items_and_the_talk_goes_on(relay: LossyRelay, session_id: str) -> None:
    async def work(brain: AsyncRobotBrain) -> None:
        inner = RobotBrainSession(session_id, brain)
        compactor: Any = Compactor()
        session = OpenAIResponsesCompactionSession(session_id, inner, client=compactor, compaction_mode="input")
        model = FunctionModel(lambda items: [said(f"answer {len(items)}")])
        agent = Agent(name="Guide", model=model)
        for number in range(3):
            await Runner.run(agent, f"question {number}", session=session)
        await session.run_compaction({"force": True})
        assert len(compactor.inputs) == 1
        compacted = await inner.get_items()
        assert [item.get("type", item.get("role")) for item in compacted][-1] == "compaction"
        assert len(compacted) == 4
        await Runner.run(agent, "question 3", session=session)
        assert [item.get("content") for item in model.inputs[-1] if item.get("role") == "user"] == [
            f"question {number}" for number in range(4)
        ]
        texts = [turn["robot_response"] async for turn in brain.turns(session_id)]
        assert texts[-1].startswith("answer")
        assert "answer 1" not in texts

    run(relay.url, work)
