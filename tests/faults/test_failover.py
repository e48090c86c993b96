"""A standby takes over from its primary. Requests of the same execution environment recover. No answer is wrong.

The relay in front is what moves: an endpoint as Neon's, a virtual address, or a name. A URL with several hosts needs
none.
"""

import time
from collections.abc import Iterator

import pytest

from robot_brain.database import call
from robot_brain.database.connection import lazy_connection
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.figures import compare
from tests.support.neon.relay import FaultRelay
from tests.support.servers.standby import DATABASE, Pair, address_of
from tests.support.waiting import wait_until

KEY = {"idempotency-key": "one"}
# Seconds after which the layer gives up an answer. On a busy machine a good answer may take longer, so there are many
# attempts.
SOON = 0.5
PATIENT = {"DB_MAX_RETRIES": "10"}
# Seconds. Far less than the request has, and more than a share of the time to connect.
AT_MOST = 20.0


@pytest.fixture
def functions(pair: Pair) -> Iterator[Bundle]:
    """The functions, with an open connection to the primary. The session `s` has one turn, and the standby has it."""
    with deployed({"DATABASE_URL": pair.url, **PATIENT}) as made:
        assert made.write("s", turn(1), KEY).status == 201
        pair.catch_up()
        yield made


def ask_in_vain(functions: Bundle, number: int) -> Reply:
    """Write a turn with a key of its own, and little time, while no server takes writes."""
    functions.context.milliseconds = 2000
    reply = functions.write("s", turn(number), {"idempotency-key": f"turn {number}"})
    functions.context.milliseconds = 28_000
    assert reply.status in (503, 504)
    return reply


def assert_whole(pair: Pair, functions: Bundle, turns: int) -> None:
    """Assert that the session has so many turns on the new primary, with right figures, and that a key is replayed."""
    again = functions.write("s", turn(1), KEY)
    assert (again.status, again.headers["idempotent-replayed"], again.json["last_seq"]) == (201, "true", 1)
    page = functions.read("s").json
    assert [each["seq"] for each in page["messages"]] == list(range(1, turns + 1))
    functions.refresh()
    with pair.primary.admin(DATABASE) as admin:
        assert compare(admin, "local", refreshed=True, answer=functions.stats().json).wrong == []


def test_an_environment_writes_to_the_new_primary_after_the_old_one_was_killed(pair: Pair, functions: Bundle) -> None:
    pair.primary.process.kill()
    ask_in_vain(functions, 2)
    assert functions.database_health().json["reasons"] == ["away"]
    pair.promote()
    pair.turn()
    again = functions.write("s", turn(2), {"idempotency-key": "turn 2"})
    assert (again.status, again.json["last_seq"], "idempotent-replayed" in again.headers) == (201, 2, False)
    assert_whole(pair, functions, 2)


def test_an_orderly_switchover_loses_nothing_without_synchronous_replication(pair: Pair, functions: Bundle) -> None:
    assert functions.write("s", turn(2)).status == 201
    pair.primary.process.stop()
    ask_in_vain(functions, 3)
    pair.promote()
    pair.turn()
    assert functions.write("s", turn(3)).json["last_seq"] == 3
    assert_whole(pair, functions, 3)


