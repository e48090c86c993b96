"""Requests about users, each with its route and the status of its answer."""

from tests.integration.edge import Send, other
from tests.support.bundle import turn

CREATE_USER = "POST /users"
PUT_USER = "PUT /users/{user_id}"
PATCH_USER = "PATCH /users/{user_id}"
ERASE_USER = "DELETE /users/{user_id}"
READ_USER = "GET /users/{user_id}"
LIST_USERS = "GET /users"
EXPORT_USER = "GET /users/{user_id}/export"
# The event of each route whose name is not that of the route.
EVENT_OF_USER = {
    "create_user": "edit_user_create",
    "replace_user": "edit_user",
    "patch_user": "edit_user_patch",
    "erase_user": "edit_user_erase",
    "list_users": "read_user_list",
    "export_user": "read_user_export",
}
_ANN = {"email": "ann@example.com", "profile": {"first_name": "Ann"}}
_KEY = {"idempotency-key": "user-4711"}
_LARGE = " " * (4 * 1024 * 1024 + 1)
_TEXT = {"content-type": "text/plain"}
_STALE = {"if-match": '"0"'}
_ANY = {"if-match": "*"}
# Sent in this order to a database without users, in which the key `order-4711` has written a turn.
OF_USERS: list[tuple[str, int, Send]] = [
    (LIST_USERS, 200, lambda b: b.users()),
    (CREATE_USER, 201, lambda b: b.create_user(_ANN, _KEY)),
    (CREATE_USER, 201, lambda b: b.create_user(_ANN, _KEY)),
    (CREATE_USER, 201, lambda b: b.create_user({})),
    (CREATE_USER, 400, lambda b: b.create_user("{")),
    (CREATE_USER, 413, lambda b: b.create_user(_LARGE)),
    (CREATE_USER, 415, lambda b: b.create_user({}, _TEXT)),
    (CREATE_USER, 422, lambda b: b.create_user(_ANN)),
    (CREATE_USER, 422, lambda b: b.create_user({}, _KEY)),
    (CREATE_USER, 422, lambda b: b.create_user({}, {"idempotency-key": "order-4711"})),
    (PUT_USER, 201, lambda b: b.user("PUT", "ann", {"email": "a@b"})),
    (PUT_USER, 200, lambda b: b.user("PUT", "ann", {"profile": {"avatar_url": "https://b"}})),
    (PUT_USER, 400, lambda b: b.user("PUT", "ann", {}, _ANY)),
    (PUT_USER, 412, lambda b: b.user("PUT", "ann", {}, _STALE)),
    (PUT_USER, 412, lambda b: b.user("PUT", "unknown", {}, _STALE)),
    (PUT_USER, 413, lambda b: b.user("PUT", "ann", _LARGE)),
    (PUT_USER, 415, lambda b: b.user("PUT", "ann", {}, _TEXT)),
    (PUT_USER, 422, lambda b: b.user("PUT", "ann", {"id": "x"})),
    (PUT_USER, 422, lambda b: b.user("PUT", "a/b", {})),
    (PATCH_USER, 200, lambda b: b.user("PATCH", "ann", {"email": "a@b", "profile": None})),
    (PATCH_USER, 400, lambda b: b.user("PATCH", "ann", "")),
    (PATCH_USER, 404, lambda b: b.user("PATCH", "unknown", {})),
    (PATCH_USER, 412, lambda b: b.user("PATCH", "ann", {}, _STALE)),
    (PATCH_USER, 413, lambda b: b.user("PATCH", "ann", _LARGE)),
    (PATCH_USER, 415, lambda b: b.user("PATCH", "ann", {}, _TEXT)),
    (PATCH_USER, 422, lambda b: b.user("PATCH", "ann", {"email": "x"})),
    (READ_USER, 200, lambda b: b.user("GET", "ann")),
    (READ_USER, 304, lambda b: b.user("GET", "ann", headers={"if-none-match": "*"})),
    (READ_USER, 400, other("read_user", "%")),
    (READ_USER, 404, lambda b: b.user("GET", "unknown")),
    (READ_USER, 422, other("read_user", "limit=1")),
    (LIST_USERS, 200, lambda b: b.users(limit=1)),
    (LIST_USERS, 200, lambda b: b.users(email="A@b")),
    (LIST_USERS, 400, other("read_user_list", "%")),
    (LIST_USERS, 422, lambda b: b.users(email="a@b", limit=1)),
    (LIST_USERS, 422, lambda b: b.users(cursor="x")),
    (EXPORT_USER, 200, lambda b: b.export("ann")),
    (EXPORT_USER, 400, other("read_user_export", "%")),
    (EXPORT_USER, 404, lambda b: b.export("unknown")),
    (EXPORT_USER, 422, lambda b: b.export("ann", cursor="x")),
    (ERASE_USER, 200, lambda b: b.count_user("ann")),
    (ERASE_USER, 400, lambda b: b.user("DELETE", "ann", headers=_ANY)),
    (ERASE_USER, 404, lambda b: b.count_user("unknown")),
    (ERASE_USER, 412, lambda b: b.user("DELETE", "ann", headers=_STALE)),
    (ERASE_USER, 422, other("edit_user_erase", "dry_run=1")),
    (ERASE_USER, 204, lambda b: b.user("DELETE", "ann")),
    (ERASE_USER, 404, lambda b: b.user("DELETE", "ann")),
]
UNSERVED_USERS: list[tuple[str, Send]] = [
    (CREATE_USER, lambda b: b.create_user({})),
    (PUT_USER, lambda b: b.user("PUT", "ann", {})),
    (PATCH_USER, lambda b: b.user("PATCH", "ann", {})),
    (ERASE_USER, lambda b: b.user("DELETE", "ann")),
    (ERASE_USER, lambda b: b.count_user("ann")),
    (READ_USER, lambda b: b.user("GET", "ann")),
    (LIST_USERS, lambda b: b.users()),
    (EXPORT_USER, lambda b: b.export("ann")),
]
# Sent by an end user ann: each that names another user, or all users, is 403.
OF_AN_END_USER: list[tuple[str, int, Send]] = [
    (CREATE_USER, 403, lambda b: b.create_user({})),
    (LIST_USERS, 403, lambda b: b.users()),
    (LIST_USERS, 403, lambda b: b.users(email="a@b")),
    (PUT_USER, 403, lambda b: b.user("PUT", "bob", {})),
    (PATCH_USER, 403, lambda b: b.user("PATCH", "bob", {})),
    (ERASE_USER, 403, lambda b: b.user("DELETE", "bob")),
    (ERASE_USER, 403, lambda b: b.count_user("bob")),
    (READ_USER, 403, lambda b: b.user("GET", "bob")),
    (EXPORT_USER, 403, lambda b: b.export("bob")),
    (PUT_USER, 201, lambda b: b.user("PUT", "ann", _ANN)),
    (PATCH_USER, 200, lambda b: b.user("PATCH", "ann", {"profile": {"last_name": "Lee"}})),
    (READ_USER, 200, lambda b: b.user("GET", "ann")),
    ("POST /sessions/{session_id}/messages", 201, lambda b: b.write("of ann", turn())),
    (EXPORT_USER, 200, lambda b: b.export("ann")),
    (ERASE_USER, 200, lambda b: b.count_user("ann")),
    (ERASE_USER, 204, lambda b: b.user("DELETE", "ann")),
]
