"""Sessions of one caller in every state, made through the SQL functions, and all rows of its tenant."""

from __future__ import annotations

import json
import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.isolation.asking import Answer, ask
from tests.isolation.parties import SOUGHT, STATES, Axis, Known, Party, canary_turn, clears_keys, new_words
from tests.isolation.people import document_of, saved
from tests.support.servers.databases import Database

FREE_IDS = 40
# As the layer writes it, so that the fingerprint of the key is the same by SQL and by HTTP.
_INTERACTION = {"duration_ms": 7, "success": True}
# So many turns that an erasure needs more than one step.
_MORE_TURNS = """
with filled as (
  insert into robot_brain.conversations (
    tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response
  )
  select s.tenant_id, s.id, s.message_count + n, s.last_active, 'filler', '', 'x'
  from robot_brain.sessions s, generate_series(1, 5000) n
  where s.tenant_id = %(tenant)s and s.id = %(id)s
)
update robot_brain.sessions set message_count = message_count + 5000, response_length = response_length + 5000
where tenant_id = %(tenant)s and id = %(id)s
"""


@dataclass
class World:
    """A database with a session of the owner in each state. `app` is the functions' connection, `admin` sees all."""

    app: psycopg.Connection
    admin: psycopg.Connection
    axis: Axis
    tables: list[str]
    sessions: dict[str, Known] = field(default_factory=dict)
    views: dict[str, list[Answer]] = field(default_factory=dict)
    # Sessions of the owner that are erased, one for each write to a free id.
    free: list[Known] = field(default_factory=list)

    def make(self, state: str) -> Known:
        """Make a session of the owner in a state, and return all that its owner knows of it."""
        made: list[str] = []
        words = new_words(made)
        known = Known(
            state=state,
            id=f"session {next(words)}",
            # A caller that sees all names a user, so that there is one to look for.
            user=self.axis.owner.user or ("" if self.axis.within_tenant else next(words)),
            key=next(word for word in words if not clears_keys(None, word)),
            first_id=str(uuid.uuid4()),
            last_seq=0,
            etag="",
            messages=[
                canary_turn(words, items=[{"tool": next(words)}]),
                canary_turn(
                    words, interaction={"interaction_type": next(words), "robot_id": next(words)} | _INTERACTION
                ),
            ],
            retried=canary_turn(words),
            metadata={"name": next(words)},
            cursors=(),
            search_cursor="",
            canaries=frozenset(),
        )
        if known.user:
            # No answer about a session may hold anything of its user's row.
            self._must("save_user", p_user_id=known.user, **saved(document_of(words)))
        etag = self._bring_to(known)
        return Known(
            **{
                **vars(known),
                "etag": etag.strip('"'),
                "last_seq": int(etag.strip('"').split(".")[0]),
                "cursors": self.cursors(),
                "search_cursor": self.search_cursor(),
                "canaries": frozenset(made) | ({known.user} - {"", self.axis.asker.user}),
            }
        )

    def cursors(self) -> list[str]:
        """Return the cursors of the owner's list pages, which need two sessions or more."""
        found: list[str] = []
        cursor = None
        while len(found) < 2:
            answer = self.as_owner("list_sessions", p_limit=1, p_cursor=cursor)
            cursor = json.loads(answer.row[0] or "")["page"]["cursor"]
            if cursor is None:
                break
            found.append(cursor)
        assert found, "the owner's list has no second page"
        return found

    def search_cursor(self) -> str:
        """Return the cursor of the owner's search for SOUGHT, which needs two turns or more."""
        answer = self.as_owner("search", p_query=SOUGHT, p_limit=1)
        return str(json.loads(answer.row[0] or "")["page"]["cursor"])

    def view(self, known: Known) -> list[Answer]:
        """Return what the owner gets for its session. None of the requests changes it.

        A replay of its write, and an empty patch with its whole entity tag, show that both still work.
        """
        views = [self.as_owner("read_session", p_session_id=known.id)]
        if known.state != "bare":
            write = {"p_session_id": known.id, "p_messages": json.dumps(known.messages), "p_key": known.key}
            views.append(self.as_owner("write_message", **write))
        if known.state not in ("erasing", "erased"):
            patch = {"p_session_id": known.id, "p_user_metadata": "{}", "p_if_match": known.etag}
            views.append(self.as_owner("patch_session", **patch))
        return views

    def as_owner(self, function: str, **arguments: object) -> Answer:
        """Call an SQL function as the owner."""
        return ask(self.app, function, self.axis.owner, arguments)

    def rows(self) -> Counter[tuple[str, str]]:
        """Return (table, row as text) for all rows of the owner's tenant, in tables and in the view."""
        return rows_of(self.admin, self.tables, self.axis.owner.tenant)

    def _bring_to(self, known: Known) -> str:
        """Write the session and bring it to its state. Return its last entity tag."""
        named = {"p_session_id": known.id}
        names_user = (
            {"p_user_id": known.user, "p_sets_user_id": True} if known.user and self.axis.owner.user is None else {}
        )
        metadata = {"p_user_metadata": json.dumps(known.metadata)}
        patched = self._must("patch_session", **named, **metadata, **names_user)
        if known.state == "bare":
            return patched
        self._must("write_message", **named, p_messages=json.dumps(known.messages), p_key=known.key)
        # A retry that writes is remembered, because its first attempt may come late.
        retry = {"p_messages": json.dumps([known.retried]), "p_first_id": known.first_id, "p_repeated": True}
        etag = self._must("write_message", **named, **retry)
        if known.state in ("removed", "emptied"):
            return self._must("remove_turns", **named, p_after=1 if known.state == "removed" else 0)
        if known.state == "erasing":
            self.admin.execute(_MORE_TURNS, {"tenant": self.axis.owner.tenant, "id": known.id})
        if known.state in ("erasing", "erased"):
            assert self._must("erase_session", **named) == known.state
        return etag

    def _must(self, function: str, **arguments: object) -> str:
        answer = self.as_owner(function, **arguments)
        assert answer.sqlstate is None, answer
        last = answer.row[-1]
        assert last is not None, answer
        return last


