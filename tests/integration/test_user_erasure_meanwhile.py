"""Between any two steps of the erasure of a person, requests find neither the person nor a session of it."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.answered_callers import SCOPE, Signed
from tests.integration.answered_changes import REPLACEMENT
from tests.integration.user_rows import Connection, dry_run, fill, step
from tests.model.request import KNOWS_CALLERS
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.log_lines import logged
from tests.support.servers.databases import Database

# In what the person wrote, and in the ids of the person. Logs have ids, and nothing else of a person.
CANARY, PERSON = "canary-4711", "person-4711"
USER = f"{PERSON} kim"
KIM, LEE, DESK = Signed(USER), Signed("lee"), Signed("desk", SCOPE)
SESSIONS = 130
MINE = f"{PERSON} mine"
KEY = {"idempotency-key": "of-kim"}


@pytest.fixture
def people(database: Database) -> Iterator[Database]:
    """Two users with sessions, and functions that know their callers."""
    with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url}):
        person = {"email": f"{CANARY}@example.com", "profile": {"first_name": CANARY}}
        assert KIM.user("PUT", USER, person).status == 201
        assert LEE.user("PUT", "lee", {}).status == 201
        with database.admin() as admin:
            # A step erases at most 5,000 turns. So the first of these takes four steps on any machine.
            fill(admin, USER, 1, 15_100, prefix=MINE, text=CANARY)
            fill(admin, USER, SESSIONS - 2, 1, prefix=f"{PERSON}-", text=CANARY)
            fill(admin, "lee", 3, 2)
        assert KIM.write(f"{PERSON} key", turn(), KEY).status == 201
        DESK.refresh()
        assert f"{MINE}1" in [each["session_id"] for each in DESK.stats().json["top_sessions"]]
        yield database


def of_a_session(session: str, key: dict[str, str] | None) -> list[tuple[int, str, Reply]]:
    """Send each request that names a session of the person, and return the statuses that it may and did get."""
    found = [
        (404, "GET", [caller.read(session) for caller in (KIM, DESK, LEE)]),
        (404, "GET figures", [caller.stats(session_id=session) for caller in (KIM, DESK)]),
        (404, "PUT", [caller.replace(session, 1, REPLACEMENT) for caller in (KIM, DESK)]),
        (404, "DELETE turns", [caller.remove(session, 0) for caller in (KIM, DESK)]),
        (404, "DELETE of another", [LEE.erase(session)]),
        (409, "POST", [caller.write(session, turn()) for caller in (KIM, DESK)]),
        (404, "POST of another", [LEE.write(session, turn())]),
        (409, "PATCH", [KIM.patch(session, {}), DESK.patch(session, {"user_id": "lee"})]),
    ]
    if key is not None:
        found.append((410, "POST with a key", [KIM.write(session, turn(), key)]))
    return [(status, name, reply) for status, name, replies in found for reply in replies]


def of_the_person() -> list[tuple[int, str, Reply]]:
    """Send each request that names the person."""
    return [
        *((404, "GET", caller.user("GET", USER)) for caller in (KIM, DESK)),
        *((404, "export", caller.export(USER)) for caller in (KIM, DESK)),
        *((409, "PUT", caller.user("PUT", USER, {})) for caller in (KIM, DESK)),
        *((409, "PATCH", caller.user("PATCH", USER, {})) for caller in (KIM, DESK)),
        (409, "new session", KIM.write("new", turn())),
        (409, "new session without a turn", KIM.patch("new", {})),
        (409, "gift", DESK.patch("lee1", {"user_id": USER})),
        (409, "gift of a new session", DESK.patch("new", {"user_id": USER})),
        (404, "GET new", DESK.read("new")),
    ]


def lists() -> list[Reply]:
    """Return each answer that lists sessions or users of the tenant."""
    return [
        DESK.sessions(limit=100, preview="true"),
        DESK.sessions(limit=100),
        DESK.sessions(user_id=USER, preview="true"),
        KIM.sessions(),
        DESK.users(limit=100),
        DESK.users(email=f"{CANARY}@example.com"),
        DESK.stats(),
    ]


def assert_nothing_of_the_person(reply: Reply) -> None:
    """Assert that an answer has neither a word nor an id of the person."""
    text = json.dumps([dict(reply.headers), reply.json])
    assert CANARY not in text
    assert PERSON not in text


def check(admin: Connection, state: str) -> None:
    """Check each answer after a step."""
    if state == "erasing":
        session = admin.execute("select id from robot_brain.sessions where user_id = %s limit 1", [USER]).fetchone()
        assert session is not None
        key = KEY if session[0] == f"{PERSON} key" else None
        for status, name, reply in of_a_session(session[0], key) + of_the_person():
            assert reply.status == status, f"{name}: {reply}"
            assert ("retry-after" in reply.headers) == (status == 409), f"{name}: {reply}"
            assert_nothing_of_the_person(reply)
        assert KIM.write(f"{PERSON} key", turn(), KEY).status == 410
        left = admin.execute("select count(*) from robot_brain.sessions where user_id = %s", [USER]).fetchone()
        counted = DESK.count_user(USER)
        assert (counted.status, (counted.json["sessions"],)) == (200, left)
        assert counted.json == dry_run(admin, USER)
    for reply in lists():
        assert reply.status == 200
        assert_nothing_of_the_person(reply)
    not_disturbed()


def not_disturbed() -> None:
    """Check that the other user reads, writes and is listed as ever."""
    assert LEE.read("lee2").status == 200
    assert LEE.write("lee3", turn()).status == 201
    assert LEE.user("PATCH", "lee", {"profile": {"first_name": "Lee"}}).status == 200
    assert {"lee1", "lee2", "lee3"} <= {each["id"] for each in LEE.sessions().json["sessions"]}
    assert len(LEE.export("lee").json["sessions"]) >= 3


@pytest.mark.parametrize("refreshes", [False, True], ids=["without refresh", "with refresh"])
def test_no_request_finds_the_person_between_two_steps(people: Database, refreshes: bool) -> None:
    with people.admin() as admin, people.app() as app, logged() as lines:
        states = [step(app, USER)]
        check(admin, states[-1])
        while states[-1] != "erased":
            if refreshes and len(states) == 1:
                # It does a step, too.
                DESK.refresh()
            states.append(step(app, USER, continues=True))
            check(admin, states[-1])
            assert len(states) < 500
        assert states.count("erasing") >= 3
        assert (KIM.count_user(USER).status, KIM.user("DELETE", USER).status) == (404, 404)
        assert KIM.write(f"{PERSON} key", turn(), KEY).status == 410
        # The person may come back at once, and has nothing.
        assert KIM.user("PUT", USER, {"email": f"{CANARY}@example.com"}).status == 201
        assert KIM.export(USER).json["sessions"] == []
        assert KIM.write("new", turn()).json["last_seq"] == 1
    assert CANARY not in json.dumps(lines())
    log = people.postgres.process.log.read_text(errors="replace")
    assert CANARY not in log
    assert PERSON not in log


def test_a_second_step_marks_the_sessions_above_ten_thousand(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin, database.app() as app:
        fill(admin, "kim", 10_050, 0, apart="1 s")
        newest, oldest = "kim1", "kim10050"
        assert step(app, "kim") == "erasing"
        assert (bundle.read(newest).status, bundle.read("kim10000").status, bundle.read("kim10001").status) == (
            404, 404, 200
        )  # fmt: skip
        assert bundle.write(oldest, turn()).status == 201
        assert bundle.user("GET", "kim").status == bundle.export("kim").status == 404
        assert bundle.user("PUT", "kim", {}).status == 409
        step(app, "kim", continues=True)
        assert bundle.read(oldest).status == 404
        marked = admin.execute("select count(*) from robot_brain.sessions where erasing_at is null").fetchone()
        assert marked == (0,)
