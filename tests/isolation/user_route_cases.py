"""For each route of users, the requests that use what a caller knows of a person of another tenant."""

from __future__ import annotations

from tests.isolation.person import Person
from tests.isolation.route_cases import WRONG, RouteCase


def _tag(person: Person) -> dict[str, str]:
    return {"if-match": f'"{person.version}"'}


def _key(person: Person) -> dict[str, str]:
    return {"idempotency-key": person.key}


def _copy(person: Person) -> dict[str, str]:
    return {"if-none-match": f'"{person.version}"'}


ANY = {"if-none-match": "*"}

# The asker's own user is `own`.
USER_ROUTE_CASES: dict[str, list[RouteCase]] = {
    "POST /users": [
        RouteCase("its body again", lambda a, p: a.create_user(p.document)),
        RouteCase("its key and its body", lambda a, p: a.create_user(p.document, _key(p))),
        RouteCase("its key and another body", lambda a, p: a.create_user({}, _key(p))),
    ],
    "PUT /users/{user_id}": [
        RouteCase("its body again", lambda a, p: a.user("PUT", p.id, p.document)),
        RouteCase("an empty body with its tag", lambda a, p: a.user("PUT", p.id, {}, _tag(p))),
        RouteCase("its e-mail for another user", lambda a, p: a.user("PUT", "own", {"email": p.email.upper()})),
    ],
    "PATCH /users/{user_id}": [
        RouteCase("an empty patch", lambda a, p: a.user("PATCH", p.id, {})),
        RouteCase("an empty patch with its tag", lambda a, p: a.user("PATCH", p.id, {}, _tag(p))),
        RouteCase("its profile removed", lambda a, p: a.user("PATCH", p.id, {"profile": None})),
        RouteCase("its e-mail for another user", lambda a, p: a.user("PATCH", "own", {"email": p.email})),
    ],
    "DELETE /users/{user_id}": [
        RouteCase("a dry run", lambda a, p: a.count_user(p.id)),
        RouteCase("an erasure", lambda a, p: a.user("DELETE", p.id)),
        RouteCase("its tag", lambda a, p: a.user("DELETE", p.id, None, _tag(p))),
        RouteCase("a wrong state as If-Match", lambda a, p: a.user("DELETE", p.id, None, WRONG)),
    ],
    "GET /users/{user_id}": [
        RouteCase("the user", lambda a, p: a.user("GET", p.id)),
        RouteCase("its tag in If-None-Match", lambda a, p: a.user("GET", p.id, None, _copy(p))),
        RouteCase("any tag in If-None-Match", lambda a, p: a.user("GET", p.id, None, ANY)),
    ],
    "GET /users/{user_id}/export": [
        RouteCase("its first page", lambda a, p: a.export(p.id)),
        RouteCase("its cursor", lambda a, p: a.export(p.id, cursor=p.export_cursor)),
        RouteCase("a page after its place", lambda a, p: a.export(p.id, cursor=p.asker_cursor)),
        RouteCase("its cursor for another user", lambda a, p: a.export("own", cursor=p.export_cursor)),
    ],
    "GET /audit": [
        RouteCase("all entries", lambda a, p: a.audit(limit=100)),
        RouteCase("its entries", lambda a, p: a.audit(record=p.id)),
        RouteCase("the entries of its session", lambda a, p: a.audit(record=p.session_id)),
        RouteCase("what its actor did", lambda a, p: a.audit(user=p.actor)),
        RouteCase("two filters that exclude each other", lambda a, p: a.audit(record=p.id, user=p.actor)),
        RouteCase("the entries since its first one", lambda a, p: a.audit(**{"from": p.since})),
        RouteCase("the entries before its first one", lambda a, p: a.audit(to=p.since)),
        RouteCase("its cursor", lambda a, p: a.audit(cursor=p.audit_cursor)),
        RouteCase("a page after its place", lambda a, p: a.audit(cursor=p.asker_audit_cursor, limit=100)),
    ],
    "GET /users": [
        RouteCase("its e-mail", lambda a, p: a.users(email=p.email.upper())),
        RouteCase("a page after its place", lambda a, p: a.users(cursor=p.list_cursor)),
        RouteCase("all users", lambda a, p: a.users(limit=100)),
    ],
}
