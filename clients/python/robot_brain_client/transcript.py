"""A session as a list of a framework's items: append, read, pop, clear. Each is a flow of calls.

A write is saved as it happens: a POST at the user's item, then a PUT with the tag of the own last write. Each write
leaves its id in the turn's metadata. So if an answer is lost, a read shows whether the write was done, and no item is
stored twice or removed twice. A change is not repeated before that read, because a repeat could not show it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from robot_brain_client import calls
from robot_brain_client.calls import once
from robot_brain_client.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PreconditionFailedError,
    RobotBrainError,
)
from robot_brain_client.exchanges import (
    Exchange,
    Form,
    Item,
    batches,
    chunks,
    content,
    exchange,
    may_grow,
    parts,
)
from robot_brain_client.flows import Flow
from robot_brain_client.removing import TRIED_AGAIN, first_unknown, without

_MOST_TURNS = 200
# The newest turn may be empty, so a pop reads a few.
_POPPED_AT_ONCE = 5
# Other writers of the session can come between a read and a PUT this often.
_RACES = 100


class Transcript:
    """The items of one session. The object knows the turn that it wrote last."""

    def __init__(self, session_id: str, form: Form, personality: str) -> None:
        self.session_id = session_id
        self._form = form
        self._personality = personality
        self._turn: dict[str, Any] | None = None
        self._etag: str | None = None

    def append(self, items: Sequence[Item]) -> Flow[None]:
        """Store items. A user's item begins a turn, and the items before the first one go to the turn before."""
        before, turns = parts(self._form, items)
        if before:
            rest = yield from self._continue(before)
            turns = [*rest, *turns]
        for batch in batches([part for turn in turns for part in chunks(turn)]):
            yield from self._begin(batch)

    def read(self, limit: int | None = None) -> Flow[list[Item]]:
        """Return the newest `limit` items, or all, oldest first."""
        found: list[list[Item]] = []
        count, before = 0, None
        while limit is None or count < limit:
            size = _MOST_TURNS if limit is None else min(_MOST_TURNS, limit - count)
            page = yield from self._page(limit=size, before=before)
            if page is None:
                break
            for turn in reversed(page["messages"]):
                found.append(exchange(self._form, turn).items)
                count += len(found[-1])
            before = page["page"]["before"]
            if before is None:
                break
        items = [item for turn in reversed(found) for item in turn]
        return items if limit is None else items[max(0, len(items) - limit) :]

    def pop(self) -> Flow[Item | None]:
        """Remove the newest item and return it, None if there is no item."""
        write = uuid.uuid4().hex
        self._turn = None
        before: int | None = None
        while True:
            try:
                answer = yield calls.read(self.session_id, {"limit": _POPPED_AT_ONCE, "before": before})
            except NotFoundError:
                return None
            for turn in reversed(answer.body["messages"]):
                if items := exchange(self._form, turn).items:
                    if (yield from without(self.session_id, self._form, turn, len(items) - 1, write, answer)):
                        return items[-1]
                    before = None
                    break
            else:
                before = answer.body["page"]["before"]
                if before is None:
                    return None

    def clear(self) -> Flow[None]:
        """Remove all turns. The session itself stays."""
        self._turn = None
        unknown: float | None = None
        for _ in range(_RACES):
            try:
                answer = yield calls.read(self.session_id, {"limit": 1})
                if not answer.body["session"]["message_count"]:
                    return
                yield once(calls.remove(self.session_id, 0, answer))
            except NotFoundError:
                return
            except (PreconditionFailedError, OutcomeUnknownError) as error:
                unknown = first_unknown(unknown, error)
                continue
            return
        raise OutcomeUnknownError(f"Other clients kept writing to session {self.session_id}: clear it again")

    def delete(self, index: int) -> Flow[Item | None]:
        """Remove the item at `index`, counted from the oldest, and return it. None if there is no such item."""
        write = uuid.uuid4().hex
        self._turn = None
        for _ in range(_RACES):
            place, before = index, None
            pages: list[Any] = []
            while (page := (yield from self._page(limit=_MOST_TURNS, before=before))) is not None:
                pages = [*page["messages"], *pages]
                before = page["page"]["before"]
                if before is None:
                    break
            for turn in pages:
                items = exchange(self._form, turn).items
                if 0 <= place < len(items):
                    if (yield from without(self.session_id, self._form, turn, place, write)):
                        return items[place]
                    break
                place -= len(items)
            else:
                return None
        raise OutcomeUnknownError(f"Other clients kept writing to session {self.session_id}: delete the item again")

    def _begin(self, turns: Sequence[list[Item]]) -> Flow[None]:
        """Write new turns, all or none."""
        write = uuid.uuid4().hex
        new = [
            {"robot_personality": self._personality, **content(self._form, Exchange(list(items), [write]))}
            for items in turns
        ]
        self._turn = None
        answer = yield calls.write(self.session_id, {"messages": new}, write, None)
        self._turn = {**new[-1], "seq": answer.body["last_seq"]}
        self._etag = answer.etag

    def _continue(self, items: list[Item]) -> Flow[list[list[Item]]]:
        """Add items to the last turn. Returns those of the turns that have to be begun for them."""
        write = uuid.uuid4().hex
        if self._turn is None or self._etag is None:
            yield from self._reread(self._turn["seq"] if self._turn else None)
        unknown: float | None = None
        for _ in range(_RACES):
            turn = self._turn
            if turn is None or not may_grow(self._form, turn):
                return chunks(items)
            found = exchange(self._form, turn)
            if write in found.writes:
                return []
            if not found.fits(items):
                return chunks(items)
            metadata = {name: value for name, value in turn["metadata"].items() if name != "robot_brain_client"}
            body = content(self._form, Exchange([*found.items, *items], [*found.writes, write]), metadata)
            try:
                answer = yield once(calls.replace(self.session_id, turn["seq"], body, self._etag))
            except RobotBrainError as error:
                self._turn = None
                if not isinstance(error, TRIED_AGAIN):
                    raise
                unknown = first_unknown(unknown, error)
                yield from self._reread(turn["seq"])
                continue
            self._turn, self._etag = {**turn, **body}, answer.etag
            return []
        raise OutcomeUnknownError(f"Other clients kept changing session {self.session_id}: add the items again")

    def _reread(self, seq: int | None) -> Flow[None]:
        """Read our turn again. Read the last turn without `seq`, or if our turn was removed."""
        query = {"limit": 1} if seq is None else {"limit": 1, "after": seq - 1}
        self._turn, self._etag = None, None
        try:
            answer = yield calls.read(self.session_id, query)
        except NotFoundError:
            return
        if answer.body["messages"]:
            self._turn, self._etag = answer.body["messages"][0], answer.etag
        elif seq is not None:
            yield from self._reread(None)

    def _page(self, limit: int, before: int | None = None) -> Flow[Any]:
        """Return a page of turns, None if there is no such session."""
        try:
            return (yield calls.read(self.session_id, {"limit": limit, "before": before})).body
        except NotFoundError:
            return None
