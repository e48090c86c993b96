"""Each request x each state of a session x each If-Match: what it answers, and that a refusal changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.model.request import ERASE, GET, LIST, PATCH, POST, PUT, REMOVE, STATS, Request, send
from tests.model.states import MAKERS, Tags, erasing, stored, turn
from tests.support.bundle import Reply, deployed
from tests.support.servers.databases import Database, Template

# A session of the column `2 turns` has the turns 1 and 2 and the last seq 3; in `erased` and `erasing` it had them.
# `now` is the whole tag of the present state, or the last one before the erasure. `seq` is its last seq alone.
# `stale` is the whole tag of the state before, `seq-` the seq below. Without a session they are tags of no session.
# A cell has the status. `tag` says that the answer has the ETag of the state after it, `wait` that it has Retry-After.
TABLE = """
request                      | unknown | erased  | erasing  | no turn | 2 turns
-----------------------------+---------+---------+----------+---------+--------
POST                         | 201 tag | 201 tag | 409 wait | 201 tag | 201 tag
POST      If-Match "0"       | 201 tag | 201 tag | 409 wait | 201 tag | 412 tag
POST      If-Match seq       | 412     | 412     | 409 wait | 201 tag | 201 tag
POST      If-Match now       | 412     | 412     | 409 wait | 201 tag | 201 tag
POST      If-Match seq-      | 412     | 412     | 409 wait | 412 tag | 412 tag
POST      If-Match stale     | 412     | 412     | 409 wait | 412 tag | 412 tag
PATCH                        | 200 tag | 200 tag | 409 wait | 200 tag | 200 tag
PATCH     If-Match "0"       | 200 tag | 200 tag | 409 wait | 200 tag | 412 tag
PATCH     If-Match seq       | 412     | 412     | 409 wait | 200 tag | 200 tag
PATCH     If-Match now       | 412     | 412     | 409 wait | 200 tag | 200 tag
PATCH     If-Match seq-      | 412     | 412     | 409 wait | 412 tag | 412 tag
PATCH     If-Match stale     | 412     | 412     | 409 wait | 412 tag | 412 tag
PUT 1                        | 404     | 404     | 404      | 404     | 200 tag
PUT 1     If-Match "0"       | 404     | 404     | 404      | 404     | 412 tag
PUT 1     If-Match seq       | 404     | 404     | 404      | 404     | 200 tag
PUT 1     If-Match now       | 404     | 404     | 404      | 404     | 200 tag
PUT 1     If-Match seq-      | 404     | 404     | 404      | 404     | 412 tag
PUT 1     If-Match stale     | 404     | 404     | 404      | 404     | 412 tag
PUT 3                        | 404     | 404     | 404      | 404     | 404
PUT 3     If-Match now       | 404     | 404     | 404      | 404     | 404
PUT 3     If-Match stale     | 404     | 404     | 404      | 404     | 404
PUT 4                        | 404     | 404     | 404      | 404     | 404
REMOVE                       | 404     | 404     | 404      | 200 tag | 200 tag
REMOVE    If-Match "0"       | 404     | 404     | 404      | 200 tag | 412 tag
REMOVE    If-Match seq       | 404     | 404     | 404      | 200 tag | 200 tag
REMOVE    If-Match now       | 404     | 404     | 404      | 200 tag | 200 tag
REMOVE    If-Match seq-      | 404     | 404     | 404      | 412 tag | 412 tag
REMOVE    If-Match stale     | 404     | 404     | 404      | 412 tag | 412 tag
ERASE                        | 404     | 404     | 204      | 204     | 204
ERASE     If-Match "0"       | 404     | 404     | 204      | 204     | 412 tag
ERASE     If-Match seq       | 404     | 404     | 204      | 204     | 204
ERASE     If-Match now       | 404     | 404     | 204      | 204     | 204
ERASE     If-Match seq-      | 404     | 404     | 204      | 412 tag | 412 tag
ERASE     If-Match stale     | 404     | 404     | 204      | 412 tag | 412 tag
GET                          | 404     | 404     | 404      | 200 tag | 200 tag
GET       If-None-Match *    | 404     | 404     | 404      | 304 tag | 304 tag
GET       If-None-Match now  | 404     | 404     | 404      | 304 tag | 304 tag
GET       If-None-Match weak | 404     | 404     | 404      | 304 tag | 304 tag
GET       If-None-Match list | 404     | 404     | 404      | 304 tag | 304 tag
GET       If-None-Match stale| 404     | 404     | 404      | 200 tag | 200 tag
GET       If-None-Match seq  | 404     | 404     | 404      | 200 tag | 200 tag
GET       after=3            | 404     | 404     | 404      | 200 tag | 200 tag
STATS                        | 404     | 404     | 404      | 200     | 200
LIST                         | without | without | without  | with    | with
"""
SESSION = "s"
BODIES = {
    "POST": turn("new"),
    "PATCH": {"user_metadata": {"state": None, "new": True}},
    "PUT": {"user_message": "new", "robot_response": "new"},
}
ROUTES = {"POST": POST, "PATCH": PATCH, "PUT": PUT, "REMOVE": REMOVE, "ERASE": ERASE, "GET": GET, "STATS": STATS}


@dataclass(frozen=True)
class Cell:
    """One cell of the table: the words of its row, the state of its column, and the answer."""

    row: str
    state: str
    answer: str

    @property
    def name(self) -> str:
        """Return the cell as a sentence."""
        return f"{' '.join(self.row.split())}, {self.state}: {self.answer}"


def cells() -> list[Cell]:
    """Return the cells of TABLE."""
    head, _, *rows = [[part.strip() for part in line.split("|")] for line in TABLE.strip().splitlines()]
    return [Cell(row[0], state, answer) for row in rows for state, answer in zip(head[1:], row[1:], strict=True)]


@dataclass(frozen=True)
class Stage:
    """A database, and the tenant that has the one unfinished erasure that most cells share."""

    database: Database
    erasing: Tags


@pytest.fixture(scope="module")
def stage(embedded_template: Template) -> Iterator[Stage]:
    with embedded_template.clone("embedded") as database:
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "erasing"}):
            tags = erasing(database, "erasing", SESSION)
        yield Stage(database, tags)


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.name)
def test_the_table_says_what_each_request_answers_in_each_state(stage: Stage, cell: Cell) -> None:
    # A DELETE may continue an erasure, so it has one of its own.
    shared = cell.state == "erasing" and cell.row.split()[0] not in ("REMOVE", "ERASE")
    tenant = "erasing" if shared else f"cell-{cells().index(cell)}"
    database = stage.database
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}), database.admin() as admin:
        tags = stage.erasing if shared else MAKERS[cell.state](database, tenant, SESSION)
        if cell.row == "LIST":
            listed = [each["id"] for each in send(Request(LIST)).json["sessions"]]
            assert listed == ([SESSION] if cell.answer == "with" else [])
            return
        before = stored(admin, tenant)
        reply = send(request(cell, tags))
        after = stored(admin, tenant)
        check_reply(cell, reply, tags)
        if reply.status >= 400 and not (cell.state == "erasing" and cell.row.startswith("REMOVE")):
            assert after == before
        if cell.state == "erasing":
            assert send(Request(GET, SESSION)).status == 404


def request(cell: Cell, tags: Tags) -> Request:
    """Return the request of a row, with the tags of its session."""
    method, *words = cell.row.split()
    seq = tags.now.partition(".")[0].strip('"')
    named = {
        "now": tags.now,
        "stale": tags.stale,
        "seq": f'"{seq}"',
        "seq-": f'"{int(seq) - 1 if int(seq) else 9}"',
        "weak": f"W/{tags.now}",
        "list": f'"x", {tags.now}',
    }
    tag = named.get(words[-1], words[-1]) if words and "Match" in cell.row else None
    query: dict[str, object] = {}
    if method == "REMOVE":
        query = {"after": 1}
    elif method == "STATS":
        query = {"session_id": SESSION}
    elif words and "=" in words[0]:
        query[words[0].partition("=")[0]] = words[0].partition("=")[2]
    return Request(
        ROUTES[method],
        SESSION,
        seq=int(words[0]) if method == "PUT" else 0,
        query=query,
        body=BODIES.get(method),
        if_match=tag if "If-Match" in words else None,
        if_none_match=tag if "If-None-Match" in words else None,
    )


def check_reply(cell: Cell, reply: Reply, tags: Tags) -> None:
    """Assert status, headers and document of an answer. The tag is of the state after it, so a read says it again."""
    status, *marks = cell.answer.split()
    assert (reply.status, reply.body is None) == (int(status), status in ("204", "304")), reply.body
    assert ("etag" in reply.headers) == ("tag" in marks), reply.headers
    if "tag" in marks:
        assert reply.headers["etag"] == send(Request(GET, SESSION)).headers["etag"]
    assert ("retry-after" in reply.headers) == ("wait" in marks), reply.headers
    if reply.status >= 400:
        assert reply.headers["cache-control"] == "no-store"
        assert reply.json["status"] == reply.status
    if reply.status == 412:
        seq = reply.headers["etag"].partition(".")[0].strip('"') if "tag" in marks else "0"
        assert reply.json["last_seq"] == int(seq)
    elif reply.status in (200, 304) and cell.row.startswith("GET"):
        assert reply.headers["etag"] == tags.now
