"""The requests of the API. Each function returns the call for one route."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_members
from typing import Any
from urllib.parse import quote

from robot_brain_client.answers import Answer, Call

Tag = str | Answer[Any] | None
"""A state: an entity tag, or an answer that has one."""


def write(session_id: str, body: Mapping[str, Any], key: str | None, if_match: Tag) -> Call:
    """POST /sessions/{session_id}/messages. Without a key it gets one, so that a repeat writes nothing."""
    return _post(f"/sessions/{_part(session_id)}/messages", body, key, if_match)


def replace(session_id: str, seq: int, body: Mapping[str, Any], if_match: Tag) -> Call:
    """PUT /sessions/{session_id}/messages/{seq}."""
    return _change("PUT", f"/sessions/{_part(session_id)}/messages/{seq}", if_match, body)


def remove(session_id: str, after: int, if_match: Tag) -> Call:
    """DELETE /sessions/{session_id}/messages."""
    return _change("DELETE", f"/sessions/{_part(session_id)}/messages", if_match, query={"after": after})


def read(session_id: str, query: Mapping[str, Any], if_none_match: Tag = None) -> Call:
    """GET /sessions/{session_id}."""
    tag = _tag(if_none_match)
    return get(f"/sessions/{_part(session_id)}", query, {"if-none-match": tag} if tag else {})


def edit_session(session_id: str, body: Mapping[str, Any], if_match: Tag) -> Call:
    """PATCH /sessions/{session_id}."""
    return _change("PATCH", f"/sessions/{_part(session_id)}", if_match, body)


def erase_session(session_id: str, if_match: Tag) -> Call:
    """DELETE /sessions/{session_id}. It may be repeated: a session that is gone stays gone."""
    return _erase(f"/sessions/{_part(session_id)}", if_match)


def create_user(body: Mapping[str, Any], key: str | None) -> Call:
    """POST /users."""
    return _post("/users", body, key, None)


def replace_user(user_id: str, body: Mapping[str, Any], if_match: Tag) -> Call:
    """PUT /users/{user_id}."""
    return _change("PUT", user_path(user_id), if_match, body)


def patch_user(user_id: str, body: Mapping[str, Any], if_match: Tag) -> Call:
    """PATCH /users/{user_id}."""
    return _change("PATCH", user_path(user_id), if_match, body)


def read_user(user_id: str, if_none_match: Tag = None) -> Call:
    """GET /users/{user_id}."""
    tag = _tag(if_none_match)
    return get(user_path(user_id), {}, {"if-none-match": tag} if tag else {})


def erase_user(user_id: str, if_match: Tag, dry_run: bool = False) -> Call:
    """DELETE /users/{user_id}."""
    return _erase(user_path(user_id), if_match, {"dry_run": dry_run or None})


def get(path: str, query: Mapping[str, Any], headers: dict[str, str] | None = None) -> Call:
    """GET a path. It can always be repeated."""
    return Call("GET", path, _query(query), headers or {}, None, repeatable=True)


def once(call: Call) -> Call:
    """Return the call as one that is not repeated while its outcome is unknown."""
    return replace_members(call, repeatable=False)


def user_path(user_id: str) -> str:
    """Return the path of a user."""
    return f"/users/{_part(user_id)}"


def _post(path: str, body: Mapping[str, Any], key: str | None, if_match: Tag) -> Call:
    headers = {"idempotency-key": key or uuid.uuid4().hex, **_condition(if_match)}
    return Call("POST", path, (), headers | _JSON, _bytes(body), repeatable=True)


def _change(
    method: str, path: str, if_match: Tag, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
) -> Call:
    condition = _condition(if_match)
    headers = condition if body is None else condition | _JSON
    # Only a whole tag lets a change happen once. The last seq alone may still be true after the first attempt.
    whole = "." in condition.get("if-match", "")
    return Call(method, path, _query(query or {}), headers, None if body is None else _bytes(body), repeatable=whole)


def _erase(path: str, if_match: Tag, query: Mapping[str, Any] | None = None) -> Call:
    return Call("DELETE", path, _query(query or {}), _condition(if_match), None, repeatable=True)


_JSON = {"content-type": "application/json"}


def _bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


def _part(text: str) -> str:
    """Return an id as a part of a path. Raises ValueError for one that would make another path."""
    if text in ("", ".", "..") or "/" in text:
        raise ValueError(f"An id is not empty, '.' or '..' and has no '/': {text!r}")
    return quote(text, safe="-_.~")


def _query(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the parameters that have a value: objects as JSON, lists with commas."""
    return tuple((name, _text(value)) for name, value in values.items() if value is not None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)


def _tag(state: Tag) -> str | None:
    return state.etag if isinstance(state, Answer) else state


def _condition(state: Tag) -> dict[str, str]:
    if isinstance(state, Answer) and state.etag is None:
        raise ValueError("This answer has no entity tag: read the session or user for its present one")
    tag = _tag(state)
    return {} if tag is None else {"if-match": tag}
