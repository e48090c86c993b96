"""Each request for a user x each state of the user: what it answers, and that a refusal changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.model.request import (
    DRY_RUN,
    ERASE_USER,
    EXPORT,
    GET_USER,
    KNOWS_CALLERS,
    LIST_USERS,
    PATCH_USER,
    POST_USER,
    PUT_USER,
    Request,
    send,
)
from tests.model.states import Tags, stored
from tests.model.states_of_users import DOCUMENT, EMAIL, OTHER, STATES_OF_USERS, TAKER, USER
from tests.model.store import Json
from tests.model.tables import Cell, cells
from tests.support.bundle import Reply, deployed
from tests.support.servers.databases import Database, Template

# The user has a row and a session in `present`, and had both in `erasing` and `erased`. `without a row` has the session
# alone. The caller is a service or the user itself. `tag` and `wait` are as in tests.model.tables.
TABLE = """
request                          | unknown | without a row | present | erasing  | erased
---------------------------------+---------+---------------+---------+----------+--------
PUT                              | 201 tag | 201 tag       | 200 tag | 409 wait | 201 tag
PUT         If-Match now         | 412     | 412           | 200 tag | 409 wait | 412
PUT         If-Match stale       | 412     | 412           | 412 tag | 409 wait | 412
PUT same                         | 201 tag | 201 tag       | 200 tag | 409 wait | 201 tag
PUT nothing                      | 201 tag | 201 tag       | 200 tag | 409 wait | 201 tag
PUT taken                        | 422     | 422           | 422     | 409 wait | 422
PUT taken   If-Match stale       | 412     | 412           | 412 tag | 409 wait | 412
PATCH                            | 404     | 404           | 200 tag | 409 wait | 404
PATCH       If-Match now         | 404     | 404           | 200 tag | 409 wait | 404
PATCH       If-Match stale       | 404     | 404           | 412 tag | 409 wait | 404
PATCH nothing                    | 404     | 404           | 200 tag | 409 wait | 404
PATCH taken                      | 404     | 404           | 422     | 409 wait | 404
GET                              | 404     | 404           | 200 tag | 404      | 404
GET         If-None-Match *      | 404     | 404           | 304 tag | 404      | 404
GET         If-None-Match now    | 404     | 404           | 304 tag | 404      | 404
GET         If-None-Match weak   | 404     | 404           | 304 tag | 404      | 404
GET         If-None-Match stale  | 404     | 404           | 200 tag | 404      | 404
EXPORT                           | 404     | 200           | 200     | 404      | 404
COUNT                            | 404     | 200           | 200     | 200      | 404
ERASE                            | 404     | 204           | 204     | 204      | 404
ERASE       If-Match now         | 404     | 412           | 204     | 204      | 404
ERASE       If-Match stale       | 404     | 412           | 412 tag | 204      | 404
"""
# Requests of a service for another user, or for all. `PUT its` gives another user the e-mail of this one.
TABLE_OF_SERVICE = """
request     | unknown | without a row | present | erasing | erased
------------+---------+---------------+---------+---------+--------
PUT its     | 201 tag | 201 tag       | 422     | 201 tag | 201 tag
POST its    | 201 tag | 201 tag       | 422     | 201 tag | 201 tag
FIND its    | 200     | 200           | 200     | 200     | 200
LIST        | 200     | 200           | 200     | 200     | 200
"""
BODIES: dict[str, Json] = {
    "": {"email": "new@example.com", "profile": {"last_name": "Lee"}},
    "same": DOCUMENT,
    "nothing": {},
    "taken": {"email": "TAKEN@example.com"},
    "its": {"email": EMAIL.upper()},
}
ROUTES = {
    "PUT": PUT_USER,
    "PATCH": PATCH_USER,
    "GET": GET_USER,
    "EXPORT": EXPORT,
    "COUNT": ERASE_USER,
    "ERASE": ERASE_USER,
    "POST": POST_USER,
    "FIND": LIST_USERS,
    "LIST": LIST_USERS,
}


def request(cell: Cell, tags: Tags) -> Request:
    """Return the request of a row."""
    method, *words = cell.row.split()
    tag = {"now": tags.now, "stale": tags.stale, "weak": f"W/{tags.now}"}.get(words[-1], "*") if words else None
    kind = words[0] if words and words[0] in BODIES else ""
    return Request(
        ROUTES[method],
        user_id="another" if kind == "its" else USER,
        query={"COUNT": DRY_RUN, "FIND": {"email": EMAIL.lower()}}.get(method, {}),
        body=BODIES[kind] if method in ("PUT", "PATCH", "POST") else None,
        if_match=tag if "If-Match" in words else None,
        if_none_match=tag if "If-None-Match" in words else None,
    )


@dataclass
class Stage:
    """A database, and the tenants whose state is already made for the cells that change nothing."""

    database: Database
    made: dict[str, Tags] = field(default_factory=dict)

    def make(self, state: str, tenant: str) -> Tags:
        """Make a state in the present tenant, unless it is there."""
        if tenant not in self.made:
            send(TAKER)
            self.made[tenant] = STATES_OF_USERS[state](self.database, tenant)
        return self.made[tenant]


@pytest.fixture(scope="module")
def stage(embedded_template: Template) -> Iterator[Stage]:
    with embedded_template.clone("embedded") as database:
        yield Stage(database)


def changes(cell: Cell) -> bool:
    """Return whether a cell changes the state, or may do so."""
    return cell.status in (200, 201, 204) and cell.row.split()[0] not in ("GET", "EXPORT", "COUNT", "FIND", "LIST")


# A cell that changes the state is for one caller. The others are for both, one after the other.
CELLS: list[tuple[Cell, tuple[str | None, ...]]] = [
    (cell, callers) for cell in cells(TABLE) for callers in ([(None,), (USER,)] if changes(cell) else [(None, USER)])
]
CELLS += [(cell, (None,)) for cell in cells(TABLE_OF_SERVICE)]


@pytest.mark.parametrize(("cell", "callers"), CELLS, ids=lambda value: getattr(value, "name", None))
def test_the_table_says_what_each_request_for_a_user_answers_in_each_state(
    stage: Stage, cell: Cell, callers: tuple[str | None, ...]
) -> None:
    tenant = f"cell-{CELLS.index((cell, callers))}" if changes(cell) else f"state-{cell.state.replace(' ', '-')}"
    variables = {**KNOWS_CALLERS, "DATABASE_URL": stage.database.app_url, "TENANT_ID": tenant}
    with deployed(variables), stage.database.admin() as admin:
        tags = stage.make(cell.state, tenant)
        for caller in callers:
            before = stored(admin, tenant)
            asked = replace(request(cell, tags), user=caller)
            reply = send(asked)
            check(cell, asked, reply, tags)
            same = cell.row in ("PUT same", "PATCH nothing") and cell.state == "present"
            # An export is recorded, too.
            exports = cell.row == "EXPORT" and cell.status == 200
            assert (stored(admin, tenant) != before) == (exports or (changes(cell) and not same))


def check(cell: Cell, asked: Request, reply: Reply, tags: Tags) -> None:
    """Assert status, headers and document of an answer."""
    status, *marks = cell.answer.split()
    assert reply.status == int(status), reply.body
    assert ("retry-after" in reply.headers) == ("wait" in marks)
    assert ("etag" in reply.headers) == ("tag" in marks), reply.headers
    if "tag" in marks:
        shown = replace(asked, route=GET_USER, body=None, if_match=None, if_none_match=None)
        if asked.route == POST_USER:
            shown = replace(shown, user_id=reply.json["id"])
        assert reply.headers["etag"] == send(shown).headers["etag"]
    if reply.status == 404:
        assert reply.json["title"] == "User not found"
    elif reply.status == 412:
        # A user has no seq.
        assert "last_seq" not in reply.json
    elif reply.status == 422:
        assert [error["type"] for error in reply.json["errors"]] == ["email_taken"]
    elif reply.status == 409:
        assert reply.json["title"] == "User being erased"
    elif cell.row == "COUNT":
        many = 101 if cell.state == "erasing" else 0
        assert reply.json == {"sessions": 1 + many, "messages": 2, "interactions": 2}
    elif cell.row == "EXPORT":
        assert (reply.json["user"] is None) == (cell.state == "without a row")
        assert [turn["seq"] for turn in reply.json["turns"]] == [1, 2]
    elif cell.row.startswith(("FIND", "LIST")):
        there = [USER] if cell.state == "present" else []
        assert [user["id"] for user in reply.json["users"]] == there + (["taker"] if cell.row == "LIST" else [])
    elif cell.row in ("PUT same", "PATCH nothing") and cell.state == "present":
        assert reply.headers["etag"] == tags.now


@pytest.mark.parametrize("state", STATES_OF_USERS)
def test_an_end_user_may_name_only_itself_in_each_state(stage: Stage, state: str) -> None:
    tenant = f"state-{state.replace(' ', '-')}"
    variables = {**KNOWS_CALLERS, "DATABASE_URL": stage.database.app_url, "TENANT_ID": tenant}
    with deployed(variables), stage.database.admin() as admin:
        tags = stage.make(state, tenant)
        before = stored(admin, tenant)
        for cell in (*cells(TABLE), *cells(TABLE_OF_SERVICE)):
            reply = send(replace(request(cell, tags), user=OTHER))
            assert (reply.status, reply.json["title"], reply.headers.get("etag")) == (403, "Forbidden", None), cell.row
        assert stored(admin, tenant) == before
