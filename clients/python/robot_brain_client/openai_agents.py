"""A session of the OpenAI Agents SDK, kept in Robot Brain.

The SDK needs only the methods of its `Session` protocol, so this module does not import the SDK.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from robot_brain_client.async_client import AsyncRobotBrain
from robot_brain_client.exchanges import Form, Item, Role, one_text
from robot_brain_client.transcript import Transcript

if TYPE_CHECKING:
    from agents import SessionSettings


def _role(item: Item) -> Role:
    if item.get("type", "message") != "message":
        return "other"
    role = item.get("role")
    return "user" if role == "user" else "assistant" if role == "assistant" else "other"


def _text(item: Item) -> str | None:
    return one_text(item.get("content"))


FORM = Form("openai-agents", _role, _text, lambda role, text: {"role": role, "content": text})


class RobotBrainSession:
    """The memory of one conversation: `Runner.run(agent, "Hello", session=RobotBrainSession("ann-1", brain))`.

    Args:
        session_id: The session in Robot Brain. The first item creates it.
        brain: The client. One serves any number of sessions.
        personality: The robot's personality, for the statistics and the search.
        session_settings: The SDK's settings. Their `limit` counts if `get_items` is called without one.
    """

    def __init__(
        self,
        session_id: str,
        brain: AsyncRobotBrain,
        *,
        personality: str = "assistant",
        session_settings: SessionSettings | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = session_settings
        self._brain = brain
        self._transcript = Transcript(session_id, FORM, personality)
        self._lock = asyncio.Lock()

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """Return the newest `limit` items, or all, oldest first."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        return [] if limit is not None and limit <= 0 else await self._brain.run(self._transcript.read(limit))

    async def add_items(self, items: list[Any]) -> None:
        """Store items. They are stored at once, so that a crash after a tool call loses nothing."""
        async with self._lock:
            await self._brain.run(self._transcript.append(items))

    async def pop_item(self) -> Any | None:
        """Remove the newest item and return it, None if there is no item."""
        async with self._lock:
            return await self._brain.run(self._transcript.pop())

    async def clear_session(self) -> None:
        """Remove all items. The session and its user_metadata stay; `AsyncRobotBrain.erase_session` erases them."""
        async with self._lock:
            await self._brain.run(self._transcript.clear())
