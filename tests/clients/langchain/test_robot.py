"""The example of LangChain over the API of `make run`, with a model that is a function."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from robot_brain_client import RobotBrain
from robot_brain_client.langchain import RobotBrainChatMessageHistory
from tests.clients.examples import example
from tests.clients.lossy_relay import LossyRelay

CALL = {"name": "temperature", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}


class Weather(BaseChatModel):
    """Asks the tool for each question, and then answers with its output. `inputs` are the messages of each call."""

    inputs: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "function"

    def bind_tools(self, tools: Any, **named: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *arguments: Any, **named: Any) -> ChatResult:
        self.inputs.append(list(messages))
        last = messages[-1]
        answer = (
            AIMessage(f"It is {last.content}.") if isinstance(last, ToolMessage) else AIMessage("", tool_calls=[CALL])
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])


def test_the_example_answers_with_a_tool_and_remembers(relay: LossyRelay, session_id: str) -> None:
    robot = example("langchain_robot")
    model = Weather()
    with RobotBrain(relay.url) as brain:
        for _ in range(2):
            assert robot.talk(brain, session_id, "Is it cold?", model) == "It is -3 degrees in Oslo."
        turns = list(brain.turns(session_id))
        history = RobotBrainChatMessageHistory(session_id, brain)
        assert [message.type for message in history.messages] == ["human", "ai", "tool", "ai"] * 2
    assert [(turn["user_message"], turn["robot_response"]) for turn in turns] == [
        ("Is it cold?", "It is -3 degrees in Oslo.")
    ] * 2
    assert [len(turn["items"]) for turn in turns] == [4, 4]
    # The system's message comes first, and then all that is remembered.
    assert [len(messages) for messages in model.inputs] == [2, 4, 6, 8]
    if not relay.every:
        # The history is read once for each question, and each of the four messages is one request.
        assert [method for method, _ in relay.requests[:10]] == ["POST", "GET", "PUT", "PUT", "PUT"] * 2
