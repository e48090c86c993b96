"""Each request of an end user x whose session it is: what it answers, and that a refusal changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.model.request import GET, KNOWS_CALLERS, LIST, PATCH, POST, STATS, Request, send
from tests.model.states import MAKERS, Tags, live, stored
from tests.model.tables import SESSION, Cell, cells, check_reply, request
from tests.support.bundle import Json, Reply, deployed
from tests.support.servers.databases import Database, Template

# A session of another caller answers the same in each state: see FOREIGN. In `erased` another user's was erased.
TABLE = """
request                       | own     | own, erasing | foreign | erased
------------------------------+---------+--------------+---------+--------
POST                          | 201 tag | 409 wait     | 404     | 201 tag
POST      If-Match "0"        | 412 tag | 409 wait     | 404     | 201 tag
POST      If-Match seq        | 201 tag | 409 wait     | 404     | 412
POST      If-Match now        | 201 tag | 409 wait     | 404     | 412
POST      If-Match stale      | 412 tag | 409 wait     | 404     | 412
PATCH                         | 200 tag | 409 wait     | 404     | 200 tag
PATCH     If-Match "0"        | 412 tag | 409 wait     | 404     | 200 tag
PATCH     If-Match now        | 200 tag | 409 wait     | 404     | 412
PATCH     If-Match stale      | 412 tag | 409 wait     | 404     | 412
PATCH     to itself           | 403     | 403          | 403     | 403
PATCH     to no user          | 403     | 403          | 403     | 403
PUT 1                         | 200 tag | 404          | 404     | 404
PUT 1     If-Match now        | 200 tag | 404          | 404     | 404
PUT 1     If-Match stale      | 412 tag | 404          | 404     | 404
PUT 3                         | 404     | 404          | 404     | 404
REMOVE                        | 200 tag | 404          | 404     | 404
REMOVE    If-Match stale      | 412 tag | 404          | 404     | 404
ERASE                         | 204     | 204          | 404     | 404
ERASE     If-Match now        | 204     | 204          | 404     | 404
ERASE     If-Match stale      | 412 tag | 204          | 404     | 404
GET                           | 200 tag | 404          | 404     | 404
GET       If-None-Match *     | 304 tag | 404          | 404     | 404
GET       If-None-Match now   | 304 tag | 404          | 404     | 404
GET       If-None-Match stale | 200 tag | 404          | 404     | 404
GET       after=3             | 200 tag | 404          | 404     | 404
STATS                         | 200     | 404          | 404     | 404
STATS     of all sessions     | 403     | 403          | 403     | 403
LIST                          | with    | without      | without | without
LIST      of itself           | with    | without      | without | without
LIST      of another          | 403     | 403          | 403     | 403
"""
USER, OTHER = "guest-7", "guest-8"
OTHER_REQUESTS = {
    "PATCH to itself": Request(PATCH, SESSION, body={"user_id": USER}),
    "PATCH to no user": Request(PATCH, SESSION, body={"user_id": None}),
    "STATS of all sessions": Request(STATS),
    "LIST": Request(LIST),
    "LIST of itself": Request(LIST, query={"user_id": USER}),
    "LIST of another": Request(LIST, query={"user_id": OTHER}),
}


def moved(database: Database, tenant: str, session_id: str, user: str | None) -> Tags:
    """Make a session of the user, which a service then gives to another user."""
    tags = live(database, tenant, session_id, USER)
    return Tags(send(Request(PATCH, session_id, body={"user_id": user})).headers["etag"], tags.now)


# What makes each state, and the user that it makes the session for. None is the tenant itself.
FOREIGN = {
    **{f"of another user, {state}": (MAKERS[state], OTHER) for state in ("2 turns", "no turn", "erasing")},
    **{f"of no user, {state}": (MAKERS[state], None) for state in ("2 turns", "no turn", "erasing")},
    "moved to another user": (moved, OTHER),
    "moved to no user": (moved, None),
}
STATES = {
    "own": (MAKERS["2 turns"], USER),
    "own, erasing": (MAKERS["erasing"], USER),
    "erased": (MAKERS["erased"], OTHER),
    **FOREIGN,
}
CELLS = [
    replace(cell, state=state)
    for cell in cells(TABLE)
    for state in (FOREIGN if cell.state == "foreign" else (cell.state,))
]


@dataclass
class Stage:
    """A database, and the states that are already made for the cells that change nothing."""

    database: Database
    made: dict[str, Tags] = field(default_factory=dict)

    def tenant(self, cell: Cell) -> str:
        """Return the tenant of a cell. Cells that change nothing share the tenant of their state."""
        shares = cell.status is None or cell.status >= 400
        return f"state-{list(STATES).index(cell.state)}" if shares else f"cell-{CELLS.index(cell)}"

    def make(self, cell: Cell) -> Tags:
        """Make the state of a cell in the present tenant, unless it is there."""
        tenant = self.tenant(cell)
        if tenant not in self.made:
            make, user = STATES[cell.state]
            self.made[tenant] = make(self.database, tenant, SESSION, user)
        return self.made[tenant]


@pytest.fixture(scope="module")
def stage(embedded_template: Template) -> Iterator[Stage]:
    with embedded_template.clone("embedded") as database:
        yield Stage(database)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_table_says_what_an_end_user_meets(stage: Stage, cell: Cell) -> None:
    tenant = stage.tenant(cell)
    variables = {**KNOWS_CALLERS, "DATABASE_URL": stage.database.app_url, "TENANT_ID": tenant}
    with deployed(variables), stage.database.admin() as admin:
        tags = stage.make(cell)
        asked = replace(OTHER_REQUESTS.get(" ".join(cell.row.split())) or request(cell, tags), user=USER)
        before = stored(admin, tenant)
        reply = send(asked)
        after = stored(admin, tenant)
        if cell.answer in ("with", "without"):
            assert [each["id"] for each in reply.json["sessions"]] == ([SESSION] if cell.answer == "with" else [])
        else:
            check_reply(cell, reply, tags)
        if reply.status >= 400:
            assert after == before
        if reply.status == 404 and cell.state in FOREIGN:
            check_unknown(asked, reply)
        if asked.route in (POST, PATCH) and reply.status in (200, 201):
            assert send(Request(GET, SESSION)).json["session"]["user_id"] == USER


def check_unknown(asked: Request, reply: Reply) -> None:
    """Assert that a foreign session answers as an unknown one, except to a POST or PATCH, which would create it."""
    if asked.route in (POST, PATCH):
        assert reply.json["title"] == "Session not found"
        return
    query = {**asked.query, "session_id": "unknown"} if asked.route == STATS else asked.query
    unknown = send(replace(asked, session_id="unknown", query=query))
    assert (reply.status, reply.headers, document(reply)) == (unknown.status, unknown.headers, document(unknown))


def document(reply: Reply) -> Json:
    """Return the document of an answer without the id of its request."""
    return {name: value for name, value in reply.json.items() if name != "request_id"}
