"""Tables that say what each request answers: their cells, and the request and the check of a cell.

A session with two turns has the last seq 3. `now` is the whole tag of its present state, or the last one before the
erasure. `seq` is its last seq alone. `stale` is the whole tag of the state before, `seq-` the seq below.
Without a session they are tags of no session.
A cell has the status. `tag` says that the answer has the ETag of the state after it, `wait` that it has Retry-After.
"""

from dataclasses import dataclass

from tests.model.request import ERASE, GET, PATCH, POST, PUT, REMOVE, STATS, Request, send
from tests.model.states import Tags, turn
from tests.support.bundle import Reply

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
    def status(self) -> int | None:
        """Return the status of the answer, or None if the cell says whether a list has the session."""
        status = self.answer.partition(" ")[0]
        return int(status) if status.isdigit() else None

    @property
    def name(self) -> str:
        """Return the cell as a sentence."""
        return f"{' '.join(self.row.split())}, {self.state}: {self.answer}"


def cells(table: str) -> list[Cell]:
    """Return the cells of a table."""
    return [Cell(*each) for each in answers(table)]


def answers(table: str) -> list[tuple[str, str, str]]:
    """Return the words of the row, the head of the column and the text of each cell of a table."""
    head, _, *rows = [[part.strip() for part in line.split("|")] for line in table.strip().splitlines()]
    return [(row[0], column, text) for row in rows for column, text in zip(head[1:], row[1:], strict=True)]


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
