"""The functions of the previous commit work with the present schema: an upgrade migrates first and deploys later."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.settings import ROOT
from robot_brain.database.api import SCHEMA_VERSION
from tests.support.servers.databases import Database

DATABASE = "health of the database"
# Each is (file of functions/, file of events/). They run in this order in one execution environment.
CALLS = {
    "a write": ("write_message", "write_message"),
    "a batch": ("write_message", "write_message_batch"),
    "a write with a key": ("write_message", "write_message_idempotent"),
    "its replay": ("write_message", "write_message_idempotent"),
    "a read": ("read_session", "read_session"),
    "a refresh of the schedule": ("stats", "schedule"),
    "the statistics": ("stats", "stats"),
    "the statistics of a session": ("stats", "stats_session"),
    "health": ("health", "health"),
    DATABASE: ("stats", "stats_database_health"),
}
# In commits from before the route moved to StatsFunction, HealthFunction serves it.
BEFORE_THE_MOVE = ("health", "health_database")
_RUN = """
import importlib, json, pathlib, sys

class Context:
    function_name = "Function"
    aws_request_id = "request"
    def get_remaining_time_in_millis(self):
        return 28000

for function, event in json.loads(sys.argv[1]):
    event = json.loads(pathlib.Path("events", event + ".json").read_text())
    print("ANSWER " + json.dumps(importlib.import_module(function).handler(event, Context())))
"""


@pytest.fixture
def previous_commit(tmp_path: Path) -> Path:
    """A folder with functions/, layers/ and events/ of the previous commit."""
    archive = tmp_path / "before.tar"
    with archive.open("wb") as output:
        try:
            made = subprocess.run(
                ["git", "archive", "HEAD~1", "functions", "layers/robot_brain", "events"],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            pytest.skip("git is not installed")
    if made.returncode:
        pytest.skip(f"this checkout lacks the previous commit: {made.stderr.strip()}")
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    return tmp_path


@pytest.mark.parametrize("database", ["embedded", "pooled"], indirect=True)
def test_the_functions_of_the_previous_commit_work_with_the_present_schema(
    database: Database, previous_commit: Path
) -> None:
    calls = dict(CALLS)
    if (previous_commit / "events" / "health_database.json").exists():
        calls[DATABASE] = BEFORE_THE_MOVE
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(list(calls.values()))],
        cwd=previous_commit,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": f"{previous_commit / 'functions'}:{previous_commit / 'layers/robot_brain'}",
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
    assert {name: answer["statusCode"] for name, answer in answers.items()} == {
        name: 201 if function == "write_message" else 200
        for name, (function, _) in CALLS.items()
        if name != "a refresh of the schedule"
    }, done.stdout
    assert answers["its replay"]["body"] == answers["a write with a key"]["body"]
    assert answers["its replay"]["headers"]["idempotent-replayed"] == "true"
    # If the schema is newer than the functions, the report says so, and every request still succeeds.
    assert json.loads(answers[DATABASE]["body"])["reasons"] == (
        [] if version_of(previous_commit) == SCHEMA_VERSION else ["schema"]
    )
    assert "counted" in json.dumps(refreshed)


def version_of(checkout: Path) -> int:
    """Return the schema version that the functions of a checkout need."""
    text = (checkout / "layers/robot_brain/robot_brain/database/api.py").read_text()
    found = re.search(r"^SCHEMA_VERSION = ([0-9]+)$", text, re.MULTILINE)
    assert found
    return int(found[1])
