"""An export of a person while the person writes, and while sessions move away and months are made."""

import itertools
import json
import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.integration.exported import Written, exported, pages
from tests.integration.held_locks import wait_for_waiter
from tests.integration.months import make_months
from tests.integration.test_user_export import MOVE, turn
from tests.integration.user_rows import TURN, Connection, fill, finish, step
from tests.support.bundle import Bundle, Json
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

USER = "kim"


def prepared(app: Connection, longest: int = 2500) -> Written:
    """Write sessions of the user: one of more than two pages, and others of less than one."""
    written = Written(USER)
    written.write(app, "m", [turn(n) for n in range(longest)])
    for letter in "acpsz":
        written.write(app, letter, [turn(n) for n in range(120)])
    return written


def writing(app: Connection, chance: random.Random, allowed: threading.Semaphore, walked: threading.Event) -> int:
    """Append turns, edit turns and begin sessions until the walk ends, as often as allowed. Returns how often."""
    for number in itertools.count():
        allowed.acquire()
        if walked.is_set():
            return number
        session = chance.choice("acmpsz")
        text = {"user_message": f"late {number}", "robot_response": "late", "metadata": {}}
        late = {"robot_personality": "late", **text}
        kind = chance.choice(("append", "append", "edit", "begin", "patch"))
        if kind == "edit":
            seq = chance.randint(1, 120)
            app.execute("select robot_brain_api.replace_turn('local', %s, %s, %s)", [session, seq, json.dumps(text)])
        elif kind == "patch":
            app.execute(
                "select robot_brain_api.patch_session('local', %s, %s)", [session, json.dumps({"late": number})]
            )
        else:
            to = f"{session} {secrets.token_hex(4)}" if kind == "begin" else session
            app.execute(
                "select robot_brain_api.write_message('local', %s, %s, p_as_user => %s)",
                [to, json.dumps([late] * chance.choice((1, 7))), USER],
            )
    raise AssertionError


def check_beside_writers(found: list[Json], written: Written) -> None:
    """Check that an export has what was there when it began, and each edit whole or not at all."""
    sessions, turns = exported(found)
    assert written.sessions.keys() <= {each["id"] for each in sessions}
    by_place = {(each["session_id"], each["seq"]): each for each in turns}
    assert written.turns.keys() <= by_place.keys()
    for place, before in written.turns.items():
        texts = {name: by_place[place][name] for name in ("user_message", "robot_response")}
        if texts["robot_response"] == "late":
            assert texts["user_message"].startswith("late ")
            assert "items" not in by_place[place]
        else:
            assert texts == {name: before[name] for name in texts}
            assert by_place[place].get("items") == before.get("items")
        assert ("interaction" in by_place[place]) == ("interaction" in before)


def test_a_walk_beside_writers_has_all_that_was_there_and_nothing_twice(bundle: Bundle, database: Database) -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")
    chance, walked, allowed = random.Random(seed), threading.Event(), threading.Semaphore(0)
    with database.app() as first, database.app() as second, ThreadPoolExecutor(2) as threads:
        written = prepared(first, longest=19_400)  # 20,000 turns with the others
        writers = [
            threads.submit(writing, app, random.Random(chance.random()), allowed, walked) for app in (first, second)
        ]
        try:
            for _ in range(3):
                found: list[Json] = []
                allowed.release(20)
                for page in pages(bundle, USER):
                    found.append(page)
                    # Writers that never rest could write faster than the walk reads.
                    allowed.release(20)
                check_beside_writers(found, written)
        finally:
            walked.set()
            allowed.release(2)
        assert sum(writer.result() for writer in writers) > 60


# Each page of a turn whose seq is a multiple of 100 meets an edit.
BUSY = """
create or replace function robot_brain.turn_json(p_turn robot_brain.conversations)
returns json language plpgsql as $$
begin
  if p_turn.seq % 100 = 0 then
    update robot_brain.sessions s
    set version = s.version + 1
    where s.tenant_id = p_turn.tenant_id and s.id = p_turn.session_id;
  end if;
  return json_build_object('seq', p_turn.seq);
end
$$
"""


