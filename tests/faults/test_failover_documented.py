"""The statements that operate.md gives for an old primary that cannot be stopped: they stop the writes to it."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from local.settings import ROOT
from tests.support.bundle import Bundle, deployed, turn
from tests.support.neon.relay import FaultRelay
from tests.support.servers.standby import DATABASE, Pair, address_of
from tests.support.waiting import wait_until

END = "select pg_terminate_backend(pid) from pg_stat_activity where usename like 'robot\\_brain\\_app%';"


def documented() -> list[str]:
    """Return the statements of the section that stops an old primary, as they stand there."""
    section = (ROOT / "docs" / "operate.md").read_text().split("\n### Stop the old primary\n")[1].split("\n### ")[0]
    [block] = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    return [str(line) for line in block.splitlines()]


@pytest.fixture
def functions(pair: Pair) -> Iterator[Bundle]:
    """The functions, with an open connection to the primary. The session `s` has one turn, and the standby has it."""
    with deployed({"DATABASE_URL": pair.url, "DB_MAX_RETRIES": "1"}) as made:
        assert made.write("s", turn(1)).status == 201
        pair.catch_up()
        yield made


def stop_writes(pair: Pair) -> None:
    with pair.primary.admin() as admin:
        for statement in documented():
            admin.execute(statement.encode())


def turns(pair: Pair) -> int:
    """Return how many turns the present primary has."""
    with pair.primary.admin(DATABASE) as admin:
        row = admin.execute("select count(*) from robot_brain.conversations").fetchone()
    assert row is not None
    return int(row[0])


def test_the_documented_statements_refuse_all_writes_at_the_old_primary(pair: Pair, functions: Bundle) -> None:
    with deployed({"DATABASE_URL": pair.url, "DB_MAX_RETRIES": "1"}) as unconnected:
        stop_writes(pair)
        for each in (functions, unconnected, functions):
            reply = each.write("s", turn(2))
            assert (reply.status, reply.json["title"]) == (503, "Database away")
    assert turns(pair) == 1


def test_an_open_transaction_at_the_old_primary_cannot_commit_after_the_documented_statements(pair: Pair) -> None:
    with psycopg.connect(pair.direct_app_url) as open_before:
        open_before.execute("select 1")
        stop_writes(pair)
        with pytest.raises(psycopg.OperationalError):
            open_before.execute("select 1")


def test_without_a_refusal_of_writes_the_end_of_the_connections_stops_nothing(pair: Pair) -> None:
    # A connection may end only after the write has been sent. So the write needs a second attempt.
    with deployed({"DATABASE_URL": pair.url}) as functions, pair.primary.admin() as admin:
        assert functions.write("s", turn(1)).status == 201
        admin.execute(END.encode())
        assert functions.write("s", turn(2)).status == 201


def test_the_documented_statements_do_not_reach_the_standby_which_takes_writes_after_its_promotion(
    pair: Pair, functions: Bundle
) -> None:
    stop_writes(pair)
    pair.promote()
    pair.turn()
    wait_until(lambda: functions.write("s", turn(2), {"idempotency-key": "two"}).status == 201)
    assert turns(pair) == 2


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_a_url_of_several_hosts_leaves_the_old_primary_after_the_documented_statements(pair: Pair) -> None:
    with FaultRelay(address_of(pair.standby)) as other:
        url = pair.url_at(pair.relay.port, other.port, target_session_attrs="read-write")
        with deployed({"DATABASE_URL": url}) as functions:
            assert functions.write("s", turn(1)).status == 201
            pair.catch_up()
            stop_writes(pair)
            pair.promote()
            assert functions.write("s", turn(2)).status == 201
    pair.turn()
    assert turns(pair) == 2
