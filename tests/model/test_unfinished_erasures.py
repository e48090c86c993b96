"""A large session goes all at once for its readers and writers, although its turns go step by step."""

import threading
from dataclasses import replace

import pytest

from robot_brain.database import changes
from tests.model.clients import Clients
from tests.model.history import Entry
from tests.model.request import (
    ERASE,
    ERASE_USER,
    GET,
    KNOWS_CALLERS,
    LIST,
    PATCH,
    POST,
    PUT,
    REMOVE,
    STATS,
    Request,
    send,
)
from tests.model.states import MANY_TURNS, erasing, live, turn
from tests.model.states_of_users import SESSIONS_OF_A_STEP, give_many_sessions
from tests.model.store import Json
from tests.model.threads import in_threads
from tests.model.trail import Audited, stored_trail
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database

EDIT = {"user_message": "x", "robot_response": "x"}
USER, OTHER = "guest-7", "guest-8"
LOOKS_OF_SERVICE = (
    Request(GET, "a"),
    Request(GET, "a", query={"after": 0, "limit": 200}),
    Request(STATS, query={"session_id": "a"}),
    Request(POST, "a", body=turn("late")),
    Request(PATCH, "a", body={"user_metadata": {"late": 1}}),
    Request(PUT, "a", 1, body=EDIT),
    Request(REMOVE, "a", query={"after": MANY_TURNS + 100_000}),
)
LOOKS = tuple(replace(look, user=user) for look in LOOKS_OF_SERVICE for user in (None, USER))


def shows_the_old(entry: Entry) -> bool:
    """Return whether an answer is about the large session, and not about a namesake."""
    said: Json = entry.reply.json
    if entry.reply.status not in (200, 201):
        return False
    count = said.get("message_count", said.get("session", {}).get("message_count"))
    # PUT says no count. A namesake may have a first turn, too.
    return False if count is None else count >= MANY_TURNS


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("erasers", [1, 3])
def test_no_request_sees_a_session_again_that_another_one_found_erased(database: Database, erasers: int) -> None:
    with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url, "TENANT_ID": "t"}):
        large(USER)
        clients = Clients("erasing")
        gone = threading.Event()
        left = threading.Semaphore(0)

        def erase(user: str | None) -> None:
            clients.record(Request(ERASE, "a", user=user))
            left.release()

        def look(first: int) -> None:
            number = first
            while not gone.is_set() or number < first + len(LOOKS):
                clients.record(LOOKS[number % len(LOOKS)])
                number += 1

        def wait() -> None:
            for _ in range(erasers):
                left.acquire()
            gone.set()

        erasing_clients = [lambda user=user: erase(user) for user in (USER, None, USER)[:erasers]]
        in_threads([*erasing_clients, *[lambda first=first: look(first) for first in (0, 5, 10)], wait])
        send(Request(ERASE, "a"))
        assert send(Request(GET, "a")).status == 404
        assert send(Request(STATS)).json["totals"] == {"sessions": 0, "messages": 0, "interactions": 0}
    found = clients.recorded.entries
    statuses = {entry.reply.status for entry in found if entry.request.route == ERASE}
    assert 204 in statuses
    assert statuses <= {202, 204, 404}
    seen = min(entry.ended for entry in found if entry.reply.status in (404, 409, 202, 204))
    assert [str(entry) for entry in found if entry.began > seen and shows_the_old(entry)] == []
    # Only the mark stops writers, and only until the session is gone.
    done = min(entry.ended for entry in found if entry.reply.status == 204)
    assert [str(entry) for entry in found if entry.reply.status == 409 and entry.began > done] == []
    for entry in found:
        if entry.reply.status == 409:
            assert entry.request.route in (POST, PATCH)
            assert "retry-after" in entry.reply.headers
        assert entry.reply.status in (200, 201, 202, 204, 404, 409), str(entry)


def large(user: str) -> None:
    """Write more turns to the session `a` of a user than the first step of an erasure removes."""
    for _ in range(MANY_TURNS // 100):
        plain = {key: value for key, value in turn("old").items() if key != "interaction"}
        assert send(Request(POST, "a", body={"messages": [plain] * 100}, user=user)).status == 201


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("goes_on", [USER, None], ids=["its user", "a service"])
def test_only_its_user_and_a_service_go_on_with_an_erasure_that_a_user_began(
    database: Database, monkeypatch: pytest.MonkeyPatch, goes_on: str | None
) -> None:
    # A request then ends after the first step.
    monkeypatch.setattr(changes, "_RESERVED", 1000.0)
    erase, write = Request(ERASE, "a", user=USER), Request(POST, "a", body=turn("new"), user=USER)
    with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url}):
        large(USER)
        began = send(erase)
        assert (began.status, "retry-after" in began.headers) == (202, True)
        assert send(replace(erase, user=OTHER)).status == 404
        assert send(replace(write, user=OTHER)).status == 404
        assert [send(replace(write, user=user)).status for user in (USER, None)] == [409, 409]
        assert [send(Request(GET, "a", user=user)).status for user in (USER, OTHER, None)] == [404] * 3
        assert send(replace(erase, user=goes_on)).status == 204
        assert send(replace(erase, user=goes_on)).status == 404
        # The first step alone is recorded, with all turns and the caller that began.
        with database.admin() as admin:
            entry = Audited("sessions", "a", "ERASE", {"user_id": USER, "message_count": MANY_TURNS}, None, USER)
            assert list(stored_trail(admin, "local").values()) == [[entry]]
        assert send(replace(write, user=OTHER)).json["last_seq"] == 1
        assert (send(write).status, send(erase).status) == (404, 404)


