"""Each two requests that change a session, at the same moment, with a writer and a reader beside them."""

import itertools
import os
import random
import secrets
import threading

import pytest

from tests.model.clients import CALLERS, Clients
from tests.model.history import in_order, with_trail
from tests.model.request import ERASE, GET, KNOWS_CALLERS, PATCH, POST, PUT, REMOVE, Request
from tests.model.states import turn
from tests.model.store import Store
from tests.model.threads import in_threads
from tests.model.trail import check_chain, stored_trail
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

ROUNDS = int(os.environ.get("MODEL_ROUNDS", "1000")) // 2
CHANGES = (POST, PUT, REMOVE, PATCH, ERASE)
PAIRS = list(itertools.combinations_with_replacement(CHANGES, 2))


def change(route: str, chance: random.Random, tag: str) -> Request:
    """Return a request of a service or a user, with no, the right or a stale tag in one of both forms."""
    if_match = chance.choice((None, None, tag, tag.partition(".")[0] + '"', '"0"', '"1"'))
    text = chance.choice("xyz")
    user = chance.choice(CALLERS)
    moves = {"user_id": chance.choice(CALLERS)} if user is None else {}
    bodies = {
        POST: {"messages": [turn(text)] * chance.choice((1, 3)), "user_metadata": {"m": {text: 1}}},
        PUT: {"user_message": text, "robot_response": "", "items": [{"t": text}]},
        PATCH: {"user_metadata": {"m": {text: None, "p": text}}, **moves},
    }
    query = {"after": chance.choice((0, 1, 2))} if route == REMOVE else {}
    key = chance.choice((None, f"{tag}{text}")) if route == POST else None
    seq = chance.choice((1, 2)) if route == PUT else 0
    return Request(route, "a", seq, query=query, body=bodies.get(route), if_match=if_match, key=key, user=user)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " and ".join(each.partition(" ")[0] for each in pair))
def test_the_model_explains_two_changes_at_the_same_moment(database: Database, pair: tuple[str, str]) -> None:
    seed = os.environ.get("MODEL_SEED") or secrets.token_hex(4)
    print(f"MODEL_SEED={seed}")
    chance = random.Random(seed)
    store = Store()
    clients = Clients(seed)
    barrier = threading.Barrier(4)
    requests: list[Request] = []
    with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url}) as bundle:

        def work(client: int) -> None:
            for _ in range(max(ROUNDS // len(PAIRS), 3)):
                if client == 0:
                    clients.record(Request(POST, "a", body={"messages": [turn("1"), turn("2")]}))
                    clients.record(Request(REMOVE, "a", query={"after": 1}))
                    clients.record(Request(PATCH, "a", body={"user_id": chance.choice(CALLERS)}))
                    tag = clients.record(Request(POST, "a", body=turn("3"))).headers["etag"]
                    requests[:] = [change(route, chance, tag) for route in pair]
                    requests.append(Request(GET, "a", user=chance.choice(CALLERS)))
                    requests.append(change(chance.choice((POST, GET)), chance, tag))
                barrier.wait(60)
                clients.record(requests[client])
                barrier.wait(60)

        in_threads([lambda client=client: work(client) for client in range(4)])  # type: ignore[misc]  # bound here
        clients.record(Request(GET, "a", query={"limit": 200}))
        bundle.refresh()
    with database.admin() as admin:
        trail = stored_trail(admin, "local")
        assert check_chain(admin, "local") == sum(map(len, trail.values()))
    assert in_order(with_trail(clients.recorded.entries, trail), store)
