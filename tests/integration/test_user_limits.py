"""Users exactly at the limits of the contract are stored, and SQL refuses what is over them without the layer."""

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from robot_brain.limits import (
    MAX_EMAIL_KEY_BYTES,
    MAX_EMAIL_LENGTH,
    MAX_PASSWORD_HASH_LENGTH,
    MAX_PERSON_NAME_LENGTH,
    MAX_TENANT_LENGTH,
    MAX_URL_LENGTH,
    MAX_USER_ID_LENGTH,
)
from tests.integration.edge import function_of, row_counts
from tests.support.bundle import EVENTS, Bundle, deployed, event, turn
from tests.support.servers.databases import Database

ROBOT = "\U0001f916"
_ODD = "\u200f\u2028 e\u0301 \\ / \" ' %s {} <>& $1"
GOOD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an empty profile": {"profile": {}},
    "an e-mail of three characters": {"email": "a@b"},
    "an e-mail of 254 characters": {"email": "x" * (MAX_EMAIL_LENGTH - 2) + "@b"},
    # Four bytes each, and each is its own folded form.
    "an e-mail of 254 characters of four bytes": {"email": ROBOT * (MAX_EMAIL_LENGTH - 2) + "@b"},
    "an e-mail whose key is longer than itself": {"email": "\ufb03" * (MAX_EMAIL_LENGTH - 2) + "@b"},
    "an e-mail whose key has 1,499 bytes": {"email": "\u3316" * 83 + "xxx@b"},
    "an e-mail of odd characters": {"email": "'\"%s{}\\/<>&$1*?#;:,.+@-_!"},
    "the shortest hash": {"password_hash": "$a$" + "~" * 20},
    "a hash of 512 characters": {"password_hash": "$a$" + "~" * (MAX_PASSWORD_HASH_LENGTH - 3)},
    "names of one character": {"profile": {"first_name": " ", "last_name": "\u00a0"}},
    "names of 100 characters of four bytes": {
        "profile": {"first_name": ROBOT * MAX_PERSON_NAME_LENGTH, "last_name": ROBOT * MAX_PERSON_NAME_LENGTH}
    },
    "names of odd characters": {"profile": {"first_name": _ODD, "last_name": _ODD[::-1]}},
    "a URL of 2,048 characters": {"profile": {"avatar_url": "https://b/".ljust(MAX_URL_LENGTH, "ü")}},
    "a short URL": {"profile": {"avatar_url": "http://b"}},
}
TENANT = ROBOT * MAX_TENANT_LENGTH
CALL: dict[str, Any] = {"p_tenant_id": "local", "p_user_id": "ann", "p_user": Jsonb({}), "p_email_key": None}
TOO_LONG, INVALID, FOREIGN = "22001", "22023", "42501"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no tenant": ({"p_tenant_id": None}, FOREIGN),
    "an empty tenant": ({"p_tenant_id": ""}, FOREIGN),
    "the tenant of the rows of all tenants": ({"p_tenant_id": "*"}, INVALID),
    "a tenant of 129 characters": ({"p_tenant_id": "x" * (MAX_TENANT_LENGTH + 1)}, TOO_LONG),
    "a tenant of 128 characters and a space": ({"p_tenant_id": "x" * MAX_TENANT_LENGTH + " "}, FOREIGN),
    "no id": ({"p_user_id": None}, TOO_LONG),
    "an empty id": ({"p_user_id": ""}, TOO_LONG),
    "an id of 256 characters": ({"p_user_id": "x" * (MAX_USER_ID_LENGTH + 1)}, TOO_LONG),
    "an id of 255 characters and a space": ({"p_user_id": "x" * MAX_USER_ID_LENGTH + " "}, TOO_LONG),
    "no user": ({"p_user": None}, INVALID),
    "a user that is a JSON null": ({"p_user": "null"}, INVALID),
    "a user that is a list": ({"p_user": "[]"}, INVALID),
    "a user that is a text": ({"p_user": '"x"'}, INVALID),
    "an e-mail without a key": ({"p_user": Jsonb({"email": "a@b"})}, INVALID),
    "a key without an e-mail": ({"p_email_key": "a@b"}, INVALID),
    "a key of an e-mail that is null": ({"p_user": '{"email": null}', "p_email_key": "a@b"}, INVALID),
    "an e-mail of 255 characters": (
        {"p_user": Jsonb({"email": "x" * (MAX_EMAIL_LENGTH + 1)}), "p_email_key": "x"},
        TOO_LONG,
    ),
    "a key of 1,501 bytes": (
        {"p_user": Jsonb({"email": "x"}), "p_email_key": "x" * (MAX_EMAIL_KEY_BYTES + 1)},
        TOO_LONG,
    ),
    "a hash of 513 characters": ({"p_user": Jsonb({"password_hash": "x" * 513})}, TOO_LONG),
    "a name of 101 characters": ({"p_user": Jsonb({"profile": {"first_name": "x" * 101}})}, TOO_LONG),
    "a URL of 2,049 characters": ({"p_user": Jsonb({"profile": {"avatar_url": "x" * 2049}})}, TOO_LONG),
}
# Without the event of a caller, which another test sends.
EVENT_FILES = sorted({path.stem for path in EVENTS.glob("*_user*.json")} - {"edit_user_jwt", "edit_session_user"})
FUNCTIONS = ("create_user", "save_user")


