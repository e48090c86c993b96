"""The comparison of figures with rows works: it finds each figure that is made wrong in a real database."""

import pytest

from tests.support.bundle import Bundle, deployed, turn
from tests.support.figures import Compared, compare, keep_history
from tests.support.servers.databases import Database

INTERACTION = {"interaction_type": "speech", "duration_ms": 1, "success": True}
SPOILED = [
    ("totals.sessions", "update robot_brain.tenant_stats set sessions = sessions + 1"),
    ("totals.messages", "update robot_brain.tenant_stats set messages = messages - 1"),
    ("totals.interactions", "update robot_brain.tenant_stats set interactions = 0"),
    ("personalities[0].messages", "update robot_brain.personality_stats set messages = messages + 1"),
    ("personalities[0].avg_response_length", "update robot_brain.personality_stats set response_length = 1"),
    ("daily[30].sessions", "update robot_brain.daily_stats set sessions = sessions + 1"),
    ("daily[30].messages", "update robot_brain.daily_stats set messages = messages + 1"),
    ("top_sessions[0].message_count", "update robot_brain.sessions set message_count = message_count + 1"),
    ("top_sessions[0].last_message", "update robot_brain.sessions set last_active = last_active + interval '1 us'"),
    ("personalities[0].avg_response_length", "update robot_brain.personality_stats set unanswered = 1"),
    ("the session s has", "update robot_brain.sessions set response_length = response_length + 1"),
    ("the session s has", "update robot_brain.sessions set unanswered = 1"),
    ("the session s has", "update robot_brain.sessions set first_seq = 2"),
    ("the session s has", "update robot_brain.sessions set removed = -1"),
    ("the session s has", "delete from robot_brain.sessions"),
]


@pytest.fixture
def refreshed(embedded_database: Database) -> Database:
    """A database whose two turns are counted."""
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        write(functions)
        functions.refresh()
    return embedded_database


def write(functions: Bundle) -> None:
    """Write two turns, one of them with an interaction."""
    assert functions.write("s", {"messages": [turn(1, interaction=INTERACTION), turn(2)]}).status == 201


def compared(database: Database) -> Compared:
    """Compare all figures."""
    with database.admin() as admin:
        return compare(admin, "local", refreshed=True)


def test_the_comparison_accepts_right_figures(refreshed: Database) -> None:
    found = compared(refreshed)
    assert found.wrong == []
    # Three each of the totals, the personality, each day, the longest session, the session's counters, and the time.
    assert found.figures == 3 + 3 + 31 * 3 + 3 + 3 + 3


@pytest.mark.parametrize(("name", "statement"), SPOILED)
def test_the_comparison_finds_a_figure_that_differs_from_the_rows(
    refreshed: Database, name: str, statement: str
) -> None:
    with refreshed.admin() as admin:
        admin.execute(statement.encode())
    wrong = compared(refreshed).wrong
    assert any(f" {name} " in line for line in wrong), wrong


def test_the_comparison_accepts_figures_whose_refresh_lies_in_the_future(refreshed: Database) -> None:
    with refreshed.admin() as admin:
        admin.execute("update robot_brain.refresh_state set refreshed_at = now() + interval '1 day'")
    assert compared(refreshed).wrong == []


def test_the_comparison_finds_an_answer_that_is_older_than_a_write(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        write(functions)
        answer = functions.stats().json
        with embedded_database.admin() as admin:
            assert compare(admin, "local", refreshed=False, answer=answer).wrong == []
            write(functions)
            assert compare(admin, "local", refreshed=False, answer=answer).wrong != []
            late = {**functions.stats().json, "as_of": "2999-01-01T00:00:00.000000Z", "age_seconds": -1}
            assert len(compare(admin, "local", refreshed=False, answer=late).wrong) == 2


def test_with_its_history_the_comparison_expects_removed_turns_on_their_day_alone(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        keep_history(admin)
        with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
            write(functions)
            # As a removal of all turns leaves them.
            with admin.transaction():
                admin.execute("delete from robot_brain.conversations")
                admin.execute("delete from robot_brain.robot_interactions")
                admin.execute(
                    "update robot_brain.sessions"
                    " set message_count = 0, removed = 2, first_seq = 3, response_length = 0, unanswered = 0"
                )
                admin.execute(
                    "insert into robot_brain.uncounted (tenant_id, robot_personality, messages, response_length,"
                    " sessions, opened, interactions)"
                    " values ('local', 'barista', -2, -16, 0, 0, 0), ('local', '', 0, 0, 0, 0, -1)"
                )
            for _ in range(2):
                found = compare(admin, "local", refreshed=True)
                assert found.wrong == []
                assert functions.stats().json["daily"][30]["messages"] == 2
                functions.refresh()
            admin.execute("update robot_brain.daily_stats set messages = 0")
            assert len(compare(admin, "local", refreshed=True).wrong) == 1
