"""A chat store for LlamaIndex, kept in Robot Brain. A key is a session."""

from __future__ import annotations

import threading
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.storage.chat_store.base import BaseChatStore

from robot_brain_client.client import RobotBrain
from robot_brain_client.errors import NotFoundError
from robot_brain_client.exchanges import Form, Item, Role, one_text
from robot_brain_client.transcript import Transcript

_MOST_OPEN = 1_000
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


def _text(item: Item) -> str | None:
    return one_text(item.get("blocks"))


def _stored(message: ChatMessage) -> Item:
    item: Item = message.model_dump(mode="json")
    return item


def _made(role: Role, text: str) -> Item:
    return _stored(ChatMessage(role=MessageRole(role), content=text))


FORM = Form("llama-index", lambda item: _ROLES.get(item["role"], "other"), _text, _made)


class _Open:
    """A session that was used, and the lock of its writers in this process."""

    def __init__(self, key: str, personality: str) -> None:
        self.transcript = Transcript(key, FORM, personality)
        self.lock = threading.Lock()


class RobotBrainChatStore(BaseChatStore):
    """The messages of all sessions. The asynchronous methods run in a thread.

    Args:
        brain: The client.
        personality: The robot's personality, for the statistics and the search.
    """

    personality: str = "assistant"
    _brain: RobotBrain = PrivateAttr()
    _open: dict[str, _Open] = PrivateAttr(default_factory=dict)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, brain: RobotBrain, **data: Any) -> None:
        super().__init__(**data)
        self._brain = brain

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class."""
        return "RobotBrainChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replace all messages of a session: remove them, then store the new ones, in two requests."""
        with (session := self._session(key)).lock:
            self._brain.run(session.transcript.clear())
            self._brain.run(session.transcript.append([_stored(message) for message in messages]))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Return all messages of a session, oldest first."""
        items = self._brain.run(Transcript(key, FORM, self.personality).read())
        return [ChatMessage.model_validate(item) for item in items]

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Store a message."""
        with (session := self._session(key)).lock:
            self._brain.run(session.transcript.append([_stored(message)]))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Erase a session and return its messages, None if there is no such session.

        A message that another process adds meanwhile is erased and not returned.
        """
        with self._session(key).lock:
            found = self.get_messages(key)
            try:
                self._brain.erase_session(key)
            except NotFoundError:
                return None
        return found

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove the message at an index and return it, None if there is no such message."""
        with (session := self._session(key)).lock:
            return _message(self._brain.run(session.transcript.delete(idx)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Remove the newest message and return it, None if there is no message."""
        with (session := self._session(key)).lock:
            return _message(self._brain.run(session.transcript.pop()))

    def get_keys(self) -> list[str]:
        """Return the ids of all sessions, newest activity first."""
        return [session["id"] for session in self._brain.sessions(limit=100)]

    def _session(self, key: str) -> _Open:
        """Return what this process knows of a session. The session used least recently is forgotten."""
        with self._lock:
            session = self._open.pop(key) if key in self._open else _Open(key, self.personality)
            self._open[key] = session
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
            return session


def _message(item: Item | None) -> ChatMessage | None:
    return None if item is None else ChatMessage.model_validate(item)
