"""An end user gets 403 for what is of all users, but 422 for a wrong parameter."""

import pytest

from tests.support.bundle import Json, changed, deployed, event
from tests.support.servers.databases import Database

CLAIMS = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant", "ALL_USERS_SCOPE": "all"}
FUNCTIONS = {"/audit": "read_audit", "/users": "read_user", "/health/database": "stats"}


def sent(path: str, query: str, scope: str) -> Json:
    """Return an event of a token with these scopes."""
    request = changed(event("read_audit"), path, {}, query)
    request["routeKey"] = f"GET {path}"
    claims = {"sub": "ann", "tenant": "local", "scope": scope}
    request["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    return request


@pytest.mark.parametrize("path", ["/audit", "/users", "/health/database"])
def test_a_wrong_parameter_is_422_also_for_an_end_user_who_otherwise_gets_403(database: Database, path: str) -> None:
    with deployed({"DATABASE_URL": database.app_url, **CLAIMS}) as functions:
        for query, status in (("", 403), ("unknown=1", 422)):
            assert functions.call(FUNCTIONS[path], sent(path, query, "openid")).status == status, query


def test_an_end_user_gets_403_for_the_audit_trail_with_any_right_parameters_and_a_service_gets_a_page(
    database: Database,
) -> None:
    with deployed({"DATABASE_URL": database.app_url, **CLAIMS}) as functions:
        for query, wrong in (
            ("", False), ("record=ann", False), ("user=ann", False), ("from=x", True), ("limit=0", True),
        ):  # fmt: skip
            for scope, status in (("openid", 403), ("openid all", 200)):
                reply = functions.call("read_audit", sent("/audit", query, scope))
                assert reply.status == (422 if wrong else status), (query, scope)
        # Only SQL reads a cursor, and an end user gets its 403 before.
        statuses = [functions.call("read_audit", sent("/audit", "cursor=00", each)).status for each in ("a", "all")]
        assert statuses == [403, 422]
