"""Changed files while `make run` runs: the next request runs new code, and other files need a restart."""

import json
import re
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.local_stack import Stack, call, running_of
from tests.support.checkouts import copy_checkout
from tests.support.waiting import PATIENCE_SECONDS, wait_until

HEALTH = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": '{"code": "%s"}'}
"""
SLOW = """
import pathlib, time
def handler(event, context):
    pathlib.Path("%(folder)s/began").touch()
    while not pathlib.Path("%(folder)s/go").exists():
        time.sleep(0.02)
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": '{"code": "slow"}'}
"""


@pytest.fixture
def checkout(folder: Path) -> Path:
    return copy_checkout(folder / "checkout")


@pytest.fixture
def stack(folder: Path, checkout: Path) -> Iterator[Stack]:
    # Without a database the start is quick, and GET /health needs none.
    with running_of(checkout, folder / "state", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none") as started:
        yield started


def save(path: Path, text: str) -> None:
    """Save a file as an editor does: completely, under another name, and then in place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def failure_of(url: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as error:
        call(url)
    return error.value.code, json.loads(error.value.read())["message"]


def test_the_next_request_runs_the_changed_code_of_a_function_and_the_terminal_names_the_file(
    checkout: Path, stack: Stack
) -> None:
    health = checkout / "functions" / "health.py"
    assert call(f"{stack.url}/health")["status"] == "ok"
    for code in ("one", "two", "six"):  # of one length, and saved within a second
        save(health, HEALTH % code)
        assert call(f"{stack.url}/health") == {"code": code}
    assert stack.output.read_text().count("Picked up functions/health.py.") == 3


def test_the_next_request_runs_the_changed_code_of_the_layer(checkout: Path, stack: Stack) -> None:
    assert call(f"{stack.url}/health")["status"] == "ok"
    module = checkout / "layers" / "robot_brain" / "robot_brain" / "http" / "__init__.py"
    save(module, module.read_text() + "\nraise RuntimeError('the layer was imported')\n")
    assert failure_of(f"{stack.url}/health") == (500, "Internal Server Error")
    assert "Picked up layers/robot_brain/robot_brain/http/__init__.py." in stack.output.read_text()


def test_a_syntax_error_is_named_in_the_log_and_on_the_terminal_and_the_next_save_repairs_it(
    checkout: Path, stack: Stack
) -> None:
    health = checkout / "functions" / "health.py"
    good = health.read_text()
    save(health, "def handler(event, context):\n    return {\n")
    assert failure_of(f"{stack.url}/health") == (500, "Internal Server Error")
    printed = stack.output.read_text()
    assert re.search(r"HealthFunction failed: Runtime\.UserCodeSyntaxError: .*health\.py, line 2", printed), printed
    assert "UserCodeSyntaxError" in (stack.state / "logs" / "HealthFunction.log").read_text()
    save(health, good)
    assert call(f"{stack.url}/health")["status"] == "ok"


def test_a_running_request_ends_in_the_old_code_while_the_next_one_runs_the_new_code(
    folder: Path, checkout: Path, stack: Stack
) -> None:
    health = checkout / "functions" / "health.py"
    save(health, SLOW % {"folder": folder})
    answers: list[object] = []
    running = threading.Thread(target=lambda: answers.append(call(f"{stack.url}/health")))
    running.start()
    wait_until((folder / "began").exists)
    save(health, HEALTH % "new")
    assert call(f"{stack.url}/health") == {"code": "new"}
    (folder / "go").touch()
    running.join(PATIENCE_SECONDS)
    assert answers == [{"code": "slow"}]
    assert call(f"{stack.url}/health") == {"code": "new"}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("template.yaml", "Restart make run to use it."),
        ("sql/functions/robot_brain/schema_version.sql", "need make migrate with DIRECT_DATABASE_URL."),
        ("local/greeting.py", "Restart make run to use it."),
        ("layers/robot_brain/contract/turns.py", "Run make contract"),
    ],
)
def test_a_changed_file_that_is_not_code_of_the_functions_is_named_with_what_to_do(
    checkout: Path, stack: Stack, name: str, advice: str
) -> None:
    save(checkout / name, (checkout / name).read_text() + "\n")
    stack.wait_until_printed(rf"Not picked up: {re.escape(name)}\. .*{re.escape(advice)}")
    assert call(f"{stack.url}/health")["status"] == "ok"
    assert "Picked up " not in stack.output.read_text()
