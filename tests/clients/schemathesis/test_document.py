"""Schemathesis holds docs/openapi.json against the API of `make run`: requests with a fixed seed, two minutes at most.

A limit of time ends a slow run early, so no test asks for a number of requests that a slow machine cannot reach.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]
SEED = "17"
_DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"
_SETTINGS = Path(__file__).with_name("schemathesis.toml")
_PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Run:
    """What a run printed and reported."""

    printed: str
    report: Document

    @property
    def failures(self) -> set[str]:
        """The titles of what was found."""
        return {failure["title"] for failure in self.report["failures"]}

    @property
    def links(self) -> int:
        """How many links of the document were followed."""
        found = re.search(r"API Links: +(\d+) covered", self.printed)
        return int(found[1]) if found else 0


def schemathesis(document: Path, url: str, folder: Path, *options: str) -> Run:
    """Run Schemathesis and return what it found."""
    report = folder / "report.json"
    arguments = ["--url", url, "--seed", SEED, "--no-color", "--report", "json", "--report-json-path", str(report)]
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_SETTINGS), "run"]
    done = subprocess.run(
        [*command, str(document), *arguments, *options],
        cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    return Run(done.stdout, json.loads(report.read_text()))


@pytest.mark.parametrize(
    ("phases", "seconds"), [("examples,coverage,fuzzing", 45), ("stateful", 40)], ids=["each route", "links"]
)
def test_the_api_does_what_the_document_says(
    api: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], phases: str, seconds: int
) -> None:
    run = schemathesis(_DOCUMENT, api, tmp_path, "--phases", phases, f"--max-time={seconds}")
    cases = run.report["test_cases"]
    with capfd.disabled():
        print(f"\n{phases}: {cases['generated']} requests, {run.links} links followed, seed {SEED}")
    assert run.report["failures"] == [], run.printed
    assert run.report["errors"] == [], run.printed
    assert run.report["operations"]["tested"] == run.report["operations"]["total"] or phases == "stateful"
    assert cases["generated"] > 100
    assert run.links > 10 or phases != "stateful"


def without_a_status(document: Document) -> None:
    del document["paths"]["/sessions/{session_id}"]["get"]["responses"]["422"]


def with_another_type(document: Document) -> None:
    document["components"]["schemas"]["Health"]["properties"]["status"] = {"type": "integer"}


def with_a_header_that_is_never_sent(document: Document) -> None:
    answer = document["paths"]["/sessions/{session_id}"]["patch"]["responses"]["200"]
    answer["headers"] = {"X-Never-Sent": {"required": True, "schema": {"type": "string"}}}


def without_a_rule(document: Document) -> None:
    """A text is documented as a number, so that a right request is refused and a wrong one is taken."""
    [limit] = (each for each in document["paths"]["/users"]["get"]["parameters"] if each["name"] == "limit")
    limit["schema"] = {"type": "integer", "minimum": 5, "maximum": 6}


@pytest.mark.parametrize(
    ("change", "operation", "failure"),
    [
        (without_a_status, "read_session", "Undocumented status code"),
        (with_another_type, "health", "Response violates schema"),
        (with_a_header_that_is_never_sent, "edit_session", "Missing required response headers"),
        (without_a_rule, "list_users", "Schema-violating request accepted"),
    ],
)
def test_a_wrong_document_is_found(
    api: str, tmp_path: Path, change: Callable[[Document], None], operation: str, failure: str
) -> None:
    document = copy.deepcopy(json.loads(_DOCUMENT.read_text()))
    change(document)
    wrong = tmp_path / "openapi.json"
    wrong.write_text(json.dumps(document))
    run = schemathesis(wrong, api, tmp_path, "--include-operation-id", operation, "--phases=examples,coverage")
    assert failure in run.failures, run.printed
