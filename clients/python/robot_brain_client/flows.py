"""Several calls that belong together, as a generator: it yields calls and is given their answers or errors.

So the same lines serve the synchronous and the asynchronous client. `RobotBrain.run` sends the calls.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

from robot_brain_client.answers import Answer, Call
from robot_brain_client.errors import RobotBrainError

Result = TypeVar("Result")
Flow = Generator[Call, Answer[Any], Result]


class Steps(Generic[Result]):
    """The state of a flow. `call` is the next call, None at the end. `result` is the flow's result then."""

    result: Result

    def __init__(self, flow: Flow[Result]) -> None:
        self._flow = flow
        self.call: Call | None = None
        self._go(lambda: next(flow))

    def answer(self, answer: Answer[Any]) -> None:
        """Give the flow the answer of its call."""
        self._go(lambda: self._flow.send(answer))

    def error(self, error: RobotBrainError) -> None:
        """Raise the error in the flow, at its call."""
        self._go(lambda: self._flow.throw(error))

    def _go(self, step: Any) -> None:
        try:
            self.call = step()
        except StopIteration as end:
            self.call, self.result = None, end.value
