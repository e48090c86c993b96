"""Answers are lost and server processes are killed, and the audit trail agrees with the rows after each request.

A client that gets a 504 does not know whether its operation was done. The rows show it. If it was done, its entry is
there once, with the right counts. If it was not done, no entry says so.
"""

import os
import random
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import LiteralString

import psycopg
import pytest

from tests.model.random_bodies import TEXTS, optional_members, random_turn
from tests.model.random_users import Known
from tests.model.relayed import relayed
from tests.model.request import ERASE, EXPORT, PATCH, POST, PUT, REMOVE, Request, send
from tests.model.states import turn
from tests.model.store import Store
from tests.model.stored_state import stored_state
from tests.model.trail import Audited, audited, check_chain, check_trail, stored_trail
from tests.support.bundle import Bundle, Reply
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import APP, Database
from tests.support.waiting import wait_until

REQUESTS = 160
SEED = os.environ.get("MODEL_SEED", "")
USERS = ("guest-7", "guest-8")
KEYS = ("key 1", "key 2")
_WAITING: LiteralString = """
select pid from pg_stat_activity where datname = %s and usename = %s and wait_event_type = 'Lock'
"""


@dataclass
class Game:
    """One client whose requests meet faults."""

    database: Database
    admin: psycopg.Connection
    relay: FaultRelay
    chance: random.Random
    tenant: str
    users: Known
    # All entries that the rows have called for.
    wanted: int = 0

    def next_request(self, store: Store) -> Request:
        """Return a random request. Half of the changes of sessions may be repeated, because they have a whole tag."""
        chance = self.chance
        user = chance.choice((None, None, *USERS))
        if chance.random() < 0.45:
            if chance.random() < 0.15:
                return Request(EXPORT, user_id=user or chance.choice(self.users.ids), user=user)
            return self.users.request(chance, user, KEYS)
        id = chance.choice("ab")
        session = store.sessions.get(id)
        tag = f'"{session.last_seq}.{int(session.version):x}"' if session and chance.random() < 0.5 else None
        kind = chance.choice((self._post, self._post, self._put, self._put, self._remove, self._patch, self._erase))
        return kind(id, tag, user)

    def _post(self, id: str, tag: str | None, user: str | None) -> Request:
        return Request(POST, id, body={"messages": [random_turn(self.chance), turn("2")]}, if_match=tag, user=user)

    def _put(self, id: str, tag: str | None, user: str | None) -> Request:
        texts = {name: self.chance.choice(TEXTS) for name in ("user_message", "robot_response")}
        body = {**texts, **optional_members(self.chance)}
        return Request(PUT, id, self.chance.choice((1, 2)), body=body, if_match=tag, user=user)

    def _remove(self, id: str, tag: str | None, user: str | None) -> Request:
        return Request(REMOVE, id, query={"after": self.chance.choice((0, 1, 3))}, if_match=tag, user=user)

    def _patch(self, id: str, tag: str | None, user: str | None) -> Request:
        owner = {} if user is not None else {"user_id": self.chance.choice((None, *USERS))}
        return Request(
            PATCH, id, body={"user_metadata": {"m": self.chance.choice("xy")}, **owner}, if_match=tag, user=user
        )

    def _erase(self, id: str, tag: str | None, user: str | None) -> Request:
        return Request(ERASE, id, if_match=tag, user=user)

    def lose(self, request: Request, request_id: str) -> Reply:
        """Send a request. The server does it, and its answer is lost."""
        self.relay.lose_answers()
        return send(request, request_id)

    def kill(self, request: Request, request_id: str) -> Reply:
        """Send a request. The server process is killed as it appends the entry, after all other changes."""
        with self.database.admin() as holder, ThreadPoolExecutor(1) as threads:
            with holder.transaction():
                holder.execute("lock table robot_brain.audit_logs in share mode")
                sending = threads.submit(send, request, request_id)
                wait_until(lambda: sending.done() or bool(self._waiting()))
                for (pid,) in self._waiting():
                    self.admin.execute("select pg_terminate_backend(%s)", [pid])
                    wait_until(
                        lambda pid=pid: (
                            not self.admin.execute(  # type: ignore[misc]  # bound here
                                "select from pg_stat_activity where pid = %s", [pid]
                            ).fetchall()
                        )
                    )
            return sending.result(60)

    def _waiting(self) -> list[tuple[int]]:
        return self.admin.execute(_WAITING, [self.database.name, APP]).fetchall()


def play(game: Game, bundle: Bundle) -> list[int]:
    """Send the requests. Return the statuses. Raises MismatchError if the trail does not agree with the rows."""
    statuses, store = [], stored_state(game.admin, game.tenant)
    faults: tuple[Callable[[Request, str], Reply], ...] = (send, send, game.lose, game.kill)
    for number in range(REQUESTS):
        request, request_id = game.next_request(store), f"request {number}"
        fault = game.chance.choice(faults)
        reply = fault(request, request_id)
        game.relay.restore()
        game.users.learn(request, reply)
        statuses.append(reply.status)
        after = stored_state(game.admin, game.tenant)
        found = stored_trail(game.admin, game.tenant).get(request_id, [])
        wanted = audited(store, request, reply, after)
        if request.route == EXPORT and fault == game.lose:
            # An export that the layer has repeated was made twice.
            assert len(found) in (len(wanted), 2 * len(wanted))
            wanted = wanted * (len(found) // max(len(wanted), 1))
        check(request, wanted, found)
        game.wanted += len(wanted)
        store = after
        if game.chance.random() < 0.08:
            bundle.refresh()
    return statuses


def check(request: Request, wanted: list[Audited], found: list[Audited]) -> None:
    """Raise MismatchError if a request left other entries than the rows call for."""
    try:
        check_trail(wanted, found)
    except AssertionError as error:
        error.add_note(f"of {request}")
        raise


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_the_audit_trail_agrees_with_the_rows_if_answers_are_lost_and_processes_killed(database: Database) -> None:
    seed = SEED or secrets.token_hex(4)
    print(f"MODEL_SEED={seed}")
    with relayed(database, "t") as (relay, _), database.admin() as admin:
        game = Game(database, admin, relay, random.Random(seed), "t", Known(USERS))
        statuses = play(game, Bundle())
        Bundle().refresh()
        trail = stored_trail(admin, "t")
        assert sum(map(len, trail.values())) == game.wanted == check_chain(admin, "t")
    assert statuses.count(504) > 3
    assert game.wanted > 10
