"""Every command in README.md and docs/ is run as it stands there, and prints what the document shows.

All run on one local stack. After `AUTH=jwt make run` the other commands of a document run on a
stack of its own that checks tokens.
`DIRECT_DATABASE_URL` is a database of the document's own: what an operator does is done there.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from local.settings import ROOT
from tests.e2e.documented_commands import KINDS, MARKS, Block, blocks, commands, difference, make_calls
from tests.e2e.local_stack import Stack, environment, open_folder, running
from tests.support.searching import CUT_SHORT
from tests.support.servers.databases import create_database
from tests.support.servers.postgres import MIGRATOR, start_embedded
from tests.support.waiting import PATIENCE_SECONDS, wait_until

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
COMMANDS = [document for document in DOCUMENTS if any(not each.block.marked for each in commands(document))]
# It begins with an empty database.
FIRST = ROOT / "docs" / "deploy.md"
ADDRESS = "http://127.0.0.1:3000"
# The packages are there, or no test would run: make, and a make that it calls, does not look how new they are.
MAKE = "make -o .venv/run -o .venv/test"
SHELL = f"set -euo pipefail; make() {{ command {MAKE} MAKE='{MAKE}' \"$@\"; }}\n"
# What a reader exported before. The local front does not check a signature.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_SESSION_TOKEN": "example",
    "AWS_REGION": "eu-central-1",
}
# An empty database beside that of a document. backup.md restores into it, and calls it COPY_URL.
COPY = "brain_copy"
# An operator's commands take the database from it. `make invoke` refuses it without DATABASE_URL.
OPERATORS = re.compile(r"make (migrate|app-password|ops)\b")
SEARCHES = 20
RUN = re.compile(r"((?:[A-Z_]+=\S+ )*)make run((?: [A-Z_]+=\S+)*)(?: +#.*)?")


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack that the commands of all documents talk to; its folder is as conftest's `folder`, for the module."""
    with open_folder() as folder, running(folder / "state") as shared:
        yield shared


@contextmanager
def operators_database(document: Path) -> Iterator[str]:
    """Yield the URL of a database as the role that owns it. It has a server of its own, because logins are a server's.

    It is empty for FIRST, and all other documents are about a database with a login, as FIRST and a refresh leave
    it.
    """
    server = start_embedded()
    try:
        with server.admin() as admin:
            create_database(admin, "documents")
            create_database(admin, COPY)
            # The role of Neon's console has it, and a backup needs it.
            admin.execute(f"alter role {MIGRATOR} bypassrls".encode())
        url = server.direct_url("documents")
        for command in () if document == FIRST else ("migrate", "app-password"):
            subprocess.run(
                [sys.executable, "-m", "ops", command],
                cwd=ROOT,
                env={**os.environ, "DIRECT_DATABASE_URL": url},
                capture_output=True,
                check=True,
            )
        if document != FIRST:
            with server.admin("documents") as admin:
                admin.execute("select robot_brain_api.chain_audit()")
        yield url
    finally:
        server.stop()


def is_operators(block: Block) -> bool:
    """Return whether a block has a command that takes its database from DIRECT_DATABASE_URL."""
    return OPERATORS.search(block.text) is not None


def started(stack: Stack) -> str:
    """Return what a stack prints until it is ready, as if its state folder were the usual one."""
    wait_until(lambda: "curl" in stack.output.read_text(), stack.output.read_text)
    return stack.output.read_text().replace(str(stack.state), ".local")


class Reader:
    """Runs the commands of one document in order, as a reader does. At the end, it stops each stack that it started."""

    def __init__(self, stack: Stack, direct_url: str | None, folder: Path, started_stacks: ExitStack) -> None:
        self._stack = stack
        self._direct_url = direct_url
        self._folder = folder
        self._started_stacks = started_stacks

    def run(self, block: Block) -> tuple[str, str]:
        """Run a block and return what it prints to stdout and stderr. Fails if it fails."""
        if found := RUN.fullmatch(block.text.strip()):
            return self._start(block, dict(each.split("=", 1) for each in (found[1] + found[2]).split())), ""
        operators = {}
        if self._direct_url and is_operators(block):
            copy = make_conninfo(self._direct_url, dbname=COPY)
            operators = {"DIRECT_DATABASE_URL": self._direct_url, "COPY_URL": copy}
        done = subprocess.run(
            ["bash", "-c", SHELL + block.text.replace(ADDRESS, self._stack.url)],
            cwd=ROOT,
            env=environment(self._stack.state, API=self._stack.url, **CREDENTIALS, **operators),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block} fails:\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def _start(self, block: Block, variables: dict[str, str]) -> str:
        """Return what `make run` prints with these variables. With AUTH the next commands go to this stack."""
        if not variables:
            return started(self._stack)
        state = self._folder / f"state-{block.line}"
        if "AUTH" in variables:
            self._stack = self._started_stacks.enter_context(running(state, **variables))
            return started(self._stack)
        with running(state, **{**variables, "PORT": "0"}) as other:
            return started(other)


@pytest.mark.parametrize("document", COMMANDS, ids=name)
def test_each_command_of_a_document_runs_and_prints_what_the_document_shows(
    document: Path, stack: Stack, folder: Path
) -> None:
    if shutil.which("curl") is None and os.environ.get("CI") != "true":
        pytest.skip("the documents' commands need curl")
    run = [command for command in commands(document) if not command.block.marked]
    with ExitStack() as started_stacks:
        direct_url = None
        if any(is_operators(command.block) for command in run):
            direct_url = started_stacks.enter_context(operators_database(document))
        reader = Reader(stack, direct_url, folder, started_stacks)
        for command in run:
            output = reader.run(command.block)
            # A page of a search is cut short on a slow machine. The reader asks again for a whole one.
            for _ in range(SEARCHES):
                if CUT_SHORT not in output[0]:
                    break
                output = reader.run(command.block)
            if command.output is not None:
                found = difference(command.output, *output)
                assert found is None, f"{command.output} is not what {command.block} prints: {found}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_block_of_a_document_says_what_it_is(document: Path) -> None:
    """A command of another kind than `sh` would never be run."""
    unknown = [f"{block}: {block.kind!r}" for block in blocks(document) if block.kind not in KINDS]
    assert unknown == [], f"name one of {', '.join(KINDS)} after the fence"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_a_command_that_is_not_run_says_what_it_needs(document: Path) -> None:
    bare = [str(each.block) for each in commands(document) if each.block.above in MARKS]
    assert bare == [], "write what it needs after the mark"
    assert [str(each.output) for each in commands(document) if each.block.marked and each.output] == [], (
        "the output of a command that is not run is not compared: show it without `Output:`"
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_make_target_of_a_document_exists(document: Path) -> None:
    for arguments in sorted(make_calls(document)):
        done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"make {' '.join(arguments)}: {done.stderr}"
