"""Without synchronous replication a failover may lose acknowledged changes. What is left is whole, and looks like this.

The standby gets nothing from a chosen moment on. Then the primary is killed, and the standby takes over.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ops.audit_chains import verify_chains
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.figures import compare
from tests.support.servers.authority import Authority
from tests.support.servers.standby import DATABASE, KINDS, Pair, running_pair

SESSION = "s"
LAST = {"idempotency-key": "the last one"}


@dataclass
class Lost:
    """The functions on the new primary, and what clients got from the old one for changes that were lost."""

    pair: Pair
    functions: Bundle
    kept_tag: str
    written: Reply
    patched_tag: str
    user: str


@pytest.fixture(scope="module", params=KINDS)
def lost(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Lost]:
    """A failover in which the turns 3 and 4 of a session, a PATCH and a user are lost. Turn 1 and 2 are kept."""
    with running_pair(request.param, authority) as pair, deployed({"DATABASE_URL": pair.url}) as functions:
        functions.write(SESSION, {"messages": [turn(1), turn(2)]})
        functions.refresh()
        kept_tag = functions.read(SESSION).headers["etag"]
        pair.catch_up()
        pair.wire.silence_all()
        patched = functions.patch(SESSION, {"user_metadata": {"by": "the first client"}}, {"if-match": kept_tag})
        written = functions.write(SESSION, {"messages": [turn(3), turn(4)]}, LAST)
        user = functions.create_user({"email": "ada@example.com"}, {"idempotency-key": "ada"})
        functions.refresh()
        assert [patched.status, written.status, user.status] == [200, 201, 201]
        pair.primary.process.kill()
        pair.promote()
        pair.turn()
        yield Lost(pair, functions, kept_tag, written, patched.headers["etag"], user.json["id"])


@pytest.fixture(autouse=True)
def _in_order(lost: Lost) -> None:
    """Each test goes on from the test before it."""


def test_acknowledged_turns_are_missing_and_a_reader_sees_it_by_last_seq(lost: Lost) -> None:
    page = lost.functions.read(SESSION, after=lost.written.json["last_seq"]).json
    assert page["messages"] == []
    # The client asked for what follows seq 4, and the session ends at 2.
    assert (page["session"]["last_seq"], page["session"]["message_count"]) == (2, 2)
    assert lost.functions.user("GET", lost.user).status == 404
    assert lost.functions.read(SESSION).headers["etag"] == lost.kept_tag


def test_a_tag_of_a_lost_state_may_fit_another_state(lost: Lost) -> None:
    """Versions count up by one. So a change after the loss gets the tag that a lost change had."""
    other = lost.functions.patch(SESSION, {"user_metadata": {"by": "the second client"}})
    assert other.headers["etag"] == lost.patched_tag
    over = lost.functions.patch(SESSION, {"user_metadata": {"by": "the first client"}}, {"if-match": lost.patched_tag})
    assert over.status == 200


def test_a_lost_key_is_unknown_so_its_request_is_written_again_under_the_same_seqs(lost: Lost) -> None:
    again = lost.functions.write(SESSION, {"messages": [turn(3), turn(4)]}, LAST)
    assert (again.status, "idempotent-replayed" in again.headers) == (201, False)
    seqs = [each["seq"] for each in again.json["messages"]]
    assert seqs == [each["seq"] for each in lost.written.json["messages"]] == [3, 4]
    assert {each["id"] for each in again.json["messages"]}.isdisjoint(
        each["id"] for each in lost.written.json["messages"]
    )


def test_a_user_that_was_lost_is_made_again_by_its_key_with_another_id(lost: Lost) -> None:
    again = lost.functions.create_user({"email": "ada@example.com"}, {"idempotency-key": "ada"})
    assert (again.status, "idempotent-replayed" in again.headers) == (201, False)
    assert again.json["id"] != lost.user


def test_figures_and_the_audit_trail_fit_what_is_left(lost: Lost) -> None:
    with lost.pair.primary.admin(DATABASE) as admin:
        assert compare(admin, "local", refreshed=False, answer=lost.functions.stats().json).wrong == []
        lost.functions.refresh()
        assert compare(admin, "local", refreshed=True, answer=lost.functions.stats().json).wrong == []
        unchained = admin.execute("select from robot_brain.audit_logs where n is null").fetchall()
    results = list(verify_chains(lost.pair.primary.direct_url(DATABASE)))
    assert (unchained, [result.broken for result in results if result.broken]) == ([], [])
