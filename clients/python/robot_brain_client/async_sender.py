"""How the client for asyncio sends calls, made from sender.py by `make contract`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from asyncio import sleep
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

from robot_brain_client import calls
from robot_brain_client.addresses import address
from robot_brain_client.answers import Answer, Call
from robot_brain_client.auth import Auth
from robot_brain_client.errors import NotFoundError, NotSentError, OutcomeUnknownError, RobotBrainError
from robot_brain_client.flows import Flow, Steps
from robot_brain_client.retrying import ATTEMPT_SECONDS, PATIENCE_SECONDS, Attempts
from robot_brain_client.async_transport import AsyncTransport

Result = TypeVar("Result")


class AsyncSender:
    """Sends calls to the API at an address.

    Args:
        url: The address of the API, such as the output ApiUrl of the stack or http://127.0.0.1:3000.
        auth: `Bearer` or `SigV4`; None for the API of `make run`.
        timeout: The seconds that one attempt may stay without an answer.
        patience: The seconds after which no attempt of a call begins.
    """

    def __init__(
        self, url: str, auth: Auth | None = None, timeout: float = ATTEMPT_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._address = address(url)
        self._transport = AsyncTransport(url, timeout)
        self._auth = auth
        self._patience = patience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the idle connections."""
        await self._transport.close()

    async def run(self, flow: Flow[Result]) -> Result:
        """Send the calls of a flow, one after another, and return the flow's result."""
        steps = Steps(flow)
        while steps.call is not None:
            try:
                steps.answer(await self._send(steps.call))
            except RobotBrainError as error:
                steps.error(error)
        return steps.result

    async def _send(self, call: Call) -> Answer[Any]:
        """Return the answer of a call, after as many attempts as it may have."""
        attempts = Attempts(call, self._patience)
        path = self._address.path + call.path
        target = f"{path}?{urlencode(call.query, quote_via=quote, safe='-_.~')}" if call.query else path
        while True:
            signed = self._auth.headers(call, self._address.netloc, path) if self._auth else {}
            try:
                reply = await self._transport.send(call.method, target, call.headers | signed, call.body)
            except (NotSentError, OutcomeUnknownError) as error:
                pause = attempts.failure(error)
            else:
                answer = attempts.answer(reply)
                if isinstance(answer, Answer):
                    return answer
                pause = answer
            await sleep(pause)

    async def _erase(self, call: Call) -> bool:
        """Repeat an erasure until nothing is left. It returns False if a part is left after the patience."""
        ends = monotonic() + self._patience
        begun = False
        while True:
            try:
                answer = await self._send(call)
            except NotFoundError as error:
                # An attempt without an answer, or the last step, erased it.
                if begun or error.perhaps_done:
                    return True
                raise
            if answer.status != 202:
                return True
            if monotonic() > ends:
                return False
            # The first step has met the condition.
            begun, call = True, Call(call.method, call.path, repeatable=True)
            await sleep(1.0)

    async def _pages(self, path: str, query: dict[str, Any]) -> AsyncIterator[Any]:
        """Read the pages of a list, until there is no cursor."""
        cursor: str | None = None
        while True:
            answer = await self._send(calls.get(path, query | {"cursor": cursor}))
            yield answer.body
            if not (cursor := answer.body["page"]["cursor"]):
                return
