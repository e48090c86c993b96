"""Requests for asyncio, with httpx."""

from __future__ import annotations

import asyncio

from robot_brain_client.addresses import address
from robot_brain_client.answers import Reply
from robot_brain_client.errors import NotSentError, OutcomeUnknownError

try:
    import httpx
except ImportError as error:
    raise ImportError("AsyncRobotBrain needs httpx: install robot-brain-client[async]") from error

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class AsyncTransport:
    """Sends requests to one address. A request that fails is not repeated here.

    Each event loop has its own connections, because an adapter may be used from several, one after another.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = address(url)
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        """Return the answer. Raises NotSentError without a connection and OutcomeUnknownError without an answer."""
        url = httpx.URL(f"{self._url.scheme}://{self._url.netloc}").copy_with(raw_path=target.encode())
        request = self._open().build_request(method, url, headers=headers, content=body)
        try:
            response = await self._open().send(request)
        except _NOT_SENT as error:
            raise NotSentError(f"No connection to {self._url.netloc}: {error}") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknownError(f"No answer: {type(error).__name__}: {error}") from error
        return Reply(response.status_code, dict(response.headers), response.content)

    async def close(self) -> None:
        """Close the idle connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = httpx.AsyncClient(timeout=self._timeout)
            self._loop = loop
        return self._client
