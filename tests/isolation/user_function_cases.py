"""For each SQL function that takes a user, the calls that use what a caller knows of a person of another tenant.

SQL knows no end user here. `Caller.require_user` refuses an end user that names another: test_end_users_and_people.
"""

from __future__ import annotations

import json
from operator import attrgetter

from tests.isolation.function_cases import TURN, Case, Value
from tests.isolation.person import Person

# The id of the asker's own user.
OWN: dict[str, object] = {"p_user_id": "own"}


def _document(person: Person) -> str:
    return json.dumps(person.document)


def _without_email(person: Person) -> str:
    return json.dumps(person.without_email)


def _email(person: Person) -> str:
    return json.dumps({"email": person.email})


def _tag(person: Person) -> list[str]:
    return [f'"{person.version}"']


ID: dict[str, Value] = {"p_user_id": attrgetter("id")}
KEY: dict[str, Value] = {"p_key": attrgetter("key")}
STATE: dict[str, Value] = {"p_if_match": attrgetter("version")}
EMAIL: dict[str, Value] = {"p_user": _email, "p_email_key": attrgetter("email")}
DOCUMENT: dict[str, Value] = {"p_user": _document, "p_email_key": attrgetter("email")}
PATCH: dict[str, object] = {"p_is_patch": True}
ACTS: dict[str, Value] = {"p_actor": attrgetter("actor"), "p_request_id": attrgetter("request_id")}

USER_FUNCTION_CASES: dict[str, list[Case[Person]]] = {
    "create_user": [
        Case("its id", ID | {"p_user": _without_email}),
        Case("its id, its e-mail and its key", ID | DOCUMENT | KEY),
        Case("its id, its e-mail, its key, its actor and its request", ID | DOCUMENT | KEY | ACTS),
        Case("its key for another user", ID | KEY, {"p_user": "{}"}),
        Case("its e-mail for another user", EMAIL, {"p_user_id": "another"}),
    ],
    "save_user": [
        Case("a replacement", ID | DOCUMENT),
        Case("a replacement by its actor in its request", ID | DOCUMENT | ACTS),
        Case("an empty replacement with its tag", ID | STATE, {"p_user": "{}"}),
        Case("an empty patch", ID, {"p_user": "{}", **PATCH}),
        Case("a patch with its tag and its e-mail", ID | STATE | EMAIL, PATCH),
        Case("its password removed", ID, {"p_user": '{"password_hash": null}', **PATCH}),
        Case("its e-mail for another user", EMAIL, OWN | PATCH),
    ],
    "read_user": [
        Case("the user", ID),
        Case("its tag in If-None-Match", ID | {"p_known_etags": _tag}),
        Case("any tag in If-None-Match", ID, {"p_known_etags": ["*"]}),
    ],
    "list_users": [
        Case("its e-mail", {"p_email_key": attrgetter("email")}),
        Case("a page after its place", {"p_cursor": attrgetter("list_cursor")}, {"p_limit": 100}),
        Case("all users", {}),
    ],
    "export_user": [
        Case("its first page", ID),
        Case("its cursor", ID | {"p_cursor": attrgetter("export_cursor")}),
        Case("a page after its place", ID | {"p_cursor": attrgetter("asker_cursor")}),
        Case("its cursor for another user", {"p_cursor": attrgetter("export_cursor")}, OWN),
        Case("its first page by its actor in its request", ID | ACTS),
    ],
    "count_user": [Case("a dry run", ID)],
    "erase_user": [
        Case("an erasure", ID),
        Case("its whole tag", ID | STATE),
        Case("a wrong state as If-Match", ID, {"p_if_match": "77"}),
        Case("the next step of an erasure", ID, {"p_continue": True}),
        Case("an erasure by its actor in its request", ID | ACTS),
    ],
    "read_audit": [
        Case("all entries", {}, {"p_limit": 100}),
        Case("its entries", {"p_record_id": attrgetter("id")}),
        Case("the entries of its session", {"p_record_id": attrgetter("session_id")}),
        Case("what its actor did", {"p_user_id": attrgetter("actor")}),
        Case("the entries since its first one", {"p_from": attrgetter("since")}, {"p_to": "infinity"}),
        Case("the entries before its first one", {"p_to": attrgetter("since")}),
        Case("its cursor", {"p_cursor": attrgetter("audit_cursor")}),
        Case("a page after its place", {"p_cursor": attrgetter("asker_audit_cursor")}, {"p_limit": 100}),
    ],
    # These take a user, too.
    "list_sessions": [
        Case("its sessions", ID),
        Case("a page after its place", ID | {"p_cursor": attrgetter("sessions_cursor")}),
    ],
    "patch_session": [
        Case("a session for it", ID, {"p_session_id": "for it", "p_sets_user_id": True}),
        Case("its session as an end user of its id", {"p_session_id": attrgetter("session_id"),
             "p_as_user": attrgetter("id")}, {"p_user_metadata": "{}"}),
    ],
    "write_message": [
        Case("its session as an end user of its id", {"p_session_id": attrgetter("session_id"),
             "p_as_user": attrgetter("id")}, {"p_messages": json.dumps([TURN])}),
        Case("its key as an end user of its id", {"p_as_user": attrgetter("id")} | KEY,
             {"p_session_id": "for it", "p_messages": json.dumps([TURN])}),
    ],
}  # fmt: skip
