"""A session that a service gives to another user leaves the exports and erasures of its first user, with all turns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.isolation.asking import ask
from tests.isolation.parties import Party
from tests.isolation.people import erase
from tests.isolation.person import cursor_of, export_cursor
from tests.support.servers.databases import Database

ANN, TOM, SERVICE = Party("acme", "ann"), Party("acme", "tom"), Party("acme")
_PATIENCE_SECONDS = 120


@pytest.fixture
def app(embedded_database: Database) -> Iterator[psycopg.Connection]:
    """A connection as the functions open it, to a database in which ann has the sessions a, b and c."""
    with embedded_database.app() as connection:
        for name in ("a", "b", "c"):
            write(connection, ANN, name, "of ann")
        yield connection


def write(connection: psycopg.Connection, party: Party, name: str, text: str) -> None:
    """Write a turn to a session."""
    turn = {"robot_personality": "p", "user_message": text, "robot_response": "a", "metadata": {}}
    answer = ask(connection, "write_message", party, {"p_session_id": name, "p_messages": json.dumps([turn])})
    assert answer.sqlstate is None, answer


def move(connection: psycopg.Connection, name: str, user: str) -> None:
    """Give a session to a user."""
    to_user = {"p_session_id": name, "p_user_id": user, "p_sets_user_id": True}
    assert ask(connection, "patch_session", SERVICE, to_user).sqlstate is None


def exported(connection: psycopg.Connection, user: str, **more: object) -> Any:
    """Return a page of the export of a user, None if nothing is held about the user."""
    answer = ask(connection, "export_user", SERVICE, {"p_user_id": user, **more})
    assert answer.sqlstate is None, answer
    return None if answer.row[0] is None else json.loads(answer.row[0])


def texts(page: Any) -> dict[str, list[str]]:
    """Return the texts of a page by session."""
    found: dict[str, list[str]] = {each["id"]: [] for each in page["sessions"]}
    for turn in page["turns"]:
        found[turn["session_id"]].append(turn["user_message"])
    return found


def test_a_moved_session_is_in_the_export_of_its_new_user_alone_with_all_turns(app: psycopg.Connection) -> None:
    move(app, "b", "tom")
    write(app, TOM, "b", "of tom")
    assert texts(exported(app, "ann")) == {"a": ["of ann"], "c": ["of ann"]}
    assert texts(exported(app, "tom")) == {"b": ["of ann", "of tom"]}
    for name in ("a", "c"):
        move(app, name, "tom")
    assert exported(app, "ann") is None
    # A place that ann's export had, in a session that is not ann's any more.
    assert exported(app, "ann", p_cursor=export_cursor("acme", "ann", "b", 1)) is None
    assert set(texts(exported(app, "tom"))) == {"a", "b", "c"}


def test_a_cursor_of_another_users_export_is_refused_and_a_place_in_anothers_session_shows_no_turn(
    app: psycopg.Connection,
) -> None:
    move(app, "b", "tom")
    for user in ("ann", "tom", "nobody"):
        others = {"ann": "tom", "tom": "ann", "nobody": "ann"}[user]
        for cursor in (export_cursor("acme", others, "b"), cursor_of(1, "b", "users"), cursor_of(1, "b", user)):
            answer = ask(app, "export_user", SERVICE, {"p_user_id": user, "p_cursor": cursor})
            assert (answer.sqlstate, answer.row) == ("RB428", ())
    assert texts(exported(app, "ann", p_cursor=export_cursor("acme", "ann", "b", 0))) == {"c": ["of ann"]}
    answer = ask(app, "list_users", SERVICE, {"p_cursor": export_cursor("acme", "ann", "b")})
    assert answer.sqlstate == "RB428"


def test_the_cursors_of_this_suite_are_those_that_the_functions_make(app: psycopg.Connection) -> None:
    for number in range(201):
        ask(app, "patch_session", Party("acme", "zoe"), {"p_session_id": f"s{number:03}"})
    assert exported(app, "zoe")["page"]["cursor"] == export_cursor("acme", "zoe", "s200", 0)
    for user in ("older", "newer"):
        ask(app, "save_user", SERVICE, {"p_user_id": user, "p_user": "{}"})
    page = json.loads(ask(app, "list_users", SERVICE, {"p_limit": 1}).row[0] or "")
    number = json.loads(bytes.fromhex(page["page"]["cursor"]))[0]
    assert page["page"]["cursor"] == cursor_of(number, "newer", "users")


@pytest.mark.parametrize("moved", ["a", "b"])
def test_a_session_that_moves_while_the_export_reads_is_on_the_page_whole_or_not_at_all(
    embedded_database: Database, app: psycopg.Connection, moved: str
) -> None:
    # The export has read which sessions ann has, and session a. It waits with the turns of a.
    with embedded_database.admin() as admin, ThreadPoolExecutor(1) as pool:
        with admin.transaction():
            admin.execute("lock table robot_brain.conversations in access exclusive mode")
            exporting = pool.submit(exported, app, "ann")
            wait_for_waiter(admin)
            move(admin, moved, "tom")
            write(admin, TOM, moved, "of tom")
        page = exporting.result(_PATIENCE_SECONDS)
    assert texts(page) == {name: ["of ann"] for name in ("a", "b", "c") if name != moved}
    assert texts(exported(app, "tom")) == {moved: ["of ann", "of tom"]}


def test_a_session_that_moves_while_its_users_erasure_waits_for_it_is_not_erased(
    embedded_database: Database, app: psycopg.Connection
) -> None:
    with embedded_database.admin() as admin, ThreadPoolExecutor(1) as pool:
        with admin.transaction():
            move(admin, "b", "tom")
            write(admin, TOM, "b", "of tom")
            erasing = pool.submit(erase, app, SERVICE, "ann")
            wait_for_waiter(admin)
        erasing.result(_PATIENCE_SECONDS)
    assert exported(app, "ann") is None
    assert texts(exported(app, "tom")) == {"b": ["of ann", "of tom"]}
    rows = json.loads(ask(app, "list_sessions", SERVICE, {}).row[0] or "")["sessions"]
    assert [(each["id"], each["user_id"], each["message_count"]) for each in rows] == [("b", "tom", 2)]


def test_a_moved_session_is_erased_with_its_new_user_and_not_with_its_first(app: psycopg.Connection) -> None:
    move(app, "b", "tom")
    assert json.loads(ask(app, "count_user", SERVICE, {"p_user_id": "ann"}).row[0] or "")["sessions"] == 2
    erase(app, SERVICE, "ann")
    assert texts(exported(app, "tom")) == {"b": ["of ann"]}
    erase(app, SERVICE, "tom")
    assert exported(app, "tom") is None


def test_no_session_moves_to_a_user_who_is_being_erased(embedded_database: Database, app: psycopg.Connection) -> None:
    write(app, TOM, "of tom", "of tom")
    with embedded_database.admin() as admin:
        admin.execute(
            "insert into robot_brain.user_erasures (tenant_id, user_hash, user_id, begun_at)"
            " values ('acme', sha256('ann'), 'ann', now())"
        )
    to_ann = {"p_session_id": "of tom", "p_user_id": "ann", "p_sets_user_id": True}
    assert ask(app, "patch_session", SERVICE, to_ann).sqlstate == "RB429"
    erase(app, SERVICE, "ann")
    assert texts(exported(app, "tom")) == {"of tom": ["of tom"]}
