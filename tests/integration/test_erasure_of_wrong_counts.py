"""An erasure ends and takes every row, also if a session's counts are wrong, as after a partial restore."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.servers.databases import Database

TURN = {"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}


def erase(admin: psycopg.Connection) -> str:
    """Take one step, and return the state after it."""
    row = admin.execute("select robot_brain_api.erase_session('local', 's')").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("counted", [0, 1, 5000, 9000], ids=lambda count: f"{count} counted")
@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_an_erasure_takes_every_row_although_the_session_counts_other_turns(database: Database, counted: int) -> None:
    with database.admin() as admin:
        for _ in range(52):
            admin.execute("select robot_brain_api.write_message('local', 's', %s)", [Jsonb([TURN] * 100)])
        admin.execute("update robot_brain.sessions set message_count = %s, removed = 5200 - %s", [counted, counted])
        states = [erase(admin)]
        while states[-1] == "erasing":
            states.append(erase(admin))
            assert len(states) < 200
        assert states[-1] == "erased"
        left = admin.execute(
            "select (select count(*) from robot_brain.sessions), (select count(*) from robot_brain.conversations)"
        ).fetchone()
    assert left == (0, 0)
