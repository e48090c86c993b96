"""Each request for a session x each state that the erasure of its user makes: what it answers.

A refusal changes nothing, and no request brings a turn of the erased user back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.model.request import ERASE_USER, GET, KNOWS_CALLERS, LIST, PATCH, Request, send
from tests.model.states import Tags, stored
from tests.model.states_of_users import OTHER, STATES_OF_SESSIONS, USER, end_erasure
from tests.model.tables import SESSION, Cell, cells, request
from tests.support.bundle import deployed
from tests.support.servers.databases import Database, Template

# The request is for the session `s`. In `marked` it is erased with its user, whose erasure is not finished.
# In `unknown` the user is being erased, and there is no session `s`. In `erased` the erasure of both is finished.
# In `namesake` the same person began a session of this id afterwards. In `handed over` the session was given to the
# other user before the erasure began.
TABLE = """
request                              | marked   | unknown  | erased  | namesake | handed over
-------------------------------------+----------+----------+---------+----------+------------
user     POST                        | 409 wait | 409 wait | 201 tag | 201 tag  | 404
user     POST      If-Match "0"      | 409 wait | 409 wait | 201 tag | 412 tag  | 404
user     POST      If-Match stale    | 409 wait | 409 wait | 412     | 412 tag  | 404
user     PATCH                       | 409 wait | 409 wait | 200 tag | 200 tag  | 404
user     PATCH     If-Match stale    | 409 wait | 412      | 412     | 412 tag  | 404
user     PUT 1                       | 404      | 404      | 404     | 200 tag  | 404
user     REMOVE                      | 404      | 404      | 404     | 200 tag  | 404
user     ERASE                       | 204      | 404      | 404     | 204      | 404
user     ERASE     If-Match stale    | 204      | 404      | 404     | 412 tag  | 404
user     GET                         | 404      | 404      | 404     | 200 tag  | 404
user     STATS                       | 404      | 404      | 404     | 200      | 404
other    POST                        | 404      | 201 tag  | 201 tag | 404      | 201 tag
other    PATCH                       | 404      | 200 tag  | 200 tag | 404      | 200 tag
other    PUT 1                       | 404      | 404      | 404     | 404      | 200 tag
other    ERASE                       | 404      | 404      | 404     | 404      | 204
other    GET                         | 404      | 404      | 404     | 404      | 200 tag
service  POST                        | 409 wait | 201 tag  | 201 tag | 201 tag  | 201 tag
service  POST      If-Match stale    | 409 wait | 412      | 412     | 412 tag  | 412 tag
service  PATCH                       | 409 wait | 200 tag  | 200 tag | 200 tag  | 200 tag
service  PATCH     to the user       | 409 wait | 409 wait | 200 tag | 200 tag  | 409 wait
service  PATCH     to the other      | 409 wait | 200 tag  | 200 tag | 200 tag  | 200 tag
service  PATCH     to no user        | 409 wait | 200 tag  | 200 tag | 200 tag  | 200 tag
service  PUT 1                       | 404      | 404      | 404     | 200 tag  | 200 tag
service  REMOVE                      | 404      | 404      | 404     | 200 tag  | 200 tag
service  ERASE                       | 204      | 404      | 404     | 204      | 204
service  GET                         | 404      | 404      | 404     | 200 tag  | 200 tag
service  LIST                        | without  | without  | without | with     | with
service  STATS                       | 404      | 404      | 404     | 200      | 200
"""
CALLERS = {"user": USER, "other": OTHER, "service": None}
OWNERS = {"to the user": USER, "to the other": OTHER, "to no user": None}
CELLS = cells(TABLE)


def asked(cell: Cell, tags: Tags) -> Request:
    """Return the request of a row."""
    caller, _, row = cell.row.partition(" ")
    words = " ".join(row.split())
    named = next((name for name in OWNERS if name in words), None)
    if named is not None:
        return Request(PATCH, SESSION, body={"user_id": OWNERS[named]})
    if words == "LIST":
        return Request(LIST)
    return replace(request(replace(cell, row=words), tags), user=CALLERS[caller])


@dataclass
class Stage:
    """A database, and the states that are already made for the cells that change nothing."""

    database: Database
    made: dict[str, Tags] = field(default_factory=dict)

    def tenant(self, cell: Cell) -> str:
        """Return the tenant of a cell. Cells that change nothing share the tenant of their state.

        A REMOVE goes on with an erasure that is not finished, whatever its answer is.
        """
        shares = (cell.status or 400) >= 400 and "REMOVE" not in cell.row
        return f"state-{cell.state.replace(' ', '-')}" if shares else f"cell-{CELLS.index(cell)}"

    def make(self, cell: Cell) -> Tags:
        """Make the state of a cell in the present tenant, unless it is there."""
        tenant = self.tenant(cell)
        if tenant not in self.made:
            self.made[tenant] = STATES_OF_SESSIONS[cell.state](self.database, tenant)
        return self.made[tenant]


@pytest.fixture(scope="module")
def stage(embedded_template: Template) -> Iterator[Stage]:
    with embedded_template.clone("embedded") as database:
        yield Stage(database)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_table_says_what_each_request_for_a_session_answers_whose_user_is_erased(stage: Stage, cell: Cell) -> None:
    tenant = stage.tenant(cell)
    variables = {**KNOWS_CALLERS, "DATABASE_URL": stage.database.app_url, "TENANT_ID": tenant}
    with deployed(variables), stage.database.admin() as admin:
        tags = stage.make(cell)
        before = stored(admin, tenant)
        reply = send(asked(cell, tags))
        if cell.answer in ("with", "without"):
            assert [each["id"] for each in reply.json["sessions"]] == ([SESSION] if cell.answer == "with" else [])
            return
        status, *marks = cell.answer.split()
        assert reply.status == int(status), reply.body
        assert ("retry-after" in reply.headers, "etag" in reply.headers) == ("wait" in marks, "tag" in marks)
        if reply.status >= 400:
            assert stored(admin, tenant) == before
        elif "GET" not in cell.row:
            check_end(stage.database, tenant, cell)


def check_end(database: Database, tenant: str, cell: Cell) -> None:
    """Assert that the erasure still ends, and that it takes only what is the user's."""
    shown = send(Request(GET, SESSION))
    user = shown.json["session"].get("user_id") if shown.status == 200 else None
    with database.app() as app:
        end_erasure(app, tenant)
    again = send(Request(GET, SESSION))
    assert (again.status, again.body if again.status == 200 else None) == (
        shown.status,
        shown.body if shown.status == 200 else None,
    )
    texts = [turn["user_message"] for turn in shown.json.get("messages", [])]
    assert ("question 1" in texts) <= (cell.state == "handed over")
    # Only what the person did after the erasure is left to erase.
    assert send(Request(ERASE_USER, user_id=USER)).status == (204 if user == USER else 404)
