"""An older schema refuses newer functions, so that it cannot lose fields that it does not know."""

from collections.abc import Callable
from typing import Any

import pytest

from robot_brain.database import api as calls
from robot_brain.errors import SchemaOutdatedError
from tests.support.bundle import Bundle, Reply, turn
from tests.support.log_lines import logged
from tests.support.servers.databases import Database

REQUESTS: dict[str, Callable[[Bundle], Reply]] = {
    "a write": lambda bundle: bundle.write("s", turn()),
    "a write with a key": lambda bundle: bundle.write("s", turn(), {"idempotency-key": "k"}),
    "a read": lambda bundle: bundle.read("s"),
    "a replacement": lambda bundle: bundle.replace("s", 1, {"user_message": "", "robot_response": ""}),
    "a patch": lambda bundle: bundle.patch("s", {}),
    "a removal": lambda bundle: bundle.remove("s", 0),
    "an erasure": lambda bundle: bundle.erase("s"),
    "the list": lambda bundle: bundle.sessions(),
    "a creation of a user": lambda bundle: bundle.create_user({}),
    "a creation of a user with a key": lambda bundle: bundle.create_user({}, {"idempotency-key": "user"}),
    "a replacement of a user": lambda bundle: bundle.user("PUT", "ann", {}),
    "a patch of a user": lambda bundle: bundle.user("PATCH", "ann", {"email": "a@b"}),
    "a user": lambda bundle: bundle.user("GET", "ann"),
    "the users": lambda bundle: bundle.users(),
    "the user with an e-mail": lambda bundle: bundle.users(email="a@b"),
    "an export": lambda bundle: bundle.export("ann"),
    "a dry run": lambda bundle: bundle.count_user("ann"),
    "an erasure of a user": lambda bundle: bundle.user("DELETE", "ann"),
    "the statistics": lambda bundle: bundle.stats(),
    "the statistics of a session": lambda bundle: bundle.stats(session_id="s"),
}

# One function of the database compares the versions. On the other servers the tests below call it.
each_request = pytest.mark.parametrize("request_name", REQUESTS)


def set_version(database: Database, version: int) -> None:
    """Change the version of the schema."""
    with database.admin() as admin:
        admin.execute(
            "create or replace function robot_brain.schema_version() returns integer"
            f" language sql immutable parallel safe return {version}".encode()
        )


@each_request
@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_an_older_schema_refuses_a_call_and_the_log_says_what_to_do(
    bundle: Bundle, database: Database, request_name: str
) -> None:
    set_version(database, calls.SCHEMA_VERSION - 1)
    with logged() as lines:
        reply = REQUESTS[request_name](bundle)
        (line,) = lines()
    assert (reply.status, reply.json["title"]) == (503, "Schema outdated")
    assert "make migrate" in line["reason"]
    with database.admin() as admin:
        for table in ("conversations", "sessions", "idempotency_keys", "uncounted", "users", "user_erasures"):
            assert admin.execute(f"select count(*) from robot_brain.{table}".encode()).fetchone() == (0,)


def test_an_older_schema_is_unhealthy_and_refuses_a_refresh(bundle: Bundle, database: Database) -> None:
    set_version(database, calls.SCHEMA_VERSION - 1)
    reply = bundle.database_health()
    assert (reply.status, reply.json["reasons"]) == (503, ["schema"])
    with pytest.raises(SchemaOutdatedError, match="make migrate"):
        bundle.refresh()


@each_request
@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_newer_schema_serves_the_functions_of_the_previous_release(
    bundle: Bundle, database: Database, request_name: str
) -> None:
    assert bundle.write("s", turn()).status == 201
    assert bundle.user("PUT", "ann", {}).status == 201
    set_version(database, calls.SCHEMA_VERSION + 1)
    assert REQUESTS[request_name](bundle).status in (200, 201, 204)


# A new parameter as a release would add it: last, and with a default.
_ONE_MORE = """
do $$
declare
  v_text text := pg_get_functiondef('robot_brain_api.health'::regproc);
begin
  drop function robot_brain_api.health;
  execute replace(v_text, ', OUT body text)', ', p_new integer DEFAULT 0, OUT body text)');
  alter function robot_brain_api.health owner to robot_brain_owner;
  grant execute on function robot_brain_api.health to robot_brain_app;
end
$$
"""


def test_a_new_parameter_does_not_break_the_functions_of_the_previous_release(
    bundle: Bundle, database: Database
) -> None:
    with database.admin() as admin:
        admin.execute(_ONE_MORE)
        names: Any = admin.execute(
            "select proargnames from pg_proc where oid = 'robot_brain_api.health'::regproc"
        ).fetchone()
    assert "p_new" in names[0]
    assert (bundle.database_health().status, bundle.database_health().json["reasons"]) == (200, [])
