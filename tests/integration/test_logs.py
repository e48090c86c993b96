"""No log line holds a user's text, also if the request fails."""

import json

import pytest

from robot_brain import telemetry
from tests.support.bundle import Bundle, deployed, turn
from tests.support.private_text import PRIVATE
from tests.support.servers.databases import Database


def private_turn(**fields: object) -> dict[str, object]:
    """Return a turn with PRIVATE in each place that can hold a user's words."""
    return {
        **turn(
            user_message=f"u {PRIVATE}",
            robot_response=f"r {PRIVATE}",
            metadata={f"k {PRIVATE}": f"v {PRIVATE}"},
        ),
        **fields,
    }


def test_no_log_line_holds_a_users_text(bundle: Bundle, database: Database, capfd: pytest.CaptureFixture[str]) -> None:
    key = {"idempotency-key": "k"}
    metadata = {"user_metadata": {"m": PRIVATE}}
    statuses = [
        bundle.write("s", {**private_turn(), **metadata}, key).status,
        bundle.write("s", {**private_turn(), **metadata}, key).status,
        bundle.write("s", private_turn(metadata={"x": PRIVATE}), key).status,
        bundle.write("s", {"messages": [private_turn()] * 3}).status,
        bundle.write("s", private_turn(), {"if-match": '"77"'}).status,
        bundle.write("s", private_turn(unknown=PRIVATE)).status,
        bundle.write("s", private_turn(user_message=f"{PRIVATE}\0")).status,
        bundle.write("s", private_turn(metadata={"x": PRIVATE * 2000})).status,
        bundle.write("s", {**private_turn(), "user_metadata": {str(n): PRIVATE for n in range(400)}}).status,
        bundle.write("s", {**private_turn(), "user_metadata": {str(n): PRIVATE for n in range(500, 900)}}).status,
        bundle.write("s", json.dumps(private_turn())[:-5]).status,
        bundle.write("s", private_turn(), {"content-type": "text/plain"}).status,
        bundle.read("s").status,
        bundle.stats().status,
    ]
    # A database without the schema, a server that is away, and settings that cannot be read.
    with database.admin() as admin:
        admin.execute("drop schema robot_brain_api cascade")
    statuses.append(bundle.write("s", private_turn()).status)
    with deployed({"DATABASE_URL": "postgresql://app:secret@127.0.0.1:1/none", "DB_MAX_RETRIES": "1"}) as away:
        statuses.append(away.write("s", private_turn()).status)
    with deployed({"DATABASE_URL": f"{PRIVATE} is no URL"}) as wrong:
        statuses.append(wrong.write("s", private_turn()).status)
    # fmt: off
    assert statuses == [201, 201, 422, 201, 412, 422, 422, 422, 201, 422, 400, 415, 200, 200, 503, 503, 500]
    # fmt: on
    out, err = capfd.readouterr()
    lines = (out + err).splitlines()
    assert sum('"message":"answered"' in line for line in lines) == len(statuses)
    assert [line for line in lines if PRIVATE in line or "secret" in line] == []


def test_the_log_of_postgresql_holds_no_users_text(bundle: Bundle, database: Database) -> None:
    bundle.write("s", private_turn(), {"idempotency-key": "k"})
    bundle.write("s", private_turn(user_message=PRIVATE), {"idempotency-key": "k"})
    bundle.write("s", private_turn(), {"if-match": '"77"'})
    for start in (0, 500):
        bundle.write("s", {**private_turn(), "user_metadata": {str(n): PRIVATE for n in range(start, start + 400)}})
    log = database.postgres.process.log.read_text(errors="replace")
    assert "the session is not in the state that If-Match names" in log
    assert PRIVATE not in log


def private_user(**fields: object) -> dict[str, object]:
    """Return a user with PRIVATE in each place that can hold it."""
    profile = {"first_name": PRIVATE, "last_name": PRIVATE, "avatar_url": f"https://{PRIVATE}"}
    return {"email": f"{PRIVATE}@b", "password_hash": f"$x${PRIVATE}-and-a-long-salt", "profile": profile, **fields}


def test_no_log_line_holds_what_describes_a_person_or_a_query(
    bundle: Bundle, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    key = {"idempotency-key": "k"}
    statuses = [
        bundle.user("PUT", "ann", private_user()).status,
        bundle.user("PUT", "ann", private_user(), {"if-match": '"0"'}).status,
        bundle.user("PATCH", "ann", private_user(profile=None)).status,
        bundle.user("PUT", "bob", private_user()).status,
        bundle.create_user(private_user()).status,
        bundle.create_user(private_user(email=f"other {PRIVATE}")).status,
        bundle.create_user(private_user(email=f"other{PRIVATE}@b"), key).status,
        bundle.create_user(private_user(), key).status,
        bundle.create_user(private_user(**{PRIVATE: PRIVATE})).status,
        bundle.create_user(private_user(password_hash=PRIVATE)).status,
        bundle.create_user(json.dumps(private_user())[:-5]).status,
        bundle.users(email=f"{PRIVATE}@b").status,
        bundle.users(email=PRIVATE).status,
        bundle.users(**{PRIVATE: PRIVATE}).status,
        bundle.users(cursor=PRIVATE).status,
        bundle.users(cursor=PRIVATE.encode().hex()).status,
        bundle.users().status,
        bundle.user("GET", "ann").status,
        bundle.export("ann").status,
        bundle.count_user("ann").status,
        bundle.user("DELETE", "ann").status,
    ]
    with database.admin() as admin:
        admin.execute("drop schema robot_brain_api cascade")
    statuses += [bundle.create_user(private_user()).status, bundle.users(email=f"{PRIVATE}@b").status]
    # fmt: off
    assert statuses == [
        201, 412, 200, 422, 422, 422, 201, 422, 422, 422, 400, 200, 422, 422, 422, 422, 200, 200, 200, 200, 204,
        503, 503,
    ]
    # fmt: on
    out, err = capfd.readouterr()
    lines = (out + err).splitlines()
    assert sum('"message":"answered"' in line for line in lines) == len(statuses)
    assert [line for line in lines if PRIVATE.casefold() in line.casefold()] == []


def test_a_request_gives_one_line_for_log_and_metrics(bundle: Bundle, capfd: pytest.CaptureFixture[str]) -> None:
    bundle.write("s", turn())
    bundle.read("s")
    wrote, read = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (wrote["route"], read["route"]) == ("POST /sessions/{session_id}/messages", "GET /sessions/{session_id}")
    assert wrote["session_id"] == read["session_id"] == "s"
    assert (wrote["turns"], wrote["status"], wrote["level"]) == (1, 201, "INFO")
    assert "turns" not in read
    metrics = {metric["Name"] for metric in wrote["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert metrics >= {"Milliseconds", "QueryMilliseconds", "ConnectionsOpened"}
    assert wrote["ConnectionsOpened"] == [1.0]
    assert read["ConnectionsReused"] == [1.0]


def test_a_higher_log_level_still_logs_metrics_and_failures(
    bundle: Bundle, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    # POWERTOOLS_LOG_LEVEL sets the level when the logger is created. All tests of this process share one logger.
    telemetry.logger().setLevel("WARNING")
    try:
        bundle.write("s", turn())
        with database.admin() as admin:
            admin.execute("drop schema robot_brain_api cascade")
        bundle.read("s")
    finally:
        telemetry.logger().setLevel("INFO")
    wrote, failed = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert "route" not in wrote
    assert wrote["ConnectionsOpened"] == [1.0]
    assert (failed["level"], failed["status"], failed["error"]) == ("ERROR", 503, "SchemaMissingError")
