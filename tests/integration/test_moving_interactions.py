"""The interactions of an older schema move into months while its functions write. A kill loses and doubles none."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.logins import APP
from ops.migrate import migrate
from tests.integration.migrations import FILES, recorded
from tests.integration.months import INTERACTING, WRITE, month_name, repeated, turns
from tests.integration.moving import ROWS, build_stops, interactions, kill_at, stops_in
from tests.integration.yoyo import migrate_with_yoyo
from tests.support.servers.databases import create_database
from tests.support.servers.postgres import MIGRATOR, Postgres, start_embedded
from tests.support.waiting import wait_until

WRITERS = 3


@pytest.fixture(params=["without bypassrls", "with bypassrls"])
def older(
    cluster: Postgres, admin: psycopg.Connection, direct_url: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The migrating role's URL of a database of schema 2 with many interactions, for both kinds of this role."""
    bypasses = request.param == "with bypassrls"
    admin.execute(f"alter role {MIGRATOR} {'bypassrls' if bypasses else 'nobypassrls'}".encode())
    migrate_with_yoyo(direct_url)
    admin.execute(f"alter role {APP} login password 'app'".encode())
    admin.execute(ROWS.encode())
    yield direct_url
    with cluster.admin() as main:
        main.execute(f"alter role {MIGRATOR} nobypassrls".encode())


@contextmanager
def older_functions_writing(cluster: Postgres, name: str) -> Iterator[list[int]]:
    """Write turns with interactions during the block, and yield how many each writer has written."""
    written = [0] * WRITERS
    stop = threading.Event()
    failures: list[BaseException] = []
    turn = turns(1, **INTERACTING)

    def write(number: int) -> None:
        try:
            with psycopg.connect(cluster.address.url(APP, "app", name), autocommit=True) as app:
                # A busy machine can apply the later files more slowly than the timeouts of the role allow.
                app.execute("set lock_timeout = 0")
                app.execute("set statement_timeout = 0")
                while not stop.is_set():
                    repeated(app, WRITE, (f"writer {number}", f"s{written[number] % 5}", turn))
                    written[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: bool(failures) or min(written) > 0)
        yield written
        last = list(written)
        wait_until(lambda: bool(failures) or all(now > then for now, then in zip(written, last, strict=True)))
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []


def test_interactions_move_once_in_spite_of_kills_while_the_older_functions_write(
    cluster: Postgres, admin: psycopg.Connection, older: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    before = interactions(admin)
    with older_functions_writing(cluster, admin.info.dbname) as written, stops_in(admin):
        # In the transaction that swaps the tables, in the move, and when the old table is dropped.
        for kind, places, end in (
            ("statement", 90, "ended"),
            ("statement", 90, "ended"),
            ("row", 8, "ended"),
            ("row", 8, "ended"),
            ("row", 3, "goes on"),
            ("statement", 2, "ended"),
        ):
            kill_at(admin, older, kind, chance.randint(1, places), end)
            assert interactions(admin) == before
        migrate(older)
        assert interactions(admin) == before
    assert recorded(admin) == FILES
    found = admin.execute(
        "select tenant_id, count(*), count(distinct (session_id, seq)) from robot_brain.robot_interactions"
        " where tenant_id like 'writer%' group by 1 order by 1"
    ).fetchall()
    assert found == [(f"writer {number}", count, count) for number, count in enumerate(written)]


def test_a_server_that_is_killed_during_the_move_loses_and_doubles_no_interaction() -> None:
    server = start_embedded()
    try:
        with server.admin() as main:
            create_database(main, "moved")
        url = server.direct_url("moved")
        with server.admin("moved") as admin:
            migrate_with_yoyo(url)
            admin.execute(ROWS.encode())
            before = interactions(admin)
            build_stops(admin)
        for kind, place in (("statement", 40), ("row", 5), ("row", 14), ("statement", 2)):
            with server.admin("moved") as admin:
                kill_at(admin, url, kind, place, "killed")
            wait_until(lambda: _answers(server))
            with server.admin("moved") as admin:
                assert interactions(admin) == before
        with server.admin("moved") as admin:
            migrate(url)
            assert interactions(admin) == before
    finally:
        server.stop()


def _answers(server: Postgres) -> bool:
    try:
        server.admin("moved").close()
    except psycopg.OperationalError:
        return False
    return True


def test_moved_interactions_lie_in_the_months_of_the_turns_or_in_the_default_partition(
    admin: psycopg.Connection, older: str
) -> None:
    migrate(older)
    places = admin.execute(
        "select c.relname, count(*) from robot_brain.robot_interactions i join pg_class c on c.oid = i.tableoid"
        " where i.session_id <> 'far' group by 1"
    ).fetchall()
    months = {month_name(admin, -back, "robot_interactions") for back in range(3)}
    assert {name for name, _ in places} <= months | {"robot_interactions_default"}
    assert len(places) > 2
    made = []
    while (row := admin.execute("select robot_brain.make_next_month(3)").fetchone()) and row[0]["made"]:
        made.append(row[0]["made"])
    assert "1999-12" in made
    left = admin.execute("select count(*) from only robot_brain.robot_interactions_default").fetchone()
    assert left == (2,), "only the rows at infinity have no month"


def test_a_recount_fails_and_changes_no_figure_until_all_interactions_have_moved(
    admin: psycopg.Connection, older: str
) -> None:
    count = "select robot_brain.recount_begin('many')"
    with stops_in(admin):
        kill_at(admin, older, "row", 12, "ended")
        with admin.transaction():
            admin.execute("set local role robot_brain_stats")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), admin.transaction():
                admin.execute(count)
    migrate(older)
    with admin.transaction():
        admin.execute("set local role robot_brain_stats")
        admin.execute(count)
        assert admin.execute("select counted from recounted where figure = 'interactions'").fetchone() == (22003,)
