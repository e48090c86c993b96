"""Earlier functions work with the present schema: an upgrade migrates first and deploys later."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robot_brain.database.api import SCHEMA_VERSION
from tests.integration.earlier_commits import before_this_schema, checked_out
from tests.support.servers.databases import Database

DATABASE = "health of the database"
# Each is (file of functions/, file of events/, status). They run in this order in one execution environment.
CALLS = {
    "a write": ("write_message", "write_message", 201),
    "a batch": ("write_message", "write_message_batch", 201),
    "a write with a key": ("write_message", "write_message_idempotent", 201),
    "its replay": ("write_message", "write_message_idempotent", 201),
    "a read": ("read_session", "read_session", 200),
    "a replacement": ("write_message", "write_message_replace", 200),
    "a patch": ("edit_session", "edit_session", 200),
    "a list": ("read_session", "read_session_list", 200),
    "a removal": ("edit_session", "edit_session_remove", 200),
    "a refresh of the schedule": ("stats", "schedule", None),
    "the statistics": ("stats", "stats", 200),
    "the statistics of a session": ("stats", "stats_session", 200),
    "an erasure": ("edit_session", "edit_session_erase", 204),
    "a creation of a user": ("edit_user", "edit_user_create", 201),
    "a user": ("edit_user", "edit_user", 201),
    "a patch of a user": ("edit_user", "edit_user_patch", 200),
    "a read of a user": ("read_user", "read_user", 200),
    "an export": ("read_user", "read_user_export", 200),
    "a dry run": ("edit_user", "edit_user_erase_dry_run", 200),
    "an erasure of a user": ("edit_user", "edit_user_erase", 204),
    "health": ("health", "health", 200),
    DATABASE: ("stats", "stats_database_health", 200),
}
# In commits from before the route moved to StatsFunction, HealthFunction serves it.
BEFORE_THE_MOVE = ("health", "health_database", 200)
_RUN = """
import importlib, json, pathlib, sys

class Context:
    function_name = "Function"
    aws_request_id = "request"
    def get_remaining_time_in_millis(self):
        return 28000

for function, event, _ in json.loads(sys.argv[1]):
    event = json.loads(pathlib.Path("events", event + ".json").read_text())
    print("ANSWER " + json.dumps(importlib.import_module(function).handler(event, Context())))
"""


@pytest.fixture(params=["commit", "schema"])
def previous(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with functions/, layers/ and events/ of the previous commit, or of the previous schema version."""
    commit = "HEAD~1" if request.param == "commit" else before_this_schema()
    return checked_out(commit, tmp_path, "functions", "layers/robot_brain", "events")


@pytest.mark.parametrize("database", ["embedded", "pooled"], indirect=True)
def test_the_functions_of_an_earlier_commit_work_with_the_present_schema(database: Database, previous: Path) -> None:
    calls = dict(CALLS)
    if (previous / "events" / "health_database.json").exists():
        calls[DATABASE] = BEFORE_THE_MOVE
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(list(calls.values()))],
        cwd=previous,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": f"{previous / 'functions'}:{previous / 'layers/robot_brain'}",
            "DATABASE_URL": database.app_url,
            "AUTH": "none",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answers: dict[str, Any] = {}
    for name, line in zip(
        CALLS, (line for line in done.stdout.splitlines() if line.startswith("ANSWER ")), strict=True
    ):
        answers[name] = json.loads(line.removeprefix("ANSWER "))

    refreshed = answers.pop("a refresh of the schedule")
    statuses = {name: answer["statusCode"] for name, answer in answers.items()}
    assert statuses == {name: status for name, (_, _, status) in CALLS.items() if status}, done.stdout
    assert answers["its replay"]["body"] == answers["a write with a key"]["body"]
    assert answers["its replay"]["headers"]["idempotent-replayed"] == "true"
    # If the schema is newer than the functions, the report says so, and every request still succeeds.
    assert json.loads(answers[DATABASE]["body"])["reasons"] == (
        [] if version_of(previous) == SCHEMA_VERSION else ["schema"]
    )
    assert "counted" in json.dumps(refreshed)


def version_of(checkout: Path) -> int:
    """Return the schema version that the functions of a checkout need."""
    text = (checkout / "layers/robot_brain/robot_brain/database/api.py").read_text()
    found = re.search(r"^SCHEMA_VERSION = ([0-9]+)$", text, re.MULTILINE)
    assert found
    return int(found[1])
