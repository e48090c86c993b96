"""README.md and docs/ agree with the project: their links, routes, settings and figures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local.settings import ROOT
from tests.support.documented import operations

README = ROOT / "README.md"
# Without the documents of packages that are installed in examples.
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(document for folder in ("docs", "examples", "clients") for document in (ROOT / folder).rglob("*.md")),
        ROOT / "sql" / "README.md",
    ]
    if "node_modules" not in path.parts
)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCED = re.compile(r"^\s*```.*?^\s*```", re.MULTILINE | re.DOTALL)


class _Template(yaml.SafeLoader):
    """A loader for template.yaml that reads each intrinsic function as None."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: None)


def name(document: Path) -> str:
    """Return the path of a document in the project."""
    return str(document.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = _HEADING.findall(_FENCED.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_link_of_a_document_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_readme_has_at_most_150_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("document", [README, ROOT / "docs" / "api.md"], ids=name)
def test_each_route_is_in_the_table_of_endpoints(document: Path) -> None:
    rows = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for route in operations():
        method, path = route.split()
        assert any(method in row and f"{path}`" in row for row in rows), route


def test_docs_measured_has_the_committed_results() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench.measured", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run python -m tests.bench.measured"


def test_the_figures_in_the_table_of_readme_are_those_of_docs_measured() -> None:
    written = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if re.match(r"\|.*\d\.\d\d \|$", line)]
    assert rows
    assert [row for row in rows if row not in written] == []


def test_each_variable_and_parameter_of_the_template_is_in_docs_settings() -> None:
    template = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Template)
    variables = set(template["Globals"]["Function"]["Environment"]["Variables"])
    for resource in template["Resources"].values():
        variables |= set(resource["Properties"].get("Environment", {}).get("Variables", {}))
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [each for each in sorted(variables | set(template["Parameters"])) if f"`{each}`" not in settings] == []


def test_each_variable_that_the_layer_reads_is_in_docs_settings() -> None:
    source = (ROOT / "layers" / "robot_brain" / "robot_brain" / "settings.py").read_text(encoding="utf-8")
    read = {each for each in re.findall(r'"([A-Z][A-Z_]{6,})"', source) if not each.startswith("AWS_")}
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [each for each in sorted(read) if f"`{each}`" not in settings] == []
