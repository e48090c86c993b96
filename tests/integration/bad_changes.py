"""Bad requests that change, erase or list sessions. The session `kept` has two turns."""

import json

from tests.integration.edge import Bad, nested, other
from tests.support.private_text import PRIVATE

_NEW = {"user_message": PRIVATE, "robot_response": PRIVATE}
_ITEMS: list[str | int] = ["body", "items"]
_LIMIT: list[str | int] = ["query", "limit"]
_AFTER: list[str | int] = ["query", "after"]
_SEQ: list[str | int] = ["path", "seq"]
_USER: list[str | int] = ["body", "user_id"]
_LISTED: list[str | int] = ["query", "user_id"]
_CURSOR: list[str | int] = ["query", "cursor"]
_METADATA: list[str | int] = ["query", "metadata"]
_PATH: list[str | int] = ["query", "path"]
# 1e308 has 309 digits as it would be stored, and so has more than any session's metadata.
_LONG = json.dumps({f"{n:02}": 1 for n in range(100)}).replace(": 1", ": 1e308")

CHANGES = [
    Bad("a seq of 0", 422, _SEQ, lambda b: b.replace("kept", 0, _NEW)),
    Bad("a seq of 2^31", 422, _SEQ, lambda b: b.replace("kept", 2**31, _NEW)),
    Bad("a seq that is a word", 422, _SEQ, lambda b: b.replace("kept", PRIVATE, _NEW)),
    Bad("a seq with NUL", 422, _SEQ, lambda b: b.replace("kept", "1\0", _NEW)),
    Bad("a slash in the session id of a PUT", 422, ["path", "session_id"], lambda b: b.replace("a/b", 1, _NEW)),
    Bad("a PUT without a body", 400, "empty", lambda b: b.replace("kept", 1, "")),
    Bad("a PUT of a list", 422, ["body"], lambda b: b.replace("kept", 1, [_NEW])),
    Bad("a PUT without a text", 422, ["body", "robot_response"], lambda b: b.replace("kept", 1, {"user_message": ""})),
    Bad(
        "a PUT of a personality",
        422,
        ["body", "robot_personality"],
        lambda b: b.replace("kept", 1, _NEW | {"robot_personality": PRIVATE}),
    ),
    Bad("items of null in a PUT", 422, _ITEMS, lambda b: b.replace("kept", 1, _NEW | {"items": None})),
    Bad("a text in the items of a PUT", 422, [*_ITEMS, 0], lambda b: b.replace("kept", 1, _NEW | {"items": [PRIVATE]})),
    Bad("201 items in a PUT", 422, _ITEMS, lambda b: b.replace("kept", 1, _NEW | {"items": [{}] * 201})),
    Bad(
        "items of 257 KiB in a PUT",
        422,
        _ITEMS,
        lambda b: b.replace("kept", 1, _NEW | {"items": [{"a": PRIVATE + "x" * 257 * 1024}]}),
    ),
    Bad(
        "items of 200 KiB of JSON that are stored as 300 KiB",
        422,
        _ITEMS,
        lambda b: b.replace("kept", 1, json.dumps(_NEW | {"items": [{"a": [0] * 100_000}]}, separators=(",", ":"))),
    ),
    Bad(
        "NUL in the items of a PUT",
        422,
        [*_ITEMS, 0, "a"],
        lambda b: b.replace("kept", 1, _NEW | {"items": [{"a": f"{PRIVATE}\0"}]}),
    ),
    Bad(
        "items of a PUT that are nested too deep",
        422,
        [*_ITEMS, 0, "a", "a", 0, "a", 0],
        lambda b: b.replace("kept", 1, _NEW | {"items": [{"a": nested(64)}]}),
    ),
    Bad(
        "another interaction of the turn",
        422,
        ["body", "interaction"],
        lambda b: b.replace(
            "kept", 2, _NEW | {"interaction": {"interaction_type": PRIVATE, "duration_ms": 1, "success": True}}
        ),
    ),
    Bad("a PUT to an unknown session", 404, "session", lambda b: b.replace("nowhere", 1, _NEW)),
    Bad("a PUT to an unknown seq", 404, "seq", lambda b: b.replace("kept", 3, _NEW)),
    Bad("a PUT with a stale tag", 412, "If-Match", lambda b: b.replace("kept", 1, _NEW, {"if-match": '"1"'})),
    Bad("a PUT with a weak tag", 400, "If-Match", lambda b: b.replace("kept", 1, _NEW, {"if-match": 'W/"2"'})),
    Bad("a PUT as text", 415, "application/json", lambda b: b.replace("kept", 1, _NEW, {"content-type": "text/plain"})),
    Bad("a PATCH of null", 422, ["body"], lambda b: b.patch("kept", "null")),
    Bad(
        "a PATCH of user_metadata as null",
        422,
        ["body", "user_metadata"],
        lambda b: b.patch("kept", '{"user_metadata":null}'),
    ),
    Bad("a PATCH of an empty user", 422, _USER, lambda b: b.patch("kept", {"user_id": ""})),
    Bad("a PATCH of a user of 256 characters", 422, _USER, lambda b: b.patch("kept", {"user_id": PRIVATE.ljust(256)})),
    Bad("a PATCH of a user with DEL", 422, _USER, lambda b: b.patch("kept", {"user_id": PRIVATE + "\x7f"})),
    Bad("a PATCH of a user with NUL", 422, _USER, lambda b: b.patch("kept", {"user_id": PRIVATE + "\0"})),
    Bad("a PATCH of a user that is a number", 422, _USER, lambda b: b.patch("kept", {"user_id": 7})),
    Bad("a PATCH of the time", 422, ["body", "created_at"], lambda b: b.patch("kept", {"created_at": PRIVATE})),
    Bad(
        "a PATCH over 16 KiB once merged",
        422,
        ["body", "user_metadata"],
        lambda b: b.patch("kept", {"user_metadata": {PRIVATE: "x" * 9000}}),
    ),
    Bad("a PATCH with a stale tag", 412, "If-Match", lambda b: b.patch("kept", {}, {"if-match": '"0"'})),
    Bad(
        "a PATCH of a new session with a tag", 412, "If-Match", lambda b: b.patch("nowhere", {}, {"if-match": '"0.1f"'})
    ),
    Bad("a removal without after", 422, _AFTER, other("edit_session_remove", "")),
    Bad("a removal after -1", 422, _AFTER, lambda b: b.remove("kept", -1)),
    Bad("a removal after 2^31", 422, _AFTER, lambda b: b.remove("kept", 2**31)),
    Bad("a removal with two afters", 422, _AFTER, other("edit_session_remove", "after=1&after=1")),
    Bad("a removal from an unknown session", 404, "session", lambda b: b.remove("nowhere", 0)),
    Bad("a removal with a stale tag", 412, "If-Match", lambda b: b.remove("kept", 0, {"if-match": '"1"'})),
    Bad("a removal with any tag", 400, "If-Match", lambda b: b.remove("kept", 0, {"if-match": "*"})),
    Bad("an erasure of an unknown session", 404, "session", lambda b: b.erase("nowhere")),
    Bad("an erasure with a stale tag", 412, "If-Match", lambda b: b.erase("kept", {"if-match": '"1"'})),
    Bad("an erasure of turns", 422, _AFTER, other("edit_session_erase", "after=0")),
    Bad("a list of 0 sessions", 422, _LIMIT, lambda b: b.sessions(limit=0)),
    Bad("a list of 101 sessions", 422, _LIMIT, lambda b: b.sessions(limit=101)),
    Bad("a list of an empty user", 422, _LISTED, lambda b: b.sessions(user_id="")),
    Bad("a list of a user with NUL", 422, _LISTED, lambda b: b.sessions(user_id=f"{PRIVATE}\0")),
    Bad("half an emoji as the user of a list", 422, _LISTED, other("read_session_list", "user_id=\ud83d")),
    Bad("a list by no JSON", 422, _METADATA, lambda b: b.sessions(metadata=PRIVATE)),
    Bad("a list by an array", 422, _METADATA, lambda b: b.sessions(metadata=json.dumps([PRIVATE]))),
    Bad("a list by an empty object", 422, _METADATA, lambda b: b.sessions(metadata="{}")),
    Bad("a list by NUL", 422, _METADATA, lambda b: b.sessions(metadata=json.dumps({"a": f"{PRIVATE}\0"}))),
    Bad("a list by half an emoji", 422, _METADATA, lambda b: b.sessions(metadata=json.dumps({PRIVATE: "\ud83d"}))),
    Bad("a list by 2,001 characters", 422, _METADATA, lambda b: b.sessions(metadata=json.dumps({"a": "x" * 1992}))),
    Bad("a list by 100 numbers of 309 digits", 422, _METADATA, lambda b: b.sessions(metadata=_LONG)),
    Bad("a list by an empty path", 422, _PATH, lambda b: b.sessions(path="")),
    Bad("a list by a word", 422, _PATH, lambda b: b.sessions(path=PRIVATE)),
    Bad("a list by a path of 501 characters", 422, _PATH, lambda b: b.sessions(path=f"$.{'a' * 494} == 1")),
    Bad("a list by a path with NUL", 422, _PATH, lambda b: b.sessions(path=f'$.{PRIVATE} == "\0"')),
    Bad("a list by a range", 422, _PATH, lambda b: b.sessions(path=f"$.{PRIVATE} > 70")),
    Bad("a list by a regular expression", 422, _PATH, lambda b: b.sessions(path=f'$.a like_regex "{PRIVATE}"')),
    Bad("a preview of 1", 422, ["query", "preview"], lambda b: b.sessions(preview=1)),
    Bad("an empty cursor", 422, _CURSOR, lambda b: b.sessions(cursor="")),
    Bad("a cursor that is a word", 422, _CURSOR, lambda b: b.sessions(cursor=PRIVATE)),
    Bad("a cursor with NUL", 422, _CURSOR, lambda b: b.sessions(cursor="a\0")),
    Bad("a cursor of 1001 characters", 422, _CURSOR, lambda b: b.sessions(cursor="x" * 1001)),
    Bad("a cursor of digits", 422, _CURSOR, lambda b: b.sessions(cursor="0")),
    Bad("half an emoji as a cursor", 422, _CURSOR, other("read_session_list", "cursor=\ud83d")),
]
