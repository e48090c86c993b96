"""The history of a chat for LangChain, kept in Robot Brain."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, message_to_dict, messages_from_dict

from robot_brain_client.client import RobotBrain
from robot_brain_client.exchanges import Form, Item, Role, one_text
from robot_brain_client.transcript import Transcript

if TYPE_CHECKING:
    from robot_brain_client.async_client import AsyncRobotBrain

_ROLES: dict[str, Role] = {"human": "user", "ai": "assistant"}


def _text(item: Item) -> str | None:
    return one_text(item["data"].get("content"))


def _made(role: Role, text: str) -> Item:
    return message_to_dict(HumanMessage(text) if role == "user" else AIMessage(text))


FORM = Form("langchain", lambda item: _ROLES.get(item["type"], "other"), _text, _made)


class RobotBrainChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session.

    Args:
        session_id: The session in Robot Brain. The first message creates it.
        brain: The client for the synchronous methods.
        async_brain: The client for the asynchronous ones. Without it they run `brain` in a thread.
        personality: The robot's personality, for the statistics and the search.
    """

    def __init__(
        self,
        session_id: str,
        brain: RobotBrain,
        *,
        async_brain: AsyncRobotBrain | None = None,
        personality: str = "assistant",
    ) -> None:
        self.session_id = session_id
        self._brain = brain
        self._async_brain = async_brain
        self._transcript = Transcript(session_id, FORM, personality)
        self._lock = threading.Lock()

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All messages, oldest first."""
        return messages_from_dict(self._brain.run(self._transcript.read()))

    async def aget_messages(self) -> list[BaseMessage]:
        """All messages, oldest first."""
        if self._async_brain is None:
            return await super().aget_messages()
        return messages_from_dict(await self._async_brain.run(self._transcript.read()))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Store messages."""
        with self._lock:
            self._brain.run(self._transcript.append([message_to_dict(message) for message in messages]))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Store messages."""
        if self._async_brain is None:
            await super().aadd_messages(messages)
            return
        # A copy, because the lock of threads must not wait in an event loop.
        transcript = copy.copy(self._transcript)
        await self._async_brain.run(transcript.append([message_to_dict(message) for message in messages]))
        self._transcript = transcript

    def clear(self) -> None:
        """Remove all messages. The session and its user_metadata stay; `RobotBrain.erase_session` erases them."""
        with self._lock:
            self._brain.run(self._transcript.clear())

    async def aclear(self) -> None:
        """Remove all messages. The session and its user_metadata stay."""
        if self._async_brain is None:
            await super().aclear()
            return
        transcript = copy.copy(self._transcript)
        await self._async_brain.run(transcript.clear())
        self._transcript = transcript
