"""An export of a person is equal to what was written, page by page, and each page fits into an answer."""

import random

import pytest

from robot_brain.limits import MAX_ITEMS_BYTES, MAX_METADATA_BYTES, MAX_NAME_LENGTH, MAX_TEXT_BYTES
from tests.integration.exported import Written, content, exported, pages, size
from tests.integration.months import make_months
from tests.integration.user_rows import TURNS, Connection
from tests.support.bundle import Bundle, Json
from tests.support.servers.databases import Database

USER = "kim"
# They sort by their bytes, and not as a dictionary sorts them.
ODD = ("a", "A", "b", "B", "Z", "_", "~", "a b", "ä", "Ä", "z", "é", "ß", "日本", "😀", '"q"', "10", "9", "-")
# PostgreSQL and Lambda escape this character to seven bytes, the most of all characters.
LONGEST = "\x01"
MOVE = """
with moved as (
  update robot_brain.sessions
  set created_at = created_at - %(by)s::interval, last_active = last_active - %(by)s::interval
  where id = %(id)s
),
turns as (
  update robot_brain.conversations set created_at = created_at - %(by)s::interval where session_id = %(id)s
)
update robot_brain.robot_interactions set created_at = created_at - %(by)s::interval where session_id = %(id)s
"""


def turn(number: int, **members: object) -> Json:
    """Return a turn. Each third has an interaction, and each fourth has items and metadata."""
    made: Json = {"robot_personality": f"robot {number % 3}", "user_message": f"q {number}", "robot_response": "ä" * 9}
    if number % 3 == 0:
        made["interaction"] = {
            "robot_id": "r", "interaction_type": "chat", "duration_ms": number, "success": number % 2 == 0,
        }  # fmt: skip
        if number % 2 == 0:
            made["interaction"]["metadata"] = {"n": number, "text": '"\\\n'}
    if number % 4 == 0:
        made["items"] = [{"call": number, "text": "é\u2028"}]
        made["metadata"] = {"deep": {"list": [1.5, None, True, "\t"]}}
    return {**made, **members}


def write_all(admin: Connection, app: Connection) -> Written:
    """Write some 20,000 turns in sessions of all kinds."""
    written = Written(USER)
    chance = random.Random(4711)
    for number, session in enumerate(ODD):
        written.write(app, session, [turn(n) for n in range(chance.choice((1, 20, 300)))], {"number": number})
    written.write(app, "long", [turn(n) for n in range(12_000)])
    for number in range(10):
        written.write(app, f"middle {number}", [turn(n) for n in range(850)])
    # More sessions than a page has.
    for number in range(250):
        written.write(app, f"small {number}", [turn(number)])
    for number in range(20):
        app.execute("select robot_brain_api.patch_session('local', %s, p_as_user => %s)", [f"empty {number}", USER])
        written.sessions[f"empty {number}"] = {}
    # Turns that fill a page alone, and sessions with the largest metadata.
    for number, text in enumerate((LONGEST, "x", '"', "é", "\\")):
        long = text * (MAX_TEXT_BYTES // len(text.encode()))
        items = [{"text": "x" * (MAX_ITEMS_BYTES - 40)}]
        metadata = {"text": "x" * (MAX_METADATA_BYTES - 40)}
        huge = turn(0, user_message=long, robot_response=long, items=items, metadata=metadata)
        huge["interaction"]["metadata"] = metadata
        written.write(app, f"huge {number}", [turn(1), huge, turn(2), huge], metadata)
    for session, after, more in (("middle 3", 400, 30), ("middle 4", 0, 0), ("middle 5", 849, 5)):
        written.remove(app, session, after)
        written.write(app, session, [turn(n) for n in range(more)])
    for seq in (1, 5, 400):
        written.replace(app, "middle 3", seq, {"user_message": "new", "robot_response": "", "metadata": {"e": 1}})
    for number, session in enumerate(("A", "middle 6", "small 7", "small 8", "empty 1")):
        admin.execute(MOVE, {"by": f"{number * 17} months", "id": session})
    return written


def check(found: list[Json], written: Written) -> None:
    """Check that an export is equal to what was written."""
    sessions, turns = exported(found)
    assert {each["id"]: each["user_metadata"] for each in sessions} == written.sessions
    counts = dict.fromkeys(written.sessions, 0)
    for session, _ in written.turns:
        counts[session] += 1
    assert {each["id"]: each["message_count"] for each in sessions} == counts
    assert {each["user_id"] for each in sessions} == {written.user}
    assert len(turns) == len(written.turns)
    for each in turns:
        assert content(each) == content(written.turns[each["session_id"], each["seq"]])


def test_an_export_is_equal_to_what_was_written(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin, database.app() as app:
        written = write_all(admin, app)
        # What others wrote is in no page.
        Written("lee").write(app, "long of lee", [turn(n) for n in range(50)])
        app.execute("select robot_brain_api.write_message('other', 'long', %s, p_as_user => 'kim')", [TURNS])
        assert len(written.turns) > 20_000
        found = list(pages(bundle, USER))
        check(found, written)
        assert {str(page["user"]) for page in found} == {"None"}
        person = bundle.user("PUT", USER, {"email": "kim@example.com", "profile": {"last_name": "K"}}).json
        # Sessions in the default partition, and then in months of their own.
        assert make_months(app)[0] != []
        found = list(pages(bundle, USER))
        check(found, written)
        assert [page["user"] for page in found] == [person] * len(found)


def test_a_page_of_the_longest_names_and_ids_fits_into_an_answer(bundle: Bundle, database: Database) -> None:
    """The bound of a small turn counts its names and ids, which are escaped, too."""
    user = "😀" * 255
    name = LONGEST * MAX_NAME_LENGTH
    interaction = {
        "robot_id": name, "interaction_type": name, "duration_ms": 2**31 - 1, "success": False, "metadata": {},
    }  # fmt: skip
    person = {
        "email": "é" * 240 + "@example.com",
        "profile": {
            "first_name": "\\" * 100,
            "last_name": '"' * 100,
            "avatar_url": "https://example.com/" + "a" * 2000,
        },
    }
    with database.app() as app:
        assert bundle.user("PUT", user, person).status == 201
        written = Written(user)
        for letter in "ab":
            session = letter + '"' * 99
            text = LONGEST * 310
            made = {"robot_personality": name, "user_message": text, "robot_response": text, "interaction": interaction}
            written.write(app, session, [{**made, "metadata": {}}] * 1500, {"m": "\\" * 8000})
        largest = size(bundle.export(user))
        found = list(pages(bundle, user))
    check(found, written)
    # Otherwise the test is no test of the limit.
    assert largest > 5_000_000


@pytest.mark.parametrize("turns", [999, 1000, 1001, 2000])
def test_a_session_that_ends_with_a_page_is_whole(database: Database, bundle: Bundle, turns: int) -> None:
    with database.app() as app:
        written = Written(USER)
        written.write(app, "a", [turn(n) for n in range(turns)])
        written.write(app, "b", [turn(n) for n in range(3)])
    found = list(pages(bundle, USER))
    check(found, written)
    assert [len(page["turns"]) <= 1000 for page in found] == [True] * len(found)
