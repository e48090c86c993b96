"""Requests of a search, each with the status of its answer."""

from tests.integration.edge import Send, other

SEARCH = "GET /search"
# Sent in this order to a database in which turns were written.
OF_SEARCH: list[tuple[str, int, Send]] = [
    (SEARCH, 200, lambda b: b.search("answer")),
    (SEARCH, 200, lambda b: b.search("answer", limit=1, order="relevance")),
    (SEARCH, 200, lambda b: b.search("unknown")),
    (SEARCH, 400, other("search", "%")),
    (SEARCH, 422, lambda b: b.search("-answer")),
    (SEARCH, 422, lambda b: b.search("answer", limit=0)),
    (SEARCH, 422, lambda b: b.search("answer", cursor="x")),
]
UNSERVED_SEARCH: list[tuple[str, Send]] = [(SEARCH, lambda b: b.search("answer"))]
