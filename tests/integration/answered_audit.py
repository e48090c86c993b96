"""Requests about the audit trail, each with the status of its answer."""

from tests.integration.edge import Send, other

AUDIT = "GET /audit"
# Sent in this order to a database in which a user was created.
OF_AUDIT: list[tuple[str, int, Send]] = [
    (AUDIT, 200, lambda b: b.audit()),
    (AUDIT, 200, lambda b: b.audit(limit=1)),
    (AUDIT, 200, lambda b: b.audit(record="unknown")),
    (AUDIT, 400, other("read_audit", "%")),
    (AUDIT, 422, lambda b: b.audit(record="a", user="b")),
    (AUDIT, 422, lambda b: b.audit(**{"from": "yesterday"})),
    (AUDIT, 422, lambda b: b.audit(cursor="x")),
]
UNSERVED_AUDIT: list[tuple[str, Send]] = [(AUDIT, lambda b: b.audit())]
