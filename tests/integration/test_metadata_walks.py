"""A walk through all pages of a search by metadata gives what the rows themselves give, in the order of the list."""

import os
import random
import threading

import psycopg
import pytest

from tests.integration.finding_sessions import ERASING, expected, insert, random_filter, random_metadata, walked
from tests.support.servers.databases import Database

# More than the 1,000 that a page reads before it uses the index.
SESSIONS = 3000
FILTERS = 60


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_random_filters_find_what_the_rows_have(database: Database, rng: random.Random) -> None:
    with database.admin() as admin, database.app() as app:
        for tenant in ("acme", '$."a"'):
            insert(admin, tenant, [random_metadata(rng) for _ in range(SESSIONS)])
        found = 0
        for _ in range(FILTERS):
            chosen, tenant = random_filter(rng), rng.choice(("acme", '$."a"'))
            user = rng.choice((None, None, "u3"))
            wanted = expected(admin, tenant, user, chosen)
            assert walked(app, tenant, user, chosen, rng.choice((7, 50, 100))) == wanted, (tenant, user, chosen)
            found += len(wanted)
        assert found > 0


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_metadata_of_the_oldest_sessions_alone_is_found_after_pages_that_are_short(database: Database) -> None:
    recent, old = [{"a": 1}] * 5_000, [{"a": 2, "b": n} for n in range(11_000)]
    chosen = {"metadata": '{"a": 2}', "path": None, "selects": False}
    with database.admin() as admin, database.app() as app:
        insert(admin, "acme", recent + old)
        assert walked(app, "acme", None, chosen) == expected(admin, "acme", None, chosen)
        # Over 10,000 match, so the index is no help, and the time for a page ends before the oldest.
        one = {"metadata": '{"b": 10999}', "path": None, "selects": False}
        assert walked(app, "acme", None, one) == ["s16000"]
        # s15908 is being erased.
        erased = {"metadata": '{"b": 10907}', "path": None, "selects": False}
        assert walked(app, "acme", None, erased) == []
        # An empty array is no value that the index has.
        none = {"metadata": '{"c": []}', "path": None, "selects": False}
        assert walked(app, "acme", None, none) == []


@pytest.mark.parametrize("database", ["embedded", "pooled"], indirect=True)
def test_a_walk_beside_writers_finds_each_session_that_nobody_writes_to_once(
    database: Database, rng: random.Random
) -> None:
    write = (
        "select from robot_brain_api.write_message('acme', %s,"
        ' \'[{"robot_personality": "p", "user_message": "", "robot_response": "", "metadata": {}}]\', %s)'
    )
    # Sessions with an even number are written to.
    metadata = [{"a": rng.randrange(3), "b": rng.randrange(40)} for _ in range(SESSIONS)]
    ended = threading.Event()

    def writes(app: psycopg.Connection, seed: int) -> None:
        chance = random.Random(seed)
        while not ended.is_set():
            number = chance.randrange(1, SESSIONS // 2) * 2
            if number % ERASING == 0:
                continue
            app.execute(write, [f"s{number}", chance.choice((None, '{"c": 1}'))])

    with database.admin() as admin, database.app() as app, database.app() as one, database.app() as other:
        insert(admin, "acme", metadata)
        writers = [threading.Thread(target=writes, args=(each, rng.randrange(2**32))) for each in (one, other)]
        for writer in writers:
            writer.start()
        try:
            for chosen in (
                {"metadata": '{"a": 1}', "path": None, "selects": False},
                {"metadata": '{"b": 7}', "path": None, "selects": False},
                {"metadata": None, "path": "$.b == 3 || $.b == 4", "selects": False},
            ):
                for limit in (5, 20, 100):
                    ids = walked(app, "acme", None, chosen, limit)
                    assert len(set(ids)) == len(ids)
                    quiet = [each for each in expected(admin, "acme", None, chosen) if int(each[1:]) % 2]
                    assert [each for each in ids if int(each[1:]) % 2] == quiet
        finally:
            ended.set()
            for writer in writers:
                writer.join()
