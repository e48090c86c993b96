"""Writes with a key and the refresh clear expired keys in bounded steps, and miss no key."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.keys import STEP, clear, expired, fill, keys, touched, write
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler

BOUND = "select cleared_until from robot_brain.key_clearing"

HOLD = "select from robot_brain.idempotency_keys where key_hash = sha256(convert_to(%s, 'UTF8')) for update"


def bound_is(admin: psycopg.Connection, condition: str) -> bool:
    """Return whether the time up to which keys are cleared meets a condition of SQL."""
    row = admin.execute(f"select cleared_until {condition} from robot_brain.key_clearing".encode()).fetchone()
    assert row is not None
    return bool(row[0])


def clearing_key(name: str = "key") -> str:
    return next(keys(True, name))


def test_a_write_clears_the_oldest_keys_and_the_next_write_continues_after_them(database: Database) -> None:
    with database.admin() as admin:
        fill(admin, 2 * STEP + 100, "-2 hours")
        fill(admin, 10, "1 hour", "live ")
        for left, name in ((STEP + 100, "1"), (100, "2"), (0, "3")):
            write(admin, clearing_key(name))
            assert expired(admin) == left
            assert bound_is(admin, "<= (select min(expires_at) from robot_brain.idempotency_keys)")
            assert bound_is(admin, "> now() - interval '3 hours'")
        assert admin.execute("select count(*) from robot_brain.idempotency_keys").fetchone() == (13,)
        assert bound_is(admin, "> now() - interval '1 minute'")


def test_a_refresh_clears_expired_keys_from_before_the_bound(bundle: Bundle, database: Database) -> None:
    """If the clock steps back, a new key can expire before keys that are cleared already."""
    with database.admin() as admin:
        clear(admin, whole=False)
        fill(admin, 50, "-1 hour")
        write(admin, clearing_key())
        assert expired(admin) == 50, "a write clears from the bound on"
        assert bundle.refresh()["keys_cleared"] == 50
        assert expired(admin) == 0


def test_a_bound_in_the_future_does_not_stop_a_write_from_clearing_keys(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("update robot_brain.key_clearing set cleared_until = now() + interval '1 day'")
        fill(admin, 50, "-1 hour")
        write(admin, clearing_key())
        assert expired(admin) == 0
        assert bound_is(admin, "<= clock_timestamp()")


@pytest.mark.parametrize("whole", [False, True])
def test_a_key_locked_by_another_transaction_is_cleared_after_its_end(database: Database, whole: bool) -> None:
    with database.admin() as admin, database.admin() as holder:
        fill(admin, 100, "-1 hour")
        with holder.transaction():
            for name in ("old 7", "old 60"):
                holder.execute(HOLD, [name])
            assert clear(admin, whole=whole) == 98
            assert clear(admin, whole=False) == 0
            assert bound_is(admin, "<= (select min(expires_at) from robot_brain.idempotency_keys)")
        assert clear(admin, whole=False) == 2
        assert expired(admin) == 0


def test_a_locked_key_before_a_full_step_of_others_is_cleared_later(database: Database) -> None:
    with database.admin() as admin, database.admin() as holder:
        fill(admin, 100, "-1 hour")
        with holder.transaction():
            holder.execute(HOLD, ["old 3"])
            assert [clear(admin, 30, whole=False) for _ in range(4)] == [30, 30, 30, 9]
        assert clear(admin, 30, whole=False) == 1


def test_the_second_of_two_connections_that_clear_at_once_neither_waits_nor_clears(database: Database) -> None:
    with database.admin() as one, database.admin() as other:
        fill(one, 300, "-1 hour")
        other.execute("set lock_timeout = '1ms'")
        with one.transaction():
            assert clear(one, 200, whole=False) == 200
            assert clear(other, 200, whole=True) == 0
            write(other, clearing_key())
        assert expired(one) == 100
        assert clear(other, 200, whole=False) == 100


def test_many_writers_at_once_clear_each_key_once_and_lose_no_write(database: Database) -> None:
    with database.admin() as admin:
        fill(admin, 3_000, "-2 hours")
        work = list(itertools.islice(keys(clearing=True), 40))
        lock = threading.Lock()

        def run() -> None:
            with database.app() as connection:
                while True:
                    with lock:
                        if not work:
                            return
                        key = work.pop()
                    assert write(connection, key)[1] is False

        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(run) for _ in range(8)]:
                done.result(60)
        while clear(admin, 200, whole=False):
            pass
        assert expired(admin) == 0
        assert admin.execute("select count(*) from robot_brain.idempotency_keys").fetchone() == (40,)


def test_refreshes_clear_70000_expired_keys_in_steps_of_20000(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        fill(admin, 70_000, "-1 day")
        assert [bundle.refresh()["keys_cleared"] for _ in range(5)] == [20_000, 20_000, 20_000, 10_000, 0]
        assert expired(admin) == 0


def test_with_70000_expired_keys_a_write_clears_one_step_of_500(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        fill(admin, 70_000, "-1 day")
        for number, key in enumerate(itertools.islice(keys(clearing=True), 5), start=1):
            assert touched(connection, key)[1] <= 5 * STEP
            assert expired(admin) == 70_000 - STEP * number


def test_a_write_that_is_rolled_back_clears_nothing_and_moves_no_bound(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        fill(admin, 100, "-1 hour")
        before = admin.execute(BOUND.replace("cleared_until", "cleared_until::text").encode()).fetchone()
        connection.execute("begin")
        write(connection, clearing_key())
        connection.execute("rollback")
        assert admin.execute(BOUND.replace("cleared_until", "cleared_until::text").encode()).fetchone() == before
        assert expired(admin) == 100
        write(connection, clearing_key())
        assert expired(admin) == 0


@pytest.mark.parametrize("clearing", [False, True])
def test_an_expired_key_that_is_not_cleared_yet_counts_as_new(
    bundle: Bundle, database: Database, clearing: bool
) -> None:
    key = {"idempotency-key": next(keys(clearing))}
    assert bundle.write("s", turn(1), key).status == 201
    with database.admin() as admin:
        admin.execute("update robot_brain.idempotency_keys set expires_at = now() - interval '1 second'")
    again = bundle.write("s", turn(2), key)
    assert (again.status, again.json["last_seq"]) == (201, 2)
    assert "idempotent-replayed" not in again.headers
    replay = bundle.write("s", turn(2), key)
    assert (replay.body, replay.headers["idempotent-replayed"]) == (again.body, "true")
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.idempotency_keys").fetchone() == (1,)


def test_expired_keys_of_every_tenant_are_cleared_and_others_are_kept(database: Database) -> None:
    with database.admin() as admin:
        fill(admin, 20, "-1 hour")
        fill(admin, 20, "1 hour", "live ")
        admin.execute("update robot_brain.idempotency_keys set tenant_id = 't' || (random() * 5)::int")
        write(admin, clearing_key())
        rows = admin.execute(
            "select count(*), count(*) filter (where expires_at > now()) from robot_brain.idempotency_keys"
        ).fetchone()
    assert rows == (21, 21)
