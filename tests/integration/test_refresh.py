"""When the schedule refreshes the statistics: if the compute is awake, or if only the schedule refreshes them."""

import json
from typing import Any

import pytest

from tests.integration.refresh_state import refreshed_at
from tests.support.bundle import deployed, turn
from tests.support.neon.api import NeonApi
from tests.support.servers.databases import Database


def emitted(capfd: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the log lines since the last call, and the last one that has metrics."""
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return lines, [line for line in lines if "_aws" in line][-1]


def connections(database: Database) -> int:
    """Return the number of connections of the functions' role. A function keeps the one that it opened."""
    with database.admin() as admin:
        row = admin.execute(
            "select count(*) from pg_stat_activity"
            " where usename like 'robot_brain_app%' and datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_schedule_does_not_wake_a_suspended_compute(
    database: Database, api: NeonApi, capfd: pytest.CaptureFixture[str]
) -> None:
    before = refreshed_at(database)
    with deployed({"DATABASE_URL": database.app_url, **api.environment}) as bundle:
        assert bundle.refresh() == {"skipped": "suspended"}
        assert connections(database) == 0
        [line], metrics = emitted(capfd)
    assert api.calls == 1
    assert refreshed_at(database) == before
    assert (line["route"], line["status"], line["skipped"]) == ("schedule", "skipped", "suspended")
    assert metrics["RefreshesSkipped"] == [1.0]


def test_the_schedule_refreshes_if_the_compute_is_awake(database: Database) -> None:
    with (
        NeonApi(lambda: "active") as api,
        deployed({"DATABASE_URL": database.app_url, **api.environment}) as bundle,
    ):
        bundle.write("s", turn())
        assert "as_of" in bundle.refresh()
        assert bundle.stats().json["totals"]["messages"] == 1
        assert api.calls == 1, "a request of a client does not call Neon's API"


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("fault", ["401", "503", "init", "garbage", "hang"])
def test_the_schedule_does_not_wake_the_compute_if_neons_api_fails(
    database: Database,
    api: NeonApi,
    capfd: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    if fault.isdigit():
        api.fail(int(fault))
    elif fault == "hang":
        api.hang()
    else:
        api.answer(b'{"endpoint": {"current_state": "init"}}' if fault == "init" else b"garbage")
    with deployed({"DATABASE_URL": database.app_url, **api.environment}) as bundle:
        bundle.context.milliseconds = 900
        assert bundle.refresh() == {"skipped": "unknown"}
        assert connections(database) == 0
        logs, metrics = emitted(capfd)
        assert [(line["level"], line["message"]) for line in logs] == [
            ("WARNING", "the state of the compute is unknown"),
            ("INFO", "answered"),
        ]
        assert metrics["RefreshesSkipped"] == [1.0]
        api.mend()
        bundle.context.milliseconds = 10_000
        assert bundle.refresh() == {"skipped": "suspended"}


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_the_schedule_refreshes_although_neons_api_fails_if_readers_do_not_refresh(
    database: Database, api: NeonApi
) -> None:
    api.fail(503)
    environment = {"DATABASE_URL": database.app_url, "STATS_MAX_AGE": "0", **api.environment}
    with deployed(environment) as bundle:
        assert "as_of" in bundle.refresh()
        api.mend()
        assert bundle.refresh() == {"skipped": "suspended"}