@contextmanager
def world_of(database: Database, axis: Axis) -> Iterator[World]:
    """Make a session of the owner in each state, and three sessions of the asker. Record what the owner sees."""
    with database.app() as app, database.admin() as admin:
        world = World(app, admin, axis, tables_of(admin))
        for number in range(3):
            write_own(app, axis.asker, f"own {number} {secrets.token_hex(4)}")
            write_own(app, axis.owner, f"other {number} {secrets.token_hex(4)}")
        if axis.within_tenant:
            world.free = [world.make("erased") for _ in range(FREE_IDS)]
        # The last one, because an erasure goes on with another that is not finished.
        for state in sorted(STATES, key=lambda state: state == "erasing"):
            world.sessions[state] = world.make(state)
        world.views = {state: world.view(known) for state, known in world.sessions.items()}
        yield world


def write_own(app: psycopg.Connection, party: Party, session_id: str, turns: int = 1) -> None:
    """Write turns to a session of `party`."""
    turn: dict[str, Any] = {"robot_personality": "own", "user_message": "q", "robot_response": "a", "metadata": {}}
    answer = ask(app, "write_message", party, {"p_session_id": session_id, "p_messages": json.dumps([turn] * turns)})
    assert answer.sqlstate is None, answer


def rows_of(admin: psycopg.Connection, tables: list[str], tenant: str) -> Counter[tuple[str, str]]:
    """Return (table, row as text) for all rows of a tenant, in tables and in the view."""
    union = " union all ".join(
        f"select '{table}', t::text from robot_brain.{table} t where t.tenant_id = %(tenant)s" for table in tables
    )
    # Prepared, because planning for all partitions takes longer than the scan.
    return Counter((table, row) for table, row in admin.execute(union.encode(), {"tenant": tenant}, prepare=True))


def tables_of(admin: psycopg.Connection) -> list[str]:
    """Return the tables and views with a tenant_id."""
    rows = admin.execute(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
        " where c.relnamespace = 'robot_brain'::regnamespace and c.relkind in ('r', 'p', 'm') and not c.relispartition"
        " order by 1"
    ).fetchall()
    return [row[0] for row in rows]
