"""People over HTTP: what an end user may do with itself, the whole life of a person, and that no log has an e-mail."""

import urllib.parse
from pathlib import Path
from typing import Any

from tests.e2e.local_stack import TURN, Stack, ask, processes_of, running, token_of

EMAIL = "Ann.Canary@example.com"
ANN = {"email": EMAIL, "password_hash": "$2b$12$" + "x" * 53, "profile": {"first_name": "Ann", "last_name": "Lee"}}
NOTHING = {"sessions": 0, "messages": 0, "interactions": 0}


def printed_by(stack: Stack) -> str:
    """Return everything that the stack and its functions have written."""
    logs = (path.read_text(errors="replace") for path in (stack.state / "logs").iterdir())
    return stack.output.read_text() + "".join(logs)


def exported(url: str, token: str) -> list[Any]:
    """Return the pages of an export."""
    pages: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?cursor={urllib.parse.quote(cursor)}" if cursor else ""
        status, page, headers = ask("GET", f"{url}/export{query}", token)
        assert (status, headers["cache-control"]) == (200, "no-store")
        pages.append(page)
        cursor = page["page"]["cursor"]
    return pages


def test_a_person_lives_from_creation_to_erasure_and_reaches_only_itself(folder: Path) -> None:
    with running(folder, AUTH="jwt") as stack:
        ann, bob = token_of(stack, "ann"), token_of(stack, "bob")
        service = token_of(stack, "crm", "robot-brain/all-users")
        url, found_by = f"{stack.url}/users/ann", f"{stack.url}/users?email={urllib.parse.quote(EMAIL.lower())}"

        status, created, headers = ask("PUT", url, ann, ANN)
        assert (status, created["id"], created["email"], created["profile"]) == (201, "ann", EMAIL, ANN["profile"])
        assert ask("PUT", url, ann, ANN)[:2] == (200, created)
        assert ask("GET", url, ann)[1] == created
        assert ask("GET", url, ann, if_none_match=headers["etag"])[0] == 304
        assert ask("PATCH", url, ann, {"profile": {"last_name": None}}, if_match='"0"')[0] == 412
        status, patched, _ = ask("PATCH", url, ann, {"profile": {"last_name": None}}, if_match=headers["etag"])
        assert (status, patched["profile"]) == (200, {"first_name": "Ann"})
        assert ask("GET", found_by, service)[1]["users"] == [patched]

        for name in ("one", "two"):
            assert ask("POST", f"{stack.url}/sessions/{name}/messages", ann, TURN)[0] == 201
        assert ask("POST", f"{stack.url}/sessions/of-bob/messages", bob, TURN)[0] == 201

        for method, path, body in (
            ("GET", "/users/bob", None),
            ("PUT", "/users/bob", {}),
            ("PATCH", "/users/bob", {}),
            ("DELETE", "/users/bob", None),
            ("DELETE", "/users/bob?dry_run=true", None),
            ("GET", "/users/bob/export", None),
            ("GET", "/users", None),
            ("GET", found_by.removeprefix(stack.url), None),
            ("POST", "/users", {}),
        ):
            status, problem, _ = ask(method, stack.url + path, ann, body)
            assert (status, problem["title"]) == (403, "Forbidden"), (method, path)
            assert ask(method, stack.url + path, "", body)[0] == 401

        [page] = exported(url, ann)
        assert page["user"] == patched
        assert [each["id"] for each in page["sessions"]] == ["one", "two"]
        assert [(each["session_id"], each["user_message"]) for each in page["turns"]] == [
            (name, TURN["user_message"]) for name in ("one", "two")
        ]
        status, counts, _ = ask("DELETE", f"{url}?dry_run=true", ann)
        assert (status, counts) == (200, {"sessions": 2, "messages": 2, "interactions": 0})
        assert ask("DELETE", url, ann)[:2] == (204, None)

        for method, path, body in (
            ("GET", "/users/ann", None),
            ("PATCH", "/users/ann", {}),
            ("GET", "/users/ann/export", None),
            ("DELETE", "/users/ann", None),
            ("DELETE", "/users/ann?dry_run=true", None),
            ("GET", "/sessions/one", None),
            ("GET", "/sessions/two", None),
        ):
            for token in (ann, service):
                assert ask(method, stack.url + path, token, body)[0] == 404, (method, path)
        assert ask("GET", found_by, service)[1]["users"] == []
        assert ask("GET", f"{stack.url}/sessions/of-bob", bob)[0] == 200
        # The person may come back, and begins with nothing.
        assert ask("PUT", url, ann, {"email": EMAIL})[0] == 201
        assert ask("DELETE", f"{url}?dry_run=true", ann)[1] == NOTHING
    assert processes_of(folder) == []
    printed = printed_by(stack)
    assert "/users/ann" in printed
    assert '"named_user_id":"bob"' in printed
    assert "canary" not in printed.lower()
    assert "Traceback" not in printed


def test_a_service_creates_lists_and_finds_users_and_no_log_has_their_query(folder: Path) -> None:
    with running(folder) as stack:
        url = f"{stack.url}/users"
        first, again = (ask("POST", url, "", ANN, idempotency_key="signup-canary-1") for _ in range(2))
        assert (first[0], first[1]) == (again[0], again[1]) == (201, first[1])
        assert (first[2]["idempotent-replayed"], again[2]["idempotent-replayed"]) == (None, "true")
        status, problem, _ = ask("POST", url, "", {"email": EMAIL.upper()})
        assert (status, problem["errors"][0]["type"]) == (422, "email_taken")
        assert ask("POST", url, "", {"email": "other@example.com"})[0] == 201

        listed: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            query = f"?limit=1&cursor={urllib.parse.quote(cursor)}" if cursor else "?limit=1"
            _, page, _ = ask("GET", url + query)
            listed += page["users"]
            cursor = page["page"]["cursor"]
        assert [each["email"] for each in listed] == ["other@example.com", EMAIL]
        for query, expected in (
            (f"email={urllib.parse.quote(EMAIL.upper())}", 200),
            (f"email={urllib.parse.quote(EMAIL)}&limit=1", 422),
            (f"email={urllib.parse.quote(EMAIL)}&canary=1", 422),
            ("email=canary", 422),
            ("canary=%", 400),
        ):
            assert ask("GET", f"{url}?{query}")[0] == expected, query
            assert ask("GET", f"{stack.url}/nothing?{query}")[0] == 404
    printed = printed_by(stack)
    assert printed.count("GET /users 200 ") >= 3
    assert "canary" not in printed.lower()
    assert "email=" not in printed
    assert "Traceback" not in printed
