"""docs/faults.md as data. The tests compare the functions with the same table that people read."""

from dataclasses import dataclass

from local.settings import ROOT
from tests.support.bundle import Reply

TABLE = ROOT / "docs" / "faults.md"
OPERATIONS = ("write", "read", "stats", "health")
CONNECTIONS = ("fresh", "reused")

SERVED = "served"
DEGRADED = "degraded"
# For each word of the table: status, title of the problem, and whether there is a Retry-After. The report of
# /health/database has status 503 for all of them, and the word is among its reasons.
FAILURES = {
    "waking": (503, "Database waking", True),
    "overloaded": (503, "Database overloaded", True),
    "away": (503, "Database away", True),
    "refused": (503, "Database refused", False),
    "deadline": (504, "Deadline exceeded", False),
}


@dataclass(frozen=True)
class Cell:
    """One request during one fault. `words` are the answers that the table allows, mostly one."""

    fault: str
    connection: str
    operation: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.fault}-{self.connection}-{self.operation}"

    def allows(self, word: str) -> bool:
        """Return whether the table allows `word`. If it allows `served`, a degraded report is allowed too."""
        return word in self.words or (word == DEGRADED and SERVED in self.words)


def cells() -> list[Cell]:
    """Return the table's cells, row by row. Raises ValueError if a row is not `fault | meaning | 2 x 4 words`."""
    found = []
    places = [(connection, operation) for connection in CONNECTIONS for operation in OPERATIONS]
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        fault, _, *words = (part.strip() for part in line.strip("|").split("|"))
        for (connection, operation), cell in zip(places, words, strict=True):
            allowed = tuple(cell.split(" or "))
            if unknown := set(allowed) - {SERVED, DEGRADED, *FAILURES}:
                raise ValueError(f"{fault}: {sorted(unknown)} are no words of the table")
            found.append(Cell(fault.strip("`"), connection, operation, allowed))
    return found


def word(operation: str, reply: Reply) -> str:
    """Return the table's word for an answer, or the whole answer if the table has no word for it."""
    if reply.status == (201 if operation == "write" else 200):
        return DEGRADED if reply.json.get("status") == DEGRADED else SERVED
    return next((name for name in FAILURES if _says(name, reply)), f"{reply.status} {reply.body} {reply.headers}")


def _says(name: str, reply: Reply) -> bool:
    status, title, waits = FAILURES[name]
    document = reply.json
    if "reasons" in document:
        report = (reply.status, document["status"], document["reasons"])
        expected = report == (503, "waking" if name == "waking" else "unhealthy", [name])
    else:
        expected = (reply.status, document["title"]) == (status, title)
    return expected and ("retry-after" in reply.headers) == waits
