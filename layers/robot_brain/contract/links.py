"""Links: what an answer gives to a following request. A stateful test and an API browser follow them.

A link with `If-Match` or `If-None-Match` depends on the state of the answer. Any other link works in every state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contract.json_schema import Json

# Expressions of OpenAPI.
_SESSION = "$request.path.session_id"
_USER = "$request.path.user_id"
_ETAG = "$response.header.ETag"
_CURSOR = "$response.body#/page/cursor"


@dataclass(frozen=True)
class Link:
    """A link to the operation `target`. The values of its parameters are expressions or constant texts."""

    target: str
    description: str
    parameters: dict[str, str] = field(default_factory=dict)


def _of_session(session: str = _SESSION, *, etag: bool) -> dict[str, Link]:
    """Return the links of an answer about one session."""
    of_one = {"session_id": session}
    found = {
        "read": Link("read_session", "The session's newest turns.", of_one),
        "append": Link("write_message", "Append turns to the session.", of_one),
        "edit": Link("edit_session", "Change the session.", of_one),
        "erase": Link("erase_session", "Erase the session.", of_one),
        "removeAll": Link("remove_turns", "Remove every turn of the session.", of_one | {"after": "0"}),
        "figures": Link("stats", "The session's figures.", of_one),
        "search": Link("search", "Search in the session.", of_one),
    }
    if etag:
        found["readIfChanged"] = Link(
            "read_session", "304 unless the session changed.", of_one | {"If-None-Match": _ETAG}
        )
        found["appendIfSame"] = Link(
            "write_message", "Append turns unless the session changed.", of_one | {"If-Match": _ETAG}
        )
        found["editIfSame"] = Link(
            "edit_session", "Change the session unless it changed.", of_one | {"If-Match": _ETAG}
        )
    return found


def _of_user(user: str = _USER, *, etag: bool) -> dict[str, Link]:
    """Return the links of an answer about one user."""
    of_one = {"user_id": user}
    found = {
        "read": Link("read_user", "The user.", of_one),
        "patch": Link("patch_user", "Change a part of the user.", of_one),
        "erase": Link("erase_user", "Erase the person.", of_one),
        "countFirst": Link("erase_user", "Count what an erasure would delete.", of_one | {"dry_run": "true"}),
        "export": Link("export_user", "All that is held about the person.", of_one),
        "sessions": Link("list_sessions", "The user's sessions.", of_one),
        "audit": Link("read_audit", "The entries about the user.", {"record": user}),
    }
    if etag:
        found["readIfChanged"] = Link("read_user", "304 unless the user changed.", of_one | {"If-None-Match": _ETAG})
        found["replaceIfSame"] = Link(
            "replace_user", "Replace the user unless it changed.", of_one | {"If-Match": _ETAG}
        )
    return found


def _of_turn(seq: str) -> dict[str, Link]:
    """Return the links of an answer with a turn's seq."""
    turn = {"session_id": _SESSION, "seq": seq}
    return {
        "replace": Link("replace_turn", "Replace the turn.", turn),
        "replaceIfSame": Link(
            "replace_turn", "Replace the turn unless the session changed.", turn | {"If-Match": _ETAG}
        ),
        "removeLater": Link("remove_turns", "Remove the turns above this one.", {"session_id": _SESSION, "after": seq}),
    }


_STORED_USER = _of_user(etag=True)

# By operation and status.
LINKS: dict[tuple[str, int], dict[str, Link]] = {
    ("write_message", 201): _of_session(etag=True) | _of_turn("$response.body#/last_seq"),
    ("read_session", 200): {
        "older": Link(
            "read_session",
            "The page before this one. No such page if `before` is null.",
            {"session_id": _SESSION, "before": "$response.body#/page/before"},
        ),
        "newer": Link(
            "read_session",
            "The page after this one, also for turns that are written later.",
            {"session_id": _SESSION, "after": "$response.body#/page/after"},
        ),
        **_of_session(etag=True),
        **_of_turn("$response.body#/messages/0/seq"),
    },
    ("replace_turn", 200): _of_session(etag=True),
    ("remove_turns", 200): _of_session(etag=True),
    ("edit_session", 200): _of_session(etag=True),
    ("erase_session", 202): {
        "goOn": Link("erase_session", "Go on with the erasure.", {"session_id": _SESSION}),
    },
    ("erase_session", 204): {
        "read": Link("read_session", "404, until a write creates the session again.", {"session_id": _SESSION}),
        "append": Link("write_message", "Create the session again.", {"session_id": _SESSION}),
    },
    ("list_sessions", 200): {
        "next": Link("list_sessions", "The next page. No such page if `cursor` is null.", {"cursor": _CURSOR}),
        **_of_session("$response.body#/sessions/0/id", etag=False),
    },
    ("search", 200): {
        "next": Link(
            "search",
            "The next page. No such page if `cursor` is null.",
            {"q": "$request.query.q", "cursor": _CURSOR},
        ),
        "context": Link(
            "read_session",
            "The turns after the first hit.",
            {"session_id": "$response.body#/hits/0/session_id", "after": "$response.body#/hits/0/seq"},
        ),
    },
    ("create_user", 201): _of_user("$response.body#/id", etag=True),
    ("replace_user", 200): _STORED_USER,
    ("replace_user", 201): _STORED_USER,
    ("patch_user", 200): _STORED_USER,
    ("read_user", 200): _STORED_USER,
    ("list_users", 200): {
        "next": Link("list_users", "The next page. No such page if `cursor` is null.", {"cursor": _CURSOR}),
        **_of_user("$response.body#/users/0/id", etag=False),
    },
    ("export_user", 200): {
        "next": Link(
            "export_user",
            "The next page. No such page if `cursor` is null.",
            {"user_id": _USER, "cursor": _CURSOR},
        ),
        "erase": Link("erase_user", "Erase the person.", {"user_id": _USER}),
    },
    ("erase_user", 200): {"erase": Link("erase_user", "Erase the person.", {"user_id": _USER})},
    ("erase_user", 202): {"goOn": Link("erase_user", "Go on with the erasure.", {"user_id": _USER})},
    ("erase_user", 204): {
        "read": Link("read_user", "404, until the user is created again.", {"user_id": _USER}),
        "create": Link("replace_user", "Create the user again.", {"user_id": _USER}),
    },
    ("read_audit", 200): {
        "next": Link("read_audit", "The next page. No such page if `cursor` is null.", {"cursor": _CURSOR}),
    },
}


def links_of(operation: str, status: int) -> Json:
    """Return the links of an operation's answer as they are in the document."""
    return {
        name: {"operationId": link.target, "description": link.description, "parameters": link.parameters}
        for name, link in LINKS.get((operation, status), {}).items()
    }
