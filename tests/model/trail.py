"""The audit trail of the model: the entry that each request leaves, and what is stored of it.

An operation that was done leaves one entry, in its transaction. A request that changed nothing leaves none, and neither
does a write of turns. An export leaves one for each page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

import psycopg

from tests.model.answer import MismatchError
from tests.model.request import (
    AUDIT,
    ERASE,
    ERASE_USER,
    EXPORT,
    PATCH,
    PATCH_USER,
    POST_USER,
    PUT,
    PUT_USER,
    REMOVE,
    Request,
    send,
)
from tests.model.store import Json, Session, Store
from tests.support.bundle import Reply

# The subject of the token of a service.
SERVICE = "service"
_STORED: LiteralString = """
select l.request_id, l.table_name, l.record_id, l.action, l.old_data, l.new_data, l.user_id
from robot_brain.audit_logs l where l.tenant_id = %s order by l.id
"""
_CHAIN: LiteralString = """
select v.last, v.broken, v.late, h.n, v.last_hash = h.hash, (
  select count(*) from robot_brain.audit_logs l where l.tenant_id = %(tenant)s
)
from robot_brain.verify_audit(%(tenant)s, 0, '', null, 1000000) v
left join robot_brain.audit_heads h on h.tenant_id = %(tenant)s
"""


class Audited(NamedTuple):
    """One entry, without its id, its time and its place in the chain."""

    table_name: str
    record_id: str
    action: str
    old_data: Json | None
    new_data: Json | None
    actor: str | None


def audited(before: Store, request: Request, reply: Reply, after: Store) -> list[Audited]:
    """Return the entries that a request leaves that made `after` of `before`."""
    actor = request.user or SERVICE
    if request.route == EXPORT:
        return [Audited("users", request.user_id, "EXPORT", None, _page(request, reply), actor)] * (reply.status == 200)
    if "{user_id}" in request.route or request.route == POST_USER:
        return [Audited(*facts, actor) for facts in _of_user(before, request, after)]
    was, is_ = before.sessions.get(request.session_id), after.sessions.get(request.session_id)
    return [Audited(*facts, actor) for facts in _of_session(was, request, is_)]


Facts = tuple[str, str, str, Json | None, Json | None]


def _of_session(was: Session | None, request: Request, is_: Session | None) -> list[Facts]:
    id = request.session_id
    if request.route == ERASE and was is not None and is_ is None:
        return [("sessions", id, "ERASE", {"user_id": was.user_id, "message_count": len(was.turns)}, None)]
    if is_ is None:
        return []
    if request.route == PATCH and was is None and is_.user_id is not None:
        return [("sessions", id, "INSERT", None, {"user_id": is_.user_id})]
    if was is None:
        return []
    if request.route == PATCH and was.user_id != is_.user_id:
        return [("sessions", id, "UPDATE", {"user_id": was.user_id}, {"user_id": is_.user_id})]
    removed = len(was.turns) - len(is_.turns)
    if request.route == REMOVE and removed:
        counts = {"message_count": len(is_.turns), "removed": removed, "after": request.query["after"]}
        return [("conversations", id, "DELETE", {"message_count": len(was.turns)}, counts)]
    old, new = was.turn(request.seq), is_.turn(request.seq)
    if request.route == PUT and old is not None and new is not None and old != new:
        names = ("user_message", "robot_response", "metadata", "items", "interaction")
        changed = [name for name in names if getattr(old, name) != getattr(new, name)]
        states = [{"seq": turn.seq, "updated_at": turn.updated_at} for turn in (old, new)]
        return [("conversations", id, "UPDATE", states[0], {**states[1], "changed": changed})]
    return []


def _of_user(before: Store, request: Request, after: Store) -> list[Facts]:
    id = request.user_id
    if request.route == ERASE_USER:
        sessions = before.of_user(id)
        if not (id in before.users or sessions) or id in after.users or after.of_user(id):
            return []
        messages = sum(len(session.turns) for session in sessions.values())
        return [
            ("users", id, "ERASE", {"user": id in before.users, "sessions": len(sessions), "messages": messages}, None)
        ]
    if request.route == POST_USER:
        made = [user for user in after.users if user not in before.users]
        return [
            ("users", each, "INSERT", None, {"fields": sorted(fields(after.users[each].document))}) for each in made
        ]
    if request.route not in (PUT_USER, PATCH_USER) or id not in after.users:
        return []
    new = fields(after.users[id].document)
    if id not in before.users:
        return [("users", id, "INSERT", None, {"fields": sorted(new)})]
    old = fields(before.users[id].document)
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if not changed:
        return []
    table = "user_profiles" if all(name.startswith("profile.") for name in changed) else "users"
    return [(table, id, "UPDATE", {"fields": sorted(old)}, {"fields": sorted(new), "changed": changed})]


def fields(document: Json) -> Json:
    """Return the members of a user's document as one flat object."""
    profile = {f"profile.{name}": value for name, value in document["profile"].items()}
    return {**{name: value for name, value in document.items() if name != "profile"}, **profile}


def _page(request: Request, reply: Reply) -> Json:
    if reply.status != 200:
        return {}
    said = reply.json
    return {
        "sessions": len(said["sessions"]),
        "turns": len(said["turns"]),
        "first_page": "cursor" not in request.query,
        "last_page": said["page"]["cursor"] is None,
    }


def check_trail(wanted: Sequence[Audited], found: Sequence[Audited]) -> None:
    """Raise MismatchError if a request left other entries than the model says."""
    if list(wanted) != list(found):
        raise MismatchError(f"the audit trail has {list(found)}\n  instead of {list(wanted)}")


def stored_trail(admin: psycopg.Connection, tenant: str) -> dict[str, list[Audited]]:
    """Return the entries of a tenant, by the id of their request."""
    found: dict[str, list[Audited]] = {}
    for request_id, *facts in admin.execute(_STORED, [tenant]).fetchall():
        found.setdefault(str(request_id), []).append(Audited(*facts))
    return found


def listed_trail(**query: Any) -> list[Audited]:
    """Return the entries that a service finds if it follows the cursors of GET /audit, newest first."""
    found: list[Audited] = []
    cursor: Json = {}
    while True:
        page = send(Request(AUDIT, query={**query, **cursor})).json
        found += [
            Audited(*(each[name] for name in ("table_name", "record_id", "action", "old_data", "new_data", "user_id")))
            for each in page["entries"]
        ]
        if page["page"]["cursor"] is None:
            return found
        cursor = {"cursor": page["page"]["cursor"]}


def check_chain(admin: psycopg.Connection, tenant: str) -> int:
    """Raise MismatchError unless all entries of a tenant are in its chain, unchanged. Return how many there are."""
    with admin.transaction():
        admin.execute("set local role robot_brain_audit")
        row: Any = admin.execute(_CHAIN, {"tenant": tenant}).fetchone()
    last, broken, late, head, is_at_head, count = row
    if (last, head or 0, broken, late) != (count, count, None, 0) or not (is_at_head or count == 0):
        raise MismatchError(
            f"{count} entries, a chain of {last} that is broken at {broken}, {late} late, a head {head}"
        )
    return int(count)
