"""Which paths find sessions: PostgreSQL's jsonpath, as far as an index answers it."""

import json

import psycopg
import pytest

from tests.integration.metadata_paths import ALLOWED, REFUSED
from tests.support.bundle import Bundle
from tests.support.servers.databases import Database

JUDGED = "select robot_brain.metadata_path(%s)::text"


def detail(admin: psycopg.Connection, path: str) -> dict[str, str]:
    """Return the DETAIL with which a path is refused."""
    with pytest.raises(psycopg.Error) as raised:
        admin.execute(JUDGED, [path])
    assert raised.value.sqlstate == "RB431"
    return dict(json.loads(raised.value.diag.message_detail or ""))


def test_a_path_of_equality_predicates_is_allowed_and_keeps_its_meaning(database: Database) -> None:
    with database.admin() as admin:
        for path in ALLOWED:
            row = admin.execute(JUDGED, [path]).fetchone()
            assert row is not None
            selects = row[0].startswith("exists")
            plain = admin.execute("select %s::jsonpath::text", [path]).fetchone()
            assert plain == (row[0][len("exists (") : -1] if selects else row[0],), path


@pytest.mark.parametrize("reason", REFUSED)
def test_any_other_path_is_refused_with_the_reason(database: Database, bundle: Bundle, reason: str) -> None:
    with database.admin() as admin:
        for path in REFUSED[reason]:
            assert detail(admin, path) == {"path": reason}, path
    for path in REFUSED[reason][1:]:
        reply = bundle.sessions(path=path)
        assert reply.status == 422, path
        (error,) = reply.json["errors"]
        assert error["loc"] == ["query", "path"]
        assert error["type"] in (f"path_{reason}", "text"), path


@pytest.mark.parametrize(
    ("tenant", "path", "inside"),
    [
        ("acme", '$.a == "$"', '($."acme"."a" == "$")'),
        ("acme", '$."$" == 1 || "@ $" == $', '($."acme"."$" == 1 || "@ $" == $."acme")'),
        ("acme", "$ ? (@.a == 1)", 'exists ($."acme"?(@."a" == 1))'),
        ('"', '$."\\"$" == "\\\\"', '($."\\""."\\"$" == "\\\\")'),
        ("$", "$.a[*] == 1", '($."$"."a"[*] == 1)'),
        ("a.b ? (@ == 1)", "$.a == 1", '($."a.b ? (@ == 1)"."a" == 1)'),
    ],
)
def test_a_path_begins_at_the_metadata_of_the_tenant(database: Database, tenant: str, path: str, inside: str) -> None:
    call = "select robot_brain.tenant_path(%s, robot_brain.metadata_path(%s))::text"
    with database.admin() as admin:
        assert admin.execute(call, [tenant, path]).fetchone() == (inside,)
