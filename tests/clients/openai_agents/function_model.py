"""A model that is a function: it looks at the input and returns output items. It uses no network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from agents import Model, ModelResponse, Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)


def said(text: str) -> ResponseOutputMessage:
    """Return a message of the assistant."""
    part = ResponseOutputText(text=text, type="output_text", annotations=[])
    return ResponseOutputMessage(id="msg_1", role="assistant", status="completed", type="message", content=[part])


def called(name: str, arguments: str, call_id: str = "call_1") -> ResponseFunctionToolCall:
    """Return a call of a tool."""
    return ResponseFunctionToolCall(
        id="fc_1", call_id=call_id, name=name, arguments=arguments, type="function_call", status="completed"
    )


def weather(items: list[Any]) -> list[Any]:
    """Ask the tool for each question, and then answer with its output."""
    last = items[-1]
    if last.get("type") == "function_call_output":
        return [said(f"It is {last['output']}.")]
    return [called("temperature", '{"city": "Oslo"}')]


class FunctionModel(Model):
    """Answers by a function of the input. `inputs` are the inputs so far."""

    def __init__(self, answer: Callable[[list[Any]], list[Any]]) -> None:
        self._answer = answer
        self.inputs: list[list[Any]] = []

    async def get_response(self, system_instructions: Any, input: Any, *arguments: Any, **named: Any) -> ModelResponse:
        """Return the function's items."""
        items = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        self.inputs.append(items)
        return ModelResponse(output=self._answer(items), usage=Usage(), response_id=None)

    async def stream_response(
        self, system_instructions: Any, input: Any, *arguments: Any, **named: Any
    ) -> AsyncIterator[Any]:
        """Give the function's items as one completed response."""
        answer = await self.get_response(system_instructions, input)
        response = Response(
            id="resp_1", created_at=0, model="function", object="response", output=answer.output,
            parallel_tool_calls=False, tool_choice="none", tools=[],
        )  # fmt: skip
        yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)
