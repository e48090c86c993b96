"""Write sessions of a person, keep what an export of the person must have, and walk through the pages of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from robot_brain.limits import MAX_ANSWER_BYTES
from tests.integration.user_rows import Connection
from tests.support.bundle import Bundle, Json, Reply

_WRITE = "select body::json from robot_brain_api.write_message('local', %s, %s, %s, p_as_user => %s)"
_BATCH = 100


@dataclass
class Written:
    """What a person wrote: the metadata of each session, and its turns by seq, in the form of an export."""

    user: str
    sessions: dict[str, Json] = field(default_factory=dict)
    turns: dict[tuple[str, int], Json] = field(default_factory=dict)

    def write(self, app: Connection, session: str, turns: list[Json], user_metadata: Json | None = None) -> None:
        """Append turns to a session, in batches."""
        self.sessions.setdefault(session, {}).update(user_metadata or {})
        for first in range(0, len(turns), _BATCH):
            batch = [{"metadata": {}, **turn} for turn in turns[first : first + _BATCH]]
            row = app.execute(
                _WRITE, [session, json.dumps(batch), json.dumps(user_metadata or {}), self.user]
            ).fetchone()
            assert row is not None
            for turn, said in zip(batch, row[0]["messages"], strict=True):
                interaction = turn.get("interaction")
                kept = {**turn, "interaction": {"metadata": {}, **interaction}} if interaction else turn
                self.turns[session, said["seq"]] = {**kept, **said, "session_id": session}

    def replace(self, app: Connection, session: str, seq: int, turn: Json) -> None:
        """Replace a turn, which keeps what `turn` does not name, but for items."""
        app.execute("select robot_brain_api.replace_turn('local', %s, %s, %s)", [session, seq, json.dumps(turn)])
        before = self.turns[session, seq]
        before.pop("items", None)
        before.update(turn)

    def remove(self, app: Connection, session: str, after: int) -> None:
        """Remove the turns of a session above a seq."""
        app.execute("select robot_brain_api.remove_turns('local', %s, %s)", [session, after])
        self.turns = {place: turn for place, turn in self.turns.items() if place[0] != session or place[1] <= after}


def pages(bundle: Bundle, user: str) -> Iterator[Json]:
    """Yield the pages of an export, each of which Lambda can return."""
    query: dict[str, str] = {}
    for _ in range(2000):
        reply = bundle.export(user, **query)
        assert reply.status == 200, reply
        assert size(reply) <= MAX_ANSWER_BYTES
        yield reply.json
        if reply.json["page"]["cursor"] is None:
            return
        query = {"cursor": reply.json["page"]["cursor"]}
    raise AssertionError("the export does not end")


def size(reply: Reply) -> int:
    """Return the bytes of an answer as Lambda escapes it."""
    answer = {"statusCode": reply.status, "headers": dict(reply.headers), "body": reply.body}
    return len(json.dumps(answer, ensure_ascii=False).encode())


def exported(found: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return the sessions and the turns of all pages. Asserts that none comes twice, and that a session comes first."""
    sessions: list[Json] = []
    turns: list[Json] = []
    for page in found:
        sessions += page["sessions"]
        turns += page["turns"]
        known = {each["id"] for each in sessions}
        assert {turn["session_id"] for turn in page["turns"]} <= known
    ids = [each["id"] for each in sessions]
    places = [(turn["session_id"], turn["seq"]) for turn in turns]
    assert ids == sorted(set(ids), key=lambda each: each.encode())
    assert places == sorted(set(places), key=lambda each: (each[0].encode(), each[1]))
    return sessions, turns


def content(turn: Json) -> dict[str, Any]:
    """Return a turn of an export without the times that the server made."""
    return {name: value for name, value in turn.items() if name not in ("created_at", "updated_at")}
