"""The audit trail over HTTP: who may read it, what it says about each caller, and times in the query."""

import json
import urllib.parse
from pathlib import Path
from typing import Any

from tests.e2e.local_stack import TURN, ask, running, token_of


def walk(url: str, token: str) -> list[Any]:
    """Return all entries, read in pages of two."""
    entries: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""
        status, page, headers = ask("GET", f"{url}?limit=2{query}", token)
        assert (status, headers["cache-control"]) == (200, "no-store")
        entries += page["entries"]
        cursor = page["page"]["cursor"]
    return entries


def test_the_trail_names_each_caller_and_the_request_of_the_log_and_only_a_service_reads_it(folder: Path) -> None:
    with running(folder, AUTH="jwt") as stack:
        ann, crm = token_of(stack, "ann"), token_of(stack, "crm", "robot-brain/all-users")
        audit = f"{stack.url}/audit"
        assert ask("PUT", f"{stack.url}/users/ann", ann, {"profile": {"first_name": "Canary"}})[0] == 201
        assert ask("POST", f"{stack.url}/sessions/one/messages", ann, TURN)[0] == 201
        assert ask("DELETE", f"{stack.url}/sessions/one/messages?after=0", ann)[0] == 200
        assert ask("PATCH", f"{stack.url}/sessions/one", crm, {"user_id": "bob"})[0] == 200
        assert ask("DELETE", f"{stack.url}/sessions/one", crm)[0] == 204

        assert ask("GET", audit)[0] == 401
        for query in ("", "?user=ann", "?record=one"):
            status, problem, _ = ask("GET", audit + query, ann)
            assert (status, problem["title"]) == (403, "Forbidden")

        entries = walk(audit, crm)
        assert [(each["user_id"], each["action"], each["table_name"], each["record_id"]) for each in entries] == [
            ("crm", "ERASE", "sessions", "one"),
            ("crm", "UPDATE", "sessions", "one"),
            ("ann", "DELETE", "conversations", "one"),
            ("ann", "INSERT", "users", "ann"),
        ]
        assert "Canary" not in json.dumps(entries)
        assert TURN["user_message"] not in json.dumps(entries)
        logs = "".join(path.read_text(errors="replace") for path in (stack.state / "logs").iterdir())
        assert all(each["request_id"] in logs for each in entries)

        assert ask("GET", f"{audit}?user=ann&limit=100", crm)[1]["entries"] == entries[2:]
        assert ask("GET", f"{audit}?record=one", crm)[1]["entries"] == entries[:3]
        middle = urllib.parse.quote(entries[1]["created_at"])
        assert ask("GET", f"{audit}?from={middle}", crm)[1]["entries"] == entries[:2]
        assert ask("GET", f"{audit}?to={middle}", crm)[1]["entries"] == entries[2:]
        assert ask("GET", f"{audit}?from=9998-01-01", crm)[1]["entries"] == []
        assert ask("GET", f"{audit}?to=2026-01-01T00:00:00%2B23:59", crm)[1]["entries"] == []
        status, problem, _ = ask("GET", f"{audit}?to=2026-01-01T00:00:00+01:00", crm)
        assert (status, [each["loc"] for each in problem["errors"]]) == (422, [["query", "to"]])
