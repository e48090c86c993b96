"""Two users write to one unknown id at once, or a service moves a session while its user reads and writes."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier, Event

import psycopg
import pytest

from tests.isolation.asking import Answer, ask
from tests.isolation.parties import Party
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

ROUNDS = 40
MOVES = 12
# The letters of tom are no hexadecimal digits, so no random id holds the name.
USERS = [Party("acme", "ann"), Party("acme", "tom")]
SERVICE = Party("acme")
_PATIENCE_SECONDS = 120


def write(connection: psycopg.Connection, party: Party, session_id: str) -> Answer:
    """Write two turns, whose texts name the caller."""
    turn = {"robot_personality": "p", "user_message": str(party.user), "robot_response": "a", "metadata": {}}
    return ask(connection, "write_message", party, {"p_session_id": session_id, "p_messages": json.dumps([turn] * 2)})


def patch(connection: psycopg.Connection, party: Party, session_id: str) -> Answer:
    """Write the caller's name into the metadata."""
    metadata = json.dumps({"name": party.user})
    return ask(connection, "patch_session", party, {"p_session_id": session_id, "p_user_metadata": metadata})


@pytest.mark.parametrize("first", [write, patch])
@pytest.mark.parametrize("second", [write, patch])
def test_exactly_one_of_two_users_gets_an_unknown_id(
    embedded_database: Database, first: Callable[..., Answer], second: Callable[..., Answer]
) -> None:
    won: Counter[str | None] = Counter()
    barrier = Barrier(2)
    with (
        embedded_database.app() as one,
        embedded_database.app() as other,
        embedded_database.admin() as admin,
        ThreadPoolExecutor(2) as pool,
    ):

        def at_once(request: Callable[..., Answer], connection: psycopg.Connection, party: Party, name: str) -> Answer:
            barrier.wait(_PATIENCE_SECONDS)
            return request(connection, party, name)

        for number in range(ROUNDS):
            name = f"s{number}"
            running = [
                pool.submit(at_once, first, one, USERS[0], name),
                pool.submit(at_once, second, other, USERS[1], name),
            ]
            answers = [each.result(_PATIENCE_SECONDS) for each in running]
            (loser,) = [index for index in (0, 1) if answers[index].sqlstate is not None]
            owner, winner = USERS[1 - loser].user, answers[1 - loser]
            assert answers[loser].sqlstate == "RB404"
            assert winner.sqlstate is None
            won[owner] += 1
            rows = admin.execute("select user_id, user_metadata from robot_brain.sessions where id = %s", [name])
            assert [(user, metadata.get("name", owner)) for user, metadata in rows] == [(owner, owner)]
            turns = admin.execute("select user_message from robot_brain.conversations where session_id = %s", [name])
            assert {text for (text,) in turns} <= {owner}
    print(f"{ROUNDS} rounds, won by {dict(won)}")


@dataclass
class Move:
    """A session of ann that a service moves to tom. `moved` is set after tom has written to it."""

    database: Database
    name: str
    moved: Event = field(default_factory=Event)
    begun: Barrier = field(default_factory=lambda: Barrier(4))
    reads: Counter[str] = field(default_factory=Counter)

    def read_until_gone(self) -> None:
        """Read as ann until the session is gone. Each answer is whole, or that of an unknown session."""
        requests: list[tuple[str, dict[str, object]]] = [
            ("read_session", {"p_session_id": self.name, "p_limit": 200}),
            ("list_sessions", {"p_preview": True}),
            ("stats", {"p_session_id": self.name}),
        ]
        with self.database.app() as connection:
            self.begun.wait(_PATIENCE_SECONDS)
            was_moved = False
            while not was_moved:
                was_moved = self.moved.is_set()
                for function, arguments in requests:
                    found = ask(connection, function, USERS[0], arguments)
                    assert found.sqlstate is None, found
                    assert "tom" not in found.text, found
                    assert not was_moved or self.name not in found.text, found
                    if function == "read_session" and found.row[0] is not None:
                        page = json.loads(found.row[0])
                        assert len(page["messages"]) == min(page["session"]["message_count"], 200)
                        assert page["session"]["user_id"] == "ann"
                    self.reads["after" if was_moved else "before"] += 1

    def write_until_gone(self) -> int:
        """Write as ann until the session is gone. Return how many turns were written."""
        written = 0
        with self.database.app() as connection:
            self.begun.wait(_PATIENCE_SECONDS)
            was_moved = False
            while not was_moved:
                was_moved = self.moved.is_set()
                answer = write(connection, USERS[0], self.name)
                assert answer.sqlstate in (None, "RB404"), answer
                assert not was_moved or answer.sqlstate == "RB404", answer
                written += 2 * (answer.sqlstate is None)
        return written

    def has_begun(self) -> bool:
        """Return whether both readers have read."""
        return self.reads["before"] >= 12


