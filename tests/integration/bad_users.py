"""Bad requests about users. No user is stored, and the session `kept` has two turns."""

from typing import Any

from tests.integration.edge import Bad, other
from tests.support.private_text import PRIVATE

_EMAIL: list[str | int] = ["body", "email"]
_HASH: list[str | int] = ["body", "password_hash"]
_FIRST: list[str | int] = ["body", "profile", "first_name"]
_URL: list[str | int] = ["body", "profile", "avatar_url"]
_ID: list[str | int] = ["path", "user_id"]
_CURSOR: list[str | int] = ["query", "cursor"]

_EMAILS: dict[str, Any] = {
    "nothing": "",
    "no at sign": PRIVATE,
    "two at signs": f"{PRIVATE}@b@c",
    "an at sign that folding makes": f"{PRIVATE}\uff20b@c",
    "nothing before the at sign": "@example.com",
    "nothing after the at sign": f"{PRIVATE}@",
    "a space": f"{PRIVATE} x@b",
    "a space that folding makes": f"{PRIVATE}\u00a8@b",
    "spaces that folding makes": f"{PRIVATE}\ufdfa@b",
    "a line break": f"{PRIVATE}@b\n",
    "a no-break space": f"{PRIVATE}\u00a0@b",
    "NUL": f"{PRIVATE}\0@b",
    "U+0085": f"{PRIVATE}\x85@b",
    "255 characters": PRIVATE.ljust(253, "x") + "@b",
    "254 characters whose key has over 1,500 bytes": "\u3316" * 252 + "@b",
    "a number": 7,
    "a list": [f"{PRIVATE}@b"],
}
_HASHES: dict[str, Any] = {
    "a password": PRIVATE,
    "nothing": "",
    "no algorithm": f"$${PRIVATE}",
    "capitals in the algorithm": f"$Argon2${PRIVATE}",
    "a space": f"$x${PRIVATE} y",
    "513 characters": f"$x${PRIVATE}".ljust(513, "y"),
    "a letter beyond ASCII": f"$x${PRIVATE}é",
    "a line break at its end": f"$x${PRIVATE}\n",
    "a number": 7,
}
_NAMES: dict[str, Any] = {
    "nothing": "",
    "101 characters": PRIVATE.ljust(101, "x"),
    "NUL": f"{PRIVATE}\0",
    "a line break": f"{PRIVATE}\n",
    "DEL": f"{PRIVATE}\x7f",
    "U+009F": f"{PRIVATE}\x9f",
    "a number": 7,
}
_URLS: dict[str, Any] = {
    "nothing": "",
    "no scheme": PRIVATE,
    "a script": f"javascript:{PRIVATE}",
    "data": f"data:text/html,{PRIVATE}",
    "a file": f"file:///{PRIVATE}",
    "no host": "https://",
    "a space": f"https://{PRIVATE} x",
    "a line break": f"https://{PRIVATE}\n",
    "2,049 characters": f"https://{PRIVATE}".ljust(2049, "x"),
    "a number": 7,
}
_IDS = {
    "nothing": "",
    "a dot": ".",
    "two dots": "..",
    "256 characters": PRIVATE.ljust(256, "x"),
    "a slash": f"{PRIVATE}/b",
    "a per cent": f"{PRIVATE}%",
    "NUL": f"{PRIVATE}\0",
    "half an emoji": f"{PRIVATE}\ud83d",
}
_METHODS: dict[str, Any] = {"GET": None, "PUT": {}, "PATCH": {}, "DELETE": None}


def _fields(says: str, loc: list[str | int], body: Any) -> list[Bad]:
    """Return a creation, a replacement and a patch with the same wrong member."""
    return [
        Bad(f"a POST of a user with {says}", 422, loc, lambda b: b.create_user(body)),
        Bad(f"a PUT of a user with {says}", 422, loc, lambda b: b.user("PUT", "ann", body)),
        Bad(f"a PATCH of a user with {says}", 422, loc, lambda b: b.user("PATCH", "ann", body)),
    ]


def _path(method: str, says: str, user_id: str) -> Bad:
    return Bad(f"a {method} of a user id with {says}", 422, _ID, lambda b: b.user(method, user_id, _METHODS[method]))


