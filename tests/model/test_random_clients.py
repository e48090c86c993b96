"""Eight clients send random requests at the same time, and the model of the contract gives every answer again.

Each request is a service's or an end user's, and services move sessions between the users. The users come and go.
"""

import os
import secrets
from dataclasses import replace

import pytest

from tests.model.clients import CALLERS, SESSIONS, Clients
from tests.model.exports import check_export
from tests.model.history import Step, in_order, with_trail
from tests.model.lists import check_walk
from tests.model.request import DRY_RUN, ERASE_USER, EXPORT, GET, GET_USER, KNOWS_CALLERS, STATS, Request
from tests.model.trail import check_chain, listed_trail, stored_trail
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

# Requests in all for each kind of server, and in one game, which has a tenant and a seed of its own.
ROUNDS = int(os.environ.get("MODEL_ROUNDS", "1000"))
GAME = 200
SEED = os.environ.get("MODEL_SEED", "")
_INTERACTIONS = """
select session_id, seq, robot_id, interaction_type, duration_ms, success, metadata
from robot_brain.robot_interactions where tenant_id = %s order by session_id, seq
"""
_HASHES = "select id, password_hash from robot_brain.users where tenant_id = %s"


@pytest.mark.parametrize("database", ["embedded", "pooled"], indirect=True)
def test_one_order_of_the_requests_of_8_random_clients_explains_every_answer(database: Database) -> None:
    for _ in range(max(ROUNDS // GAME, 1)):
        seed = SEED or secrets.token_hex(4)
        try:
            play(database, seed)
        except BaseException as error:
            error.add_note(f"MODEL_SEED={seed}")
            raise


def play(database: Database, seed: str) -> list[Step]:
    """Let the clients play one game. Raises MismatchError if the model cannot explain an answer or the end state."""
    tenant = f"game-{secrets.token_hex(4)}"
    with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
        clients = Clients(seed)
        clients.run(GAME)
        for session_id in SESSIONS:
            for user in dict.fromkeys(CALLERS):
                clients.record(Request(GET, session_id, query={"limit": 200}, user=user))
        clients.record(Request(STATS))
        for user_id in clients.users:
            for request in (Request(GET_USER), Request(EXPORT), Request(ERASE_USER, query=DRY_RUN)):
                clients.record(replace(request, user_id=user_id))
        clients.walk_users(limit=2)
        for user in dict.fromkeys(CALLERS):
            clients.walk(user, limit=2, preview="true")
        bundle.refresh()
        clients.record(Request(STATS))
        listed = listed_trail(limit=7)
    with database.admin() as admin:
        trail = stored_trail(admin, tenant)
        count = check_chain(admin, tenant)
    # Concurrent entries may have times and ids in another order.
    assert sorted(map(repr, listed)) == sorted(repr(entry) for left in trail.values() for entry in left)
    assert count == len(listed)
    entries, exports = clients.recorded.entries, clients.recorded.exports
    both = with_trail([*entries, *exports], trail)
    order = in_order(both[: len(entries)])
    for walk in clients.recorded.walks:
        check_walk(walk, order)
    for export in both[len(entries) :]:
        check_export(export, order)
    with database.admin() as admin:
        stored = admin.execute(_INTERACTIONS, [tenant]).fetchall()
        hashes = admin.execute(_HASHES, [tenant]).fetchall()
    assert stored == interactions(order)
    # No answer has a password hash.
    end = order[-1].after
    assert dict(hashes) == {user.id: user.document.get("password_hash") for user in end.users.values()}
    assert end.erasing == {}
    return order


def interactions(order: list[Step]) -> list[tuple[object, ...]]:
    """Return the interactions of the end state, as rows."""
    names = ("robot_id", "interaction_type", "duration_ms", "success", "metadata")
    return sorted(
        (session.id, turn.seq, *(turn.interaction[name] for name in names))
        for session in order[-1].after.sessions.values()
        for turn in session.turns
        if turn.interaction is not None
    )