@without_pooler
def test_a_page_of_a_session_that_is_edited_all_the_time_becomes_shorter(database: Database) -> None:
    """The shorter a page is, the sooner it is read. So it does not end in a conflict."""
    with database.admin() as admin, database.app() as app:
        prepared(app, longest=500)
        admin.execute(BUSY)
        row = app.execute("select body::json from robot_brain_api.export_user('local', %s)", [USER]).fetchone()
    assert row is not None
    assert row[0]["page"]["cursor"] is not None
    seqs = [turn["seq"] for turn in row[0]["turns"] if turn["session_id"] == "a"]
    assert seqs == list(range(1, len(seqs) + 1))
    assert 50 <= len(seqs) < 100


@pytest.mark.parametrize("goes", ["erased", "given to another user", "emptied"])
def test_a_session_that_goes_between_two_pages_is_in_no_later_page(
    bundle: Bundle, database: Database, goes: str
) -> None:
    change = {
        "erased": "select robot_brain_api.erase_session('local', 'm')",
        "given to another user": "select robot_brain_api.patch_session('local', 'm', null, 'lee', true)",
        "emptied": "select robot_brain_api.remove_turns('local', 'm', 0)",
    }[goes]
    with database.app() as app:
        written = prepared(app)
        found: list[Json] = []
        for page in pages(bundle, USER):
            found.append(page)
            if len(found) == 1:
                assert page["turns"][-1]["session_id"] == "m"
                app.execute(change.encode())
    sessions, turns = exported(found)
    assert {turn["session_id"] for page in found[1:] for turn in page["turns"]} == {"p", "s", "z"}
    assert {each["id"] for each in sessions} == written.sessions.keys()
    kept = {place for place in written.turns if place[0] != "m"}
    assert kept <= {(each["session_id"], each["seq"]) for each in turns}


def test_a_session_that_comes_to_the_person_before_the_cursor_is_in_no_page(bundle: Bundle, database: Database) -> None:
    with database.app() as app:
        written = prepared(app)
        app.execute("select robot_brain_api.write_message('local', 'b', %s)", [json.dumps([TURN])])
        found: list[Json] = []
        for page in pages(bundle, USER):
            if not found:
                app.execute("select robot_brain_api.patch_session('local', 'b', null, %s, true)", [USER])
            found.append(page)
    sessions, turns = exported(found)
    assert {each["id"] for each in sessions} == written.sessions.keys()
    assert len(turns) == len(written.turns)


def test_an_erasure_between_two_pages_ends_the_walk_with_404(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin, database.app() as app:
        prepared(app)
        fill(admin, USER, 150, 0, prefix="empty ")
        cursor = bundle.export(USER).json["page"]["cursor"]
        assert step(app, USER) == "erasing"
        assert bundle.export(USER, cursor=cursor).status == 404
        finish(app, USER)
        assert bundle.export(USER, cursor=cursor).status == 404
        # The person has begun again. The rest of a walk has only what is new.
        Written(USER).write(app, "z", [turn(1)])
        last = bundle.export(USER, cursor=cursor).json
        assert [each["id"] for each in last["sessions"]] == ["z"]
        assert len(last["turns"]) == 1


@without_pooler
def test_a_page_that_waits_while_months_are_made_has_every_turn(database: Database) -> None:
    """The page waits for the locks of make_month. Its turns are in another partition afterwards."""
    with database.admin() as admin, closing(database.app()) as reader:
        written = prepared(reader, longest=300)
        for number, session in enumerate(("a", "m", "z")):
            admin.execute(MOVE, {"by": f"{20 + number} months", "id": session})
        with ThreadPoolExecutor(1) as thread:
            with admin.transaction():
                for _ in range(6):
                    admin.execute("select robot_brain_api.make_month()")
                exporting = thread.submit(
                    lambda: reader.execute("select body::json from robot_brain_api.export_user('local', %s)", [USER])
                    .fetchone()
                )  # fmt: skip
                wait_for_waiter(admin)
            row = exporting.result()
        assert row is not None
        sessions, turns = exported([row[0]])
        assert {each["id"] for each in sessions} == written.sessions.keys()
        assert {(each["session_id"], each["seq"]) for each in turns} == written.turns.keys()
        assert sum("interaction" in each for each in turns) == sum(
            "interaction" in each for each in written.turns.values()
        )
        assert make_months(reader)[0] == []