def _unread(says: str, status: int, body: str, points: str, headers: dict[str, str] | None = None) -> list[Bad]:
    """Return a creation, a replacement and a patch that cannot be read."""
    return [
        Bad(f"a POST of a user with {says}", status, points, lambda b: b.create_user(body, headers)),
        Bad(f"a PUT of a user with {says}", status, points, lambda b: b.user("PUT", "ann", body, headers)),
        Bad(f"a PATCH of a user with {says}", status, points, lambda b: b.user("PATCH", "ann", body, headers)),
    ]


def _tag(method: str, tag: str) -> Bad:
    return Bad(
        f"a {method} of a user with the tag {tag}",
        400,
        "If-Match",
        lambda b: b.user(method, "ann", _METHODS[method], {"if-match": tag}),
    )


USERS = [
    *(row for says, email in _EMAILS.items() for row in _fields(f"an e-mail of {says}", _EMAIL, {"email": email})),
    *(row for says, text in _HASHES.items() for row in _fields(f"a hash of {says}", _HASH, {"password_hash": text})),
    *(
        row
        for says, name in _NAMES.items()
        for row in _fields(f"a name of {says}", _FIRST, {"profile": {"first_name": name}})
    ),
    *(
        row
        for says, url in _URLS.items()
        for row in _fields(f"a URL of {says}", _URL, {"profile": {"avatar_url": url}})
    ),
    *_fields("an id", ["body", "id"], {"id": PRIVATE}),
    *_fields("a time", ["body", "created_at"], {"created_at": PRIVATE}),
    *_fields("an unknown member of the profile", ["body", "profile", "x"], {"profile": {"x": PRIVATE}}),
    *_fields("a profile that is a list", ["body", "profile"], {"profile": [PRIVATE]}),
    *_fields("a body that is a list", ["body"], [PRIVATE]),
    *_unread("half a body", 400, '{"email": "', "JSON"),
    *_unread("no body", 400, "", "empty"),
    *_unread("a text", 415, "{}", "application/json", {"content-type": "text/plain"}),
    Bad("a PUT of a user with an e-mail of null", 422, _EMAIL, lambda b: b.user("PUT", "ann", {"email": None})),
    Bad(
        "a PUT of a user with a profile of null",
        422,
        ["body", "profile"],
        lambda b: b.user("PUT", "ann", {"profile": None}),
    ),
    *(_path(method, says, user_id) for method in _METHODS for says, user_id in _IDS.items()),
    Bad("an export of a user id with two dots", 422, _ID, lambda b: b.export("..")),
    Bad("a dry run of a user id with two dots", 422, _ID, lambda b: b.count_user("..")),
    *(_tag(method, tag) for method in ("PUT", "PATCH", "DELETE") for tag in ("*", 'W/"1f"', '"7.1f"', '"1","2"', "1f")),
    Bad("a PATCH of an unknown user", 404, "user", lambda b: b.user("PATCH", "ann", {"email": f"{PRIVATE}@b"})),
    Bad(
        "a PUT of an unknown user with a tag", 412, "If-Match", lambda b: b.user("PUT", "ann", {}, {"if-match": '"1"'})
    ),
    Bad("a read of an unknown user", 404, "user", lambda b: b.user("GET", "ann")),
    Bad("an export of an unknown user", 404, "user", lambda b: b.export("ann")),
    Bad("an erasure of an unknown user", 404, "user", lambda b: b.user("DELETE", "ann")),
    Bad("a dry run of an unknown user", 404, "user", lambda b: b.count_user("ann")),
    Bad("a creation with two keys", 400, "Idempotency-Key", lambda b: b.create_user({}, {"idempotency-key": "a,b"})),
    Bad("an empty export cursor", 422, _CURSOR, lambda b: b.export("ann", cursor="")),
    Bad("a page of 0 users", 422, ["query", "limit"], lambda b: b.users(limit=0)),
    Bad("a page of 101 users", 422, ["query", "limit"], lambda b: b.users(limit=101)),
    Bad("a cursor of users that is a word", 422, _CURSOR, lambda b: b.users(cursor=PRIVATE)),
    Bad("a list of an e-mail without an at sign", 422, ["query", "email"], lambda b: b.users(email=PRIVATE)),
    Bad("a list of an e-mail with a limit", 422, ["query", "limit"], lambda b: b.users(email="a@b", limit=1)),
    Bad("two dry runs", 422, ["query", "dry_run"], other("edit_user_erase", "dry_run=true&dry_run=true")),
]