def call(connection: psycopg.Connection, function: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """Call a function of robot_brain_api with named parameters."""
    names = ", ".join(f"{name} => %({name})s" for name in arguments)
    row = connection.execute(f"select * from robot_brain_api.{function}({names})".encode(), arguments).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("says", GOOD)
def test_a_user_at_a_limit_reads_back_as_sent(embedded_database: Database, says: str) -> None:
    body = GOOD[says]
    expected = {name: value for name, value in ({"profile": {}} | body).items() if name != "password_hash"}
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        written = functions.user("PUT", "ann", body)
        assert written.status == 201, written.body
        assert {name: written.json.get(name) for name in expected} == expected
        assert set(written.json) == {"id", "created_at", "updated_at", *expected}
        assert functions.user("PUT", "ann", {}).status == 200
        patched = functions.user("PATCH", "ann", body)
        assert functions.user("GET", "ann").body == patched.body
        assert {name: patched.json.get(name) for name in expected} == expected
        if "email" in body:
            assert [user["id"] for user in functions.users(email=body["email"]).json["users"]] == ["ann"]


def test_a_key_counts_in_bytes_after_folding_and_the_next_character_is_too_much(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        for email, status in (
            ("\u3316" * 83 + "xxx@b", 201),
            ("\u3316" * 83 + "xxxx@b", 201),
            ("\u3316" * 83 + "xxxxx@b", 422),
        ):
            assert functions.create_user({"email": email}).status == status, email


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_user_over_a_limit_is_refused_in_sql_and_nothing_is_stored(database: Database, function: str) -> None:
    with database.app() as connection, database.admin() as admin:
        for says, (arguments, sqlstate) in REFUSED.items():
            with pytest.raises(psycopg.Error) as raised:
                call(connection, function, CALL | arguments)
            assert raised.value.sqlstate == sqlstate, (says, raised.value)
        assert set(row_counts(admin).values()) == {0}


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_the_longest_keys_of_a_user_fit_into_the_indexes(database: Database) -> None:
    longest = CALL | {
        "p_tenant_id": TENANT,
        "p_user_id": ROBOT * MAX_USER_ID_LENGTH,
        "p_user": Jsonb({"email": ROBOT * MAX_EMAIL_LENGTH, "profile": {"first_name": "x"}}),
        "p_email_key": ROBOT * (MAX_EMAIL_KEY_BYTES // 4),
    }
    with database.app() as connection:
        assert call(connection, "save_user", longest)[2]
        call(connection, "save_user", CALL | {"p_tenant_id": TENANT})
        body = call(connection, "list_users", {"p_tenant_id": TENANT, "p_limit": 1})[0]
        assert ROBOT not in body
        assert call(connection, "erase_user", {"p_tenant_id": TENANT, "p_user_id": longest["p_user_id"]}) == ("erased",)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_list_of_users_beyond_a_limit_is_a_page_within_it(bundle: Bundle, database: Database) -> None:
    for number in range(3):
        assert bundle.user("PUT", f"u{number}", {}).status == 201
    with database.app() as connection:
        for limit, count in ((None, 1), (0, 1), (-1, 1), (-(2**31), 1), (2**31 - 1, 3)):
            body = call(connection, "list_users", {"p_tenant_id": "local", "p_limit": limit})[0]
            assert body.count('"id"') == count, limit
        for tenant in (None, "", "*", "x" * 10**6):
            assert call(connection, "list_users", {"p_tenant_id": tenant})[0].count('"id"') == 0
            assert call(connection, "read_user", {"p_tenant_id": tenant, "p_user_id": "u0"}) == (None, None)
        for user_id in (None, "", "x" * 10**6):
            assert call(connection, "read_user", {"p_tenant_id": "local", "p_user_id": user_id}) == (None, None)


@pytest.mark.parametrize("name", EVENT_FILES)
def test_an_event_file_of_a_user_is_accepted(embedded_database: Database, name: str) -> None:
    sent = event(name)
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        tag = functions.user("PUT", "ann", {"email": "ann@example.com"}).headers["etag"]
        functions.write("s", turn())
        for header in {"if-match", "if-none-match"} & set(sent["headers"]):
            sent["headers"][header] = tag
        assert functions.call(function_of(sent), sent).status in (200, 201, 204, 304)
