"""An erasure of a user empties the remembered answers of the person, and no others."""

from tests.integration.audited import left_in_trail
from tests.integration.user_rows import left_of
from tests.support.bundle import Bundle, turn
from tests.support.servers.databases import Database

KEY = {"idempotency-key": "signup"}
EXPIRE = "update robot_brain.idempotency_keys set expires_at = clock_timestamp() - interval '1 minute'"


def expire_keys(database: Database) -> None:
    """Make all keys a day older."""
    with database.admin() as admin:
        admin.execute(EXPIRE)


def test_the_key_that_made_an_erased_user_is_gone_for_good(bundle: Bundle, database: Database) -> None:
    body = {"email": "kim@example.com", "profile": {"first_name": "Canary"}}
    made = bundle.create_user(body, KEY)
    assert (made.status, bundle.create_user(body, KEY).json) == (201, made.json)
    assert bundle.user("DELETE", made.json["id"]).status == 204
    for again in (body, {"email": "other@example.com"}):
        refused = bundle.create_user(again, KEY)
        assert refused.status == 410
        assert made.json["id"] not in str(refused)
    assert bundle.write("s", turn(), KEY).status == 410
    assert left_of(database, "Canary") == []
    assert left_in_trail(database, made.json["id"]) == ["INSERT", "ERASE"]


def test_an_erasure_also_empties_an_answer_whose_key_has_expired(bundle: Bundle, database: Database) -> None:
    made = bundle.create_user({"profile": {"first_name": "Canary"}}, KEY)
    expire_keys(database)
    assert bundle.user("DELETE", made.json["id"]).status == 204
    assert left_of(database, "Canary") == []


def test_an_erasure_keeps_the_answer_of_a_write_that_used_the_key_of_the_user_a_day_later(
    bundle: Bundle, database: Database
) -> None:
    made = bundle.create_user({}, KEY)
    expire_keys(database)
    written = bundle.write("of another", turn(), KEY)
    assert written.status == 201
    assert bundle.user("DELETE", made.json["id"]).status == 204
    again = bundle.write("of another", turn(), KEY)
    assert (again.status, again.json) == (201, written.json)


def test_an_erasure_keeps_the_answer_of_another_user_that_was_made_with_the_same_key_a_day_later(
    bundle: Bundle, database: Database
) -> None:
    first = bundle.create_user({}, KEY)
    expire_keys(database)
    second = bundle.create_user({}, KEY)
    assert second.json["id"] != first.json["id"]
    assert bundle.user("DELETE", first.json["id"]).status == 204
    assert bundle.create_user({}, KEY).json == second.json
    # The key of the second one is emptied by its own erasure.
    assert bundle.user("DELETE", second.json["id"]).status == 204
    assert bundle.create_user({}, KEY).status == 410
