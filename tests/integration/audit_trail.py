"""The audit trail as a test looks at it after each operation."""

from typing import Any

from tests.integration.audited import entries
from tests.support.bundle import Bundle
from tests.support.servers.databases import Database

# An interaction that a PUT adds.
INTERACTION = {"interaction_type": "x", "duration_ms": 1, "success": True}
OTHER_HASH = "$argon2id$v=19$m=1,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA"
ANN = {
    "email": "ann@example.com",
    "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub",
    "profile": {"first_name": "Ann", "last_name": "Lee", "avatar_url": "https://example.com/a.png"},
}
FIELDS = ["email", "password_hash", "profile.avatar_url", "profile.first_name", "profile.last_name"]
KEY = {"idempotency-key": "k-1"}
STALE = {"if-match": '"0.1"'}
# The events are of a gateway without an authorizer, so no one is known to act.
NO_ACTOR = None


class Trail:
    """The functions, and the entries since the last look."""

    def __init__(self, bundle: Bundle, database: Database) -> None:
        self.bundle = bundle
        self._database = database
        self._seen = 0

    def new(self) -> list[tuple[str, str, str, Any, Any]]:
        """Return table, record, action, old and new data of each entry since the last look, and check who acted."""
        found = entries(self._database)[self._seen :]
        self._seen += len(found)
        for entry in found:
            assert (entry["user_id"], entry["request_id"]) == (NO_ACTOR, self.bundle.context.aws_request_id)
        return [
            (entry["table_name"], entry["record_id"], entry["action"], entry["old_data"], entry["new_data"])
            for entry in found
        ]
