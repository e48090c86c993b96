"""Each request x each state of a session x each If-Match: what it answers, and that a refusal changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.model.request import GET, KNOWS_CALLERS, LIST, Request, send
from tests.model.states import MAKERS, Tags, erasing, stored
from tests.model.tables import SESSION, Cell, cells, check_reply, request
from tests.support.bundle import deployed
from tests.support.servers.databases import Database, Template

# The caller is a service. A session of the column `2 turns` has the turns 1 and 2 and the last seq 3. In `erased` and
# `erasing` it had them.
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


@dataclass(frozen=True)
class Stage:
    """A database, and the tenant that has the one unfinished erasure that most cells share."""

    database: Database
    erasing: Tags


@pytest.fixture(scope="module")
def stage(embedded_template: Template) -> Iterator[Stage]:
    with embedded_template.clone("embedded") as database:
        with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url, "TENANT_ID": "erasing"}):
            tags = erasing(database, "erasing", SESSION)
        yield Stage(database, tags)


@pytest.mark.parametrize("cell", cells(TABLE), ids=lambda cell: cell.name)
def test_the_table_says_what_each_request_answers_in_each_state(stage: Stage, cell: Cell) -> None:
    # A DELETE may continue an erasure, so it has one of its own.
    shared = cell.state == "erasing" and cell.row.split()[0] not in ("REMOVE", "ERASE")
    tenant = "erasing" if shared else f"cell-{cells(TABLE).index(cell)}"
    database = stage.database
    with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url, "TENANT_ID": tenant}), database.admin() as admin:
        tags = stage.erasing if shared else MAKERS[cell.state](database, tenant, SESSION, None)
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
