"""The peers of bench-peers, by the calls that their documentation shows. They run in an environment of their own.

    python -m tests.bench.peers langchain-postgres|openai-agents|langgraph|langgraph-get|llama-index

To their advantage, connections, engines, sessions and event loops are made once and kept. langgraph writes the whole
conversation each time. Its README calls `put` with a checkpoint that the caller has. So `langgraph` keeps its
conversations in memory, which no other writer may change. `langgraph-get` first loads one with `get_tuple`, as the loop
of langgraph does, and as a newly started function must.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import Any

from tests.bench.contender import Contender, Turn, serve
from tests.bench.texts import pairs


class LangchainPostgres:
    """PostgresChatMessageHistory: one row per message, and reads without a limit."""

    def connect(self, url: str, first: bool) -> None:
        """Open a connection, as the README does."""
        import psycopg
        from langchain_core.messages import AIMessage, HumanMessage
        from langchain_postgres import PostgresChatMessageHistory

        self._history, self._human, self._ai = PostgresChatMessageHistory, HumanMessage, AIMessage
        self._connection = psycopg.connect(url)
        if first:
            PostgresChatMessageHistory.create_tables(self._connection, "chat_history")

    def _of(self, session: int) -> Any:
        return self._history("chat_history", str(uuid.UUID(int=session)), sync_connection=self._connection)

    def _messages(self, turns: list[Turn]) -> list[Any]:
        return [each for said, answer in turns for each in (self._human(said), self._ai(answer))]

    def fill(self, session: int, turns: list[Turn]) -> None:
        """Write all at once."""
        self._of(session).add_messages(self._messages(turns))

    def append(self, session: int, turn: Turn) -> None:
        """Write both messages with one call."""
        self._of(session).add_messages(self._messages([turn]))

    def last(self, session: int, turns: int) -> int:
        """Read all and take the last."""
        return len(self._of(session).get_messages()[-2 * turns :])


class OpenaiAgents:
    """SQLAlchemySession over asyncpg: one row per item, and one per session that each append locks and updates."""

    def connect(self, url: str, first: bool) -> None:
        """Make an engine. The event loop is made once, and the sessions are kept with the engine."""
        from agents.extensions.memory import SQLAlchemySession
        from sqlalchemy.ext.asyncio import create_async_engine

        if first:
            self._runner = asyncio.Runner()
        self._session = SQLAlchemySession
        self._engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        self._first = first
        self._sessions: dict[int, Any] = {}

    def _of(self, session: int) -> Any:
        if session not in self._sessions:
            self._sessions[session] = self._session(str(session), engine=self._engine, create_tables=self._first)
        return self._sessions[session]

    def _add(self, session: int, turns: list[Turn]) -> None:
        items = [
            each
            for said, answer in turns
            for each in ({"role": "user", "content": said}, {"role": "assistant", "content": answer})
        ]
        self._runner.run(self._of(session).add_items(items))

    def fill(self, session: int, turns: list[Turn]) -> None:
        """Write all at once."""
        self._add(session, turns)

    def append(self, session: int, turn: Turn) -> None:
        """Write both items with one call."""
        self._add(session, [turn])

    def last(self, session: int, turns: int) -> int:
        """Read with a limit, which this store has."""
        return len(self._runner.run(self._of(session).get_items(limit=2 * turns)))


class Langgraph:
    """PostgresSaver: the conversation is one value of a checkpoint, written whole each time."""

    def connect(self, url: str, first: bool) -> None:
        """Enter the saver's own connection, as the README does."""
        from langchain_core.messages import AIMessage, HumanMessage
        from langgraph.checkpoint.base import empty_checkpoint
        from langgraph.checkpoint.postgres import PostgresSaver

        self._empty, self._human, self._ai = empty_checkpoint, HumanMessage, AIMessage
        self._entered = PostgresSaver.from_conn_string(url)
        self._saver = self._entered.__enter__()
        if first:
            self._saver.setup()
            self._states: dict[int, tuple[dict[str, Any], list[Any], int]] = {}

    def fill(self, session: int, turns: list[Turn]) -> None:
        """Write the first checkpoint."""
        config = {"configurable": {"thread_id": str(session), "checkpoint_ns": ""}}
        self._states[session] = config, [], 0
        self._put(session, turns)

    def append(self, session: int, turn: Turn) -> None:
        """Write another checkpoint, with the new version of the messages."""
        self._put(session, [turn])

    def _put(self, session: int, turns: list[Turn]) -> None:
        config, messages, version = self._states[session]
        messages += [each for said, answer in turns for each in (self._human(said), self._ai(answer))]
        versions = {"messages": version + 1}
        checkpoint = self._empty() | {"channel_values": {"messages": messages}, "channel_versions": versions}
        self._states[session] = self._saver.put(config, checkpoint, {}, versions), messages, version + 1

    def last(self, session: int, turns: int) -> int:
        """Read the newest checkpoint and take the last of its messages."""
        found = self._saver.get({"configurable": {"thread_id": str(session)}})
        return len(found["channel_values"]["messages"][-2 * turns :])


class LanggraphGet(Langgraph):
    """The same saver, which keeps nothing in memory between two appends."""

    def append(self, session: int, turn: Turn) -> None:
        """Load the newest checkpoint, then write another."""
        found = self._saver.get_tuple({"configurable": {"thread_id": str(session), "checkpoint_ns": ""}})
        messages = found.checkpoint["channel_values"]["messages"]
        self._states[session] = found.config, messages, found.checkpoint["channel_versions"]["messages"]
        self._put(session, [turn])


class LlamaIndex:
    """PostgresChatStore over SQLAlchemy: one array of messages per session. Each call appends one message."""

    def connect(self, url: str, first: bool) -> None:
        """Make the store, which looks for its table each time."""
        from llama_index.core.llms import ChatMessage
        from llama_index.storage.chat_store.postgres import PostgresChatStore

        self._message = ChatMessage
        self._store = PostgresChatStore.from_params(
            connection_string=url.replace("postgresql:", "postgresql+psycopg:"),
            async_connection_string=url.replace("postgresql:", "postgresql+asyncpg:"),
        )

    def _messages(self, turns: list[Turn]) -> list[Any]:
        sides = ("user", "assistant")
        return [
            self._message(role=role, content=text) for turn in turns for role, text in zip(sides, turn, strict=True)
        ]

    def fill(self, session: int, turns: list[Turn]) -> None:
        """Write all at once."""
        self._store.set_messages(str(session), self._messages(turns))

    def append(self, session: int, turn: Turn) -> None:
        """Write two messages with two calls, because no call takes two."""
        for message in self._messages([turn]):
            self._store.add_message(str(session), message)

    def last(self, session: int, turns: int) -> int:
        """Read all and take the last."""
        return len(self._store.get_messages(str(session))[-2 * turns :])


PEERS: dict[str, type[Contender]] = {
    "langchain-postgres": LangchainPostgres,
    "openai-agents": OpenaiAgents,
    "langgraph": Langgraph,
    "langgraph-get": LanggraphGet,
    "llama-index": LlamaIndex,
}

if __name__ == "__main__":
    serve(PEERS[sys.argv[1]](), pairs())
