"""Requests that change, erase or list sessions, each with its route and the status of its answer."""

from tests.integration.edge import Send, other
from tests.support.bundle import turn

WRITE = "POST /sessions/{session_id}/messages"
READ = "GET /sessions/{session_id}"
REPLACE = "PUT /sessions/{session_id}/messages/{seq}"
PATCH = "PATCH /sessions/{session_id}"
REMOVE = "DELETE /sessions/{session_id}/messages"
ERASE = "DELETE /sessions/{session_id}"
LIST = "GET /sessions"
# The event of each route whose name is not that of the route.
EVENT_OF = {
    "replace_turn": "write_message_replace",
    "erase_session": "edit_session_erase",
    "remove_turns": "edit_session_remove",
    "list_sessions": "read_session_list",
    "database_health": "stats_database_health",
}

REPLACEMENT = {"user_message": "edited", "robot_response": ""}
# Sent in this order to a database in which the session `s` has three turns.
CHANGES_AND_LISTS: list[tuple[str, int, Send]] = [
    (REPLACE, 200, lambda b: b.replace("s", 1, REPLACEMENT)),
    (REPLACE, 200, lambda b: b.replace("s", 3, REPLACEMENT | {"items": [{"a": None}]})),
    (REPLACE, 400, lambda b: b.replace("s", 1, "{")),
    (REPLACE, 404, lambda b: b.replace("s", 99, REPLACEMENT)),
    (REPLACE, 404, lambda b: b.replace("unknown", 1, REPLACEMENT)),
    (REPLACE, 412, lambda b: b.replace("s", 1, REPLACEMENT, {"if-match": '"99"'})),
    (REPLACE, 413, lambda b: b.replace("s", 1, " " * (4 * 1024 * 1024 + 1))),
    (REPLACE, 415, lambda b: b.replace("s", 1, REPLACEMENT, {"content-type": "text/plain"})),
    (REPLACE, 422, lambda b: b.replace("s", 1, {"x": 1})),
    (REPLACE, 422, lambda b: b.replace("s", 0, REPLACEMENT)),
    (PATCH, 200, lambda b: b.patch("s", {"user_metadata": {"a": {"b": None}}, "user_id": "u"})),
    (PATCH, 200, lambda b: b.patch("new", {})),
    (PATCH, 400, lambda b: b.patch("s", "{")),
    (PATCH, 412, lambda b: b.patch("s", {}, {"if-match": '"99"'})),
    (PATCH, 412, lambda b: b.patch("unknown", {}, {"if-match": '"99"'})),
    (PATCH, 413, lambda b: b.patch("s", " " * (4 * 1024 * 1024 + 1))),
    (PATCH, 415, lambda b: b.patch("s", {}, {"content-type": "application/merge-patch+json"})),
    (PATCH, 422, lambda b: b.patch("s", {"user_id": ""})),
    (LIST, 200, lambda b: b.sessions()),
    (LIST, 200, lambda b: b.sessions(limit=1, preview="true", user_id="u")),
    (LIST, 400, other("read_session_list", "%")),
    (LIST, 422, lambda b: b.sessions(metadata="{}")),
    (LIST, 422, lambda b: b.sessions(cursor="x")),
    (REMOVE, 200, lambda b: b.remove("s", 1)),
    (REMOVE, 400, lambda b: b.remove("s", 0, {"if-match": "*"})),
    (REMOVE, 404, lambda b: b.remove("unknown", 0)),
    (REMOVE, 412, lambda b: b.remove("s", 0, {"if-match": '"99"'})),
    (REMOVE, 422, lambda b: b.remove("s", -1)),
    (READ, 200, lambda b: b.read("new")),
    (ERASE, 400, lambda b: b.erase("new", {"if-match": "*"})),
    (ERASE, 412, lambda b: b.erase("new", {"if-match": '"99"'})),
    (ERASE, 422, other("edit_session_erase", "page=1")),
    (WRITE, 201, lambda b: b.write("new", turn(), {"idempotency-key": "of new"})),
    (ERASE, 204, lambda b: b.erase("new")),
    (ERASE, 404, lambda b: b.erase("new")),
    (WRITE, 410, lambda b: b.write("new", turn(), {"idempotency-key": "of new"})),
]
UNSERVED_CHANGES: list[tuple[str, Send]] = [
    (REPLACE, lambda b: b.replace("s", 1, REPLACEMENT)),
    (PATCH, lambda b: b.patch("s", {})),
    (REMOVE, lambda b: b.remove("s", 0)),
    (ERASE, lambda b: b.erase("s")),
    (LIST, lambda b: b.sessions()),
]