@pytest.mark.parametrize("goes_on", ["the request", "refreshes"])
def test_an_erasure_of_a_user_in_several_steps_is_recorded_once(
    database: Database, bundle: Bundle, goes_on: str
) -> None:
    live(database, "local", "s", None)
    with database.admin() as admin, database.app() as app:
        give_many_sessions(admin, "local", "ann")
        if goes_on == "the request":
            assert send(Request(ERASE_USER, user_id="ann")).status == 204
        else:
            app.execute("select from robot_brain_api.erase_user('local', 'ann')")
            while admin.execute("select from robot_brain.user_erasures where user_id is not null").fetchall():
                bundle.refresh()
        found = [entry for entries in stored_trail(admin, "local").values() for entry in entries]
        counts = {"user": False, "sessions": SESSIONS_OF_A_STEP, "messages": 0}
        assert [entry.old_data for entry in found if entry.action == "ERASE"] == [counts]


def test_a_marked_session_is_in_no_list_and_no_figure(bundle: Bundle, database: Database) -> None:
    live(database, "local", "other")
    erasing(database, "local", "a")
    assert [each["id"] for each in send(Request(LIST)).json["sessions"]] == ["other"]
    bundle.refresh()
    assert [each["session_id"] for each in send(Request(STATS)).json["top_sessions"]] == ["other"]


@pytest.mark.parametrize("goes_on", ["refresh", "delete of turns", "delete of another session"])
def test_what_no_client_repeats_is_erased_all_the_same(database: Database, bundle: Bundle, goes_on: str) -> None:
    live(database, "local", "other")
    erasing(database, "local", "a")
    for _ in range(3):
        if goes_on == "refresh":
            bundle.refresh()
        elif goes_on == "delete of turns":
            send(Request(REMOVE, "other", query={"after": 99}))
        else:
            live(database, "local", "more")
            send(Request(ERASE, "more"))
    with database.admin() as admin:
        query = "select count(*) from robot_brain.conversations where session_id = 'a'"
        assert admin.execute(query).fetchone() == (0,)
    assert send(Request(POST, "a", body=turn("new"), if_match='"0"')).json["last_seq"] == 1


def test_an_erasure_leaves_no_word_in_any_table(bundle: Bundle, database: Database) -> None:
    canary = "canary-4711"
    body = {
        "messages": [
            turn(
                canary,
                items=[{"text": canary}],
                metadata={"m": canary},
                robot_personality=canary,
                interaction={
                    "interaction_type": canary,
                    "duration_ms": 1,
                    "success": True,
                    "robot_id": canary,
                    "metadata": {"i": canary},
                },
            )
        ],
        "user_metadata": {"u": canary},
    }
    session = "canary-4711 session"
    send(Request(POST, session, body=body, key="key of a canary"))
    send(Request(PUT, session, 1, body={**EDIT, "items": [{"text": canary}]}))
    send(Request(PATCH, session, body={"user_id": canary}))
    bundle.refresh()
    assert send(Request(ERASE, session)).status == 204
    bundle.refresh()
    with database.admin() as admin:
        tables = [name for (name,) in admin.execute(_RELATIONS).fetchall()]
        assert len(tables) > 8
        found = [
            (name, row)
            for name in tables
            for (row,) in admin.execute(f"select t::text from {name} t where t::text like '%canary%'".encode())
        ]
    # Figures of a personality stay: a name of a robot, and numbers. So does the audit trail, which has ids alone.
    stays = ("robot_brain.personality_stats", "robot_brain.audit_logs")
    assert [(name, row) for name, row in found if name not in stays] == []
    trail = [
        row.replace(session, "").replace(f'""user_id"": ""{canary}""', "") for name, row in found if name == stays[1]
    ]
    assert len(trail) == 3
    assert not any(canary in row for row in trail), trail


_RELATIONS = """
select c.oid::regclass::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'robot_brain' and c.relkind in ('r', 'p', 'm') and not c.relispartition
"""
