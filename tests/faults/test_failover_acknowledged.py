"""With synchronous replication an acknowledged change is on the standby, also if something ended the wait for it.

PostgreSQL commits on the primary first, and then waits for the standby. A cancelled wait ends with success and a
warning. After a crash of the primary, or a terminated wait, the change is there as if it had been replicated.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.servers.authority import Authority
from tests.support.servers.standby import KINDS, Pair, running_pair
from tests.support.waiting import wait_until

# A request may wait for this long for a standby that is away.
SHORT = 1500
LONG = 28_000
_WAITS = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
_WAITS_LONG = f"{_WAITS} and now() - xact_start > interval '0.5 s'"


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Pair]:
    """A primary with a standby for all tests of this file. No test promotes it."""
    with running_pair(request.param, authority) as made:
        yield made


@pytest.fixture
def functions(pair: Pair) -> Iterator[Bundle]:
    """The functions, on a primary with a synchronous standby that has all. A test may stop what the standby gets."""
    pair.synchronous(on=True)
    with deployed({"DATABASE_URL": pair.url}) as made:
        yield made
    pair.wire.restore()


@pytest.fixture
def session(functions: Bundle) -> str:
    """The id of a session with one turn."""
    name = secrets.token_hex(8)
    assert functions.write(name, turn(1)).status == 201
    return name


@pytest.fixture
def key(session: str) -> dict[str, str]:
    """A key of this test."""
    return {"idempotency-key": session}


@contextmanager
def ended_by(pair: Pair, how: str) -> Iterator[None]:
    """End the first wait for the standby during the block, which gets nothing from now on."""

    def end() -> None:
        with pair.primary.admin() as admin:
            wait_until(lambda: bool(admin.execute(_WAITS).fetchall()))
            admin.execute(f"select pg_{how}_backend(pid) from ({_WAITS}) w".encode())

    pair.wire.silence_all()
    thread = threading.Thread(target=end)
    thread.start()
    yield
    thread.join()


def crash_while_waiting(pair: Pair, request: Callable[[], Reply]) -> None:
    """Make a request whose commit waits for the standby, kill the primary, and start it again."""
    pair.wire.silence_all()
    assert request().status == 504
    pair.primary.process.kill()
    pair.primary.process.start()


def stored(pair: Pair, session: str) -> int:
    """Return how many turns of a session the standby has."""
    with pair.standby.admin("robot_brain") as admin:
        row = admin.execute(
            "select count(*) from robot_brain.conversations where session_id = %s", [session]
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("how", "has_key"), [("cancel", False), ("terminate", True)])
def test_a_write_whose_wait_for_the_standby_is_ended_is_acknowledged_only_if_the_standby_has_it(
    pair: Pair, functions: Bundle, session: str, key: dict[str, str], how: str, has_key: bool
) -> None:
    functions.context.milliseconds = SHORT
    with ended_by(pair, how):
        reply = functions.write(session, turn(2), key if has_key else {})
    assert (reply.status, stored(pair, session)) == (504, 1)


def test_a_retry_after_a_cancelled_wait_succeeds_when_the_standby_is_back(
    pair: Pair, functions: Bundle, session: str
) -> None:
    replies: list[Reply] = []
    with ended_by(pair, "cancel"):
        writing = threading.Thread(target=lambda: replies.append(functions.write(session, turn(2))))
        writing.start()
    pair.wire.restore()
    writing.join()
    assert (replies[0].status, replies[0].json["message_count"], stored(pair, session)) == (201, 2, 2)
    assert "idempotent-replayed" not in replies[0].headers


def test_a_key_is_replayed_after_a_crash_of_the_primary_only_once_the_standby_has_the_turn(
    pair: Pair, functions: Bundle, session: str, key: dict[str, str]
) -> None:
    functions.context.milliseconds = SHORT
    crash_while_waiting(pair, lambda: functions.write(session, turn(2), key))
    assert functions.write(session, turn(2), key).status == 504
    assert stored(pair, session) == 1
    pair.wire.restore()
    functions.context.milliseconds = LONG
    again = functions.write(session, turn(2), key)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
    assert stored(pair, session) == 2


def test_a_user_is_acknowledged_after_a_crash_of_the_primary_only_once_the_standby_has_it(
    pair: Pair, functions: Bundle, session: str, key: dict[str, str]
) -> None:
    user = {"email": f"{session}@example.com"}
    functions.context.milliseconds = SHORT
    crash_while_waiting(pair, lambda: functions.create_user(user, key))
    assert functions.create_user(user, key).status == 504
    pair.wire.restore()
    functions.context.milliseconds = LONG
    again = functions.create_user(user, key)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
    with pair.standby.admin("robot_brain") as admin:
        assert admin.execute("select from robot_brain.users where id = %s", [again.json["id"]]).fetchall()


def test_a_user_whose_wait_for_the_standby_is_ended_is_not_acknowledged(pair: Pair, functions: Bundle) -> None:
    functions.context.milliseconds = SHORT
    with ended_by(pair, "terminate"):
        assert functions.create_user({}).status == 504


def test_an_erasure_is_confirmed_after_a_crash_of_the_primary_only_once_the_standby_has_it(
    pair: Pair, functions: Bundle, session: str
) -> None:
    user = functions.create_user({}).json["id"]
    erasures: tuple[Callable[[], Reply], ...] = (
        lambda: functions.erase(session),
        lambda: functions.user("DELETE", user),
    )
    for erase in erasures:
        functions.context.milliseconds = SHORT
        crash_while_waiting(pair, erase)
        assert erase().status == 504
        pair.wire.restore()
        functions.context.milliseconds = LONG
        assert erase().status == 404


@pytest.mark.parametrize("how", ["cancel", "terminate"])
@pytest.mark.parametrize("change", ["put", "put with a tag", "patch", "remove", "erase"])
def test_a_change_whose_wait_for_the_standby_is_ended_is_unknown_to_the_client(
    pair: Pair, functions: Bundle, session: str, change: str, how: str
) -> None:
    tag = {"if-match": functions.read(session).headers["etag"]}
    new = {"user_message": "new", "robot_response": "new"}
    requests: dict[str, Callable[[], Reply]] = {
        "put": lambda: functions.replace(session, 1, new),
        "put with a tag": lambda: functions.replace(session, 1, new, tag),
        "patch": lambda: functions.patch(session, {"user_metadata": {"a": 1}}),
        "remove": lambda: functions.remove(session, 0),
        "erase": lambda: functions.erase(session),
    }
    with ended_by(pair, how):
        assert requests[change]().status == 504


def test_a_refresh_whose_wait_for_the_standby_is_cancelled_is_repeated(
    pair: Pair, functions: Bundle, session: str
) -> None:
    with ended_by(pair, "cancel"):
        refreshing = threading.Thread(target=functions.refresh)
        refreshing.start()
    pair.wire.restore()
    refreshing.join()
    with pair.standby.admin("robot_brain") as admin:
        assert admin.execute("select from robot_brain.uncounted").fetchall() == []


def test_the_time_limit_of_a_statement_does_not_end_a_wait_for_the_standby(
    pair: Pair, functions: Bundle, session: str
) -> None:
    """It ends with the statement, and the wait begins after that."""
    replies: list[Reply] = []
    with pair.primary.admin() as admin:
        admin.execute("alter role robot_brain_app_a set statement_timeout = '250ms'")
        with deployed({"DATABASE_URL": pair.url}) as limited:
            pair.wire.silence_all()
            writing = threading.Thread(target=lambda: replies.append(limited.write(session, turn(2))))
            writing.start()
            wait_until(lambda: bool(admin.execute(_WAITS_LONG).fetchall()))
            pair.wire.restore()
            writing.join()
        admin.execute("alter role robot_brain_app_a set statement_timeout = '10s'")
    assert (replies[0].status, stored(pair, session)) == (201, 2)