def test_a_standby_whose_replay_lags_has_all_acknowledged_turns_after_its_promotion(
    pair: Pair, functions: Bundle
) -> None:
    """The synchronous standby has stored them. Its promotion replays what it has stored first."""
    pair.synchronous(on=True)
    with pair.standby.admin() as admin:
        admin.execute("select pg_wal_replay_pause()")
        wait_until(lambda: admin.execute("select pg_get_wal_replay_pause_state()").fetchall() == [("paused",)])
    assert functions.write("s", turn(2)).status == 201
    pair.primary.process.kill()
    pair.promote()
    pair.turn()
    assert_whole(pair, functions, 2)


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_a_connection_to_an_old_primary_that_takes_no_writes_is_replaced(pair: Pair, functions: Bundle) -> None:
    """It is replaced by the first write. A connection that only reads stays with the old primary."""
    pair.promote()
    pair.turn()
    with pair.standby.admin() as old:
        old.execute("alter system set default_transaction_read_only = on")
        old.execute("select pg_reload_conf()")
        # The server process of the open connection takes the setting over a moment later.
        wait_until(lambda: "read_only" in functions.database_health().json["reasons"])
        with deployed({"DATABASE_URL": pair.url}) as another:
            assert another.write("s", turn(2)).status == 201
        assert functions.read("s").json["session"]["last_seq"] == 1
        assert functions.write("s", turn(3)).json["last_seq"] == 3
    assert_whole(pair, functions, 3)


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_a_read_that_is_connected_to_the_old_primary_sees_the_new_one_once_its_connection_is_ended(
    pair: Pair, functions: Bundle
) -> None:
    pair.promote()
    pair.turn()
    with deployed({"DATABASE_URL": pair.url}) as another:
        assert another.write("s", turn(2)).status == 201
    assert functions.read("s").json["session"]["last_seq"] == 1
    with pair.standby.admin() as old:
        old.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'robot_brain_app_a'")
    assert functions.read("s").json["session"]["last_seq"] == 2


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_an_old_primary_that_still_takes_writes_acknowledges_what_the_new_one_never_gets(
    pair: Pair, functions: Bundle
) -> None:
    """Without synchronous replication nothing shows it to the functions. So the old primary has to be stopped."""
    pair.promote()
    pair.turn()
    assert functions.write("s", turn(2)).json["last_seq"] == 2
    with deployed({"DATABASE_URL": pair.url}) as another:
        assert another.read("s").json["session"]["last_seq"] == 1


def test_an_old_primary_with_a_synchronous_standby_acknowledges_nothing_after_the_promotion(
    pair: Pair, functions: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commits wait for a standby that has left. The retry within the request reaches the new primary."""
    pair.synchronous(on=True)
    pair.promote()
    pair.turn()
    monkeypatch.setattr(call, "_LONGEST_ANSWER", SOON)
    reply = functions.write("s", turn(2))
    assert (reply.status, reply.json["last_seq"]) == (201, 2)
    assert lazy_connection().retired >= 1
    assert_whole(pair, functions, 2)


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_a_connection_that_went_silent_in_a_failover_is_replaced_within_the_request(
    pair: Pair, functions: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_LONGEST_ANSWER", SOON)
    pair.relay.silence_open()
    pair.primary.process.kill()
    pair.promote()
    pair.turn()
    reply = functions.write("s", turn(2))
    assert (reply.status, reply.json["last_seq"]) == (201, 2)
    assert_whole(pair, functions, 2)


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_a_network_that_drops_everything_during_a_failover_gives_504_and_then_recovers(
    pair: Pair, functions: Bundle
) -> None:
    pair.relay.silence_all()
    assert ask_in_vain(functions, 2).status == 504
    pair.primary.process.kill()
    pair.promote()
    pair.turn()
    pair.relay.restore()
    assert functions.write("s", turn(2), {"idempotency-key": "turn 2"}).json["last_seq"] == 2
    assert_whole(pair, functions, 2)


def test_a_url_of_several_hosts_finds_the_server_that_takes_writes(pair: Pair) -> None:
    with FaultRelay(address_of(pair.standby)) as other:
        url = pair.url_at(other.port, pair.relay.port, target_session_attrs="read-write")
        with deployed({"DATABASE_URL": url}) as functions:
            assert functions.write("s", turn(1), KEY).status == 201
            pair.catch_up()
            pair.primary.process.kill()
            pair.promote()
            pair.turn()
            pair.relay.refuse()  # nothing moves: the address of the old primary stays dead
            assert functions.write("s", turn(2)).json["last_seq"] == 2
            assert_whole(pair, functions, 2)


@pytest.mark.parametrize("pair", ["embedded"], indirect=True)
def test_a_url_of_several_hosts_does_not_wait_for_a_host_that_accepts_and_stays_silent(pair: Pair) -> None:
    with FaultRelay(address_of(pair.standby)) as hung:
        hung.silence_new()
        url = pair.url_at(hung.port, pair.relay.port, target_session_attrs="read-write")
        with deployed({"DATABASE_URL": url, "DB_CONNECTION_TIMEOUT": "4000", "DB_MAX_RETRIES": "1"}) as functions:
            started = time.monotonic()
            assert functions.write("s", turn(1)).status == 201
            assert time.monotonic() - started < AT_MOST