def test_a_moved_session_shows_its_first_user_a_whole_page_or_nothing(embedded_database: Database) -> None:
    ann, tom = USERS
    reads: Counter[str] = Counter()
    with embedded_database.app() as service, ThreadPoolExecutor(3) as pool:
        for number in range(MOVES):
            move = Move(embedded_database, f"session {number}")
            write(service, ann, move.name)
            readers = [pool.submit(move.read_until_gone) for _ in range(2)]
            writer = pool.submit(move.write_until_gone)
            move.begun.wait(_PATIENCE_SECONDS)
            wait_until(move.has_begun)
            to_tom = {"p_session_id": move.name, "p_user_id": "tom", "p_sets_user_id": True}
            assert ask(service, "patch_session", SERVICE, to_tom).sqlstate is None
            # An answer that mixes two states would show this text to ann.
            assert write(service, tom, move.name).sqlstate is None
            move.moved.set()
            for reader in readers:
                reader.result(_PATIENCE_SECONDS)
            found = ask(service, "stats", tom, {"p_session_id": move.name})
            assert json.loads(found.row[0] or "")["message_count"] == 4 + writer.result(_PATIENCE_SECONDS)
            reads += move.reads
    print(f"{MOVES} moves, reads: {dict(reads)}")


def test_a_retry_after_a_move_writes_and_shows_nothing(embedded_database: Database) -> None:
    ann, tom = USERS
    turn = {"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}
    sent = {"p_session_id": "s", "p_messages": json.dumps([turn]), "p_first_id": str(uuid.uuid4())}
    with embedded_database.app() as app:
        assert ask(app, "write_message", ann, sent).sqlstate is None
        ask(app, "patch_session", SERVICE, {"p_session_id": "s", "p_user_id": "tom", "p_sets_user_id": True})
        assert ask(app, "write_message", ann, {**sent, "p_repeated": True}).sqlstate == "RB404"
        assert json.loads(ask(app, "stats", tom, {"p_session_id": "s"}).row[0] or "")["message_count"] == 1


def test_a_key_used_before_a_move_shows_only_the_answer_that_its_user_had(embedded_database: Database) -> None:
    ann, tom = USERS
    turn = {"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}
    sent = {"p_session_id": "s", "p_messages": json.dumps([turn]), "p_key": "k"}
    with embedded_database.app() as app:
        first = ask(app, "write_message", ann, sent)
        ask(app, "patch_session", SERVICE, {"p_session_id": "s", "p_user_id": "tom", "p_sets_user_id": True})
        write(app, tom, "s")
        assert ask(app, "write_message", ann, sent).row[0] == first.row[0]
        assert ask(app, "write_message", ann, {**sent, "p_messages": json.dumps([turn] * 2)}).sqlstate == "RB422"
        # The answer is emptied with the session that it is about, by any erasure.
        assert ask(app, "erase_session", tom, {"p_session_id": "s"}).row == ("erased",)
        assert ask(app, "write_message", ann, sent).sqlstate == "RB410"
