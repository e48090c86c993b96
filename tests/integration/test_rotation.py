"""The whole rotation of the password, while two execution environments call without a pause: no request fails."""

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from local.settings import ROOT
from ops.app_password import rotate
from ops.retire import retire
from tests.integration.logins_state import logins_put_back
from tests.support.aws import moto_server, secrets_manager
from tests.support.bundle import Bundle, deployed, turn
from tests.support.marks import over_tcp
from tests.support.servers.databases import Database, Template
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.waiting import PATIENCE_SECONDS, wait_until

CLIENTS = 2
# The requests of each environment between two steps of the rotation.
REQUESTS = 60
PATHS = [str(ROOT / name) for name in (".", "functions", "layers/robot_brain")]
OLD, NEW = "robot_brain_app_a", "robot_brain_app_b"


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


class Clients:
    """Execution environments that call without a pause."""

    def __init__(self, processes: list["subprocess.Popen[str]"]) -> None:
        self._processes = processes

    def go_on(self) -> list[object]:
        """Wait until each environment has sent REQUESTS more requests. Return all that failed since they began."""
        failed: list[object] = []
        for process in self._processes:
            sent, _ = _report(process)
            while (now := _report(process))[0] < sent + REQUESTS:
                pass
            failed += now[1]
        return failed

    def end(self) -> None:
        """End the environments."""
        for process in self._processes:
            _end(process)


def _report(process: "subprocess.Popen[str]") -> tuple[int, list[object]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    report = json.loads(process.stdout.readline())
    return report["sent"], report["failed"]


@contextmanager
def clients(variables: Mapping[str, str]) -> Iterator[Clients]:
    """Run CLIENTS environments with these variables during the block."""
    with ExitStack() as stack:
        processes = []
        for _ in range(CLIENTS):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.rotating_client"],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.pathsep.join(PATHS), **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(_end, process)
            processes.append(process)
        yield Clients(processes)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()


def open_connections(database: Database, role: str) -> int:
    with database.admin() as admin:
        row = admin.execute("select count(*) from pg_stat_activity where usename = %s", [role]).fetchone()
    assert row is not None
    return int(row[0])


def new_url(request: pytest.FixtureRequest, database: Database) -> str:
    """Rotate, and return the URL as the functions get it: through the pooler, if there is one."""
    role, before, url = rotate(database.direct_url)
    assert (role, before and before.name) == (NEW, OLD)
    if database.kind != "pooled":
        return url
    pooler: PgBouncer = request.getfixturevalue("pooler")
    return pooler.address.url(role, str(urlsplit(url).password), database.name)


@over_tcp
def test_a_rotation_with_a_secret_fails_no_request(request: pytest.FixtureRequest, database: Database) -> None:
    with moto_server() as url:
        client = secrets_manager(url)
        arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=database.app_url)["ARN"]
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_SECRETS_MANAGER": url}
        with clients({"DATABASE_SECRET_ARN": arn, **keys}) as running:
            assert running.go_on() == []
            client.put_secret_value(SecretId=arn, SecretString=new_url(request, database))
            assert running.go_on() == []
            assert open_connections(database, OLD) > 0

            retire(database.direct_url, "old", lambda _: None, force=True, idle_seconds=2)

            assert running.go_on() == []
            assert (open_connections(database, OLD), open_connections(database, NEW) > 0) == (0, True)


@over_tcp
def test_a_rotation_with_database_url_fails_no_request(request: pytest.FixtureRequest, database: Database) -> None:
    with clients({"DATABASE_URL": database.app_url}) as before:
        assert before.go_on() == []
        with clients({"DATABASE_URL": new_url(request, database)}) as after:
            assert after.go_on() == []
            assert before.go_on() == []
            before.end()
            # The pooler keeps connections of the old role for some minutes, so they look as if they were in use.
            retire(database.direct_url, "old", lambda _: None, force=database.kind == "pooled", idle_seconds=0)
            assert after.go_on() == []
            assert open_connections(database, OLD) == 0


@contextmanager
def warm_with_secret(database: Database) -> Iterator[tuple[Bundle, Callable[[str], None]]]:
    """Yield an environment with a connection of the old role, and a function that writes a URL into its secret."""
    with moto_server() as url:
        client = secrets_manager(url)
        arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=database.app_url)["ARN"]
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_SECRETS_MANAGER": url}
        with deployed({"DATABASE_SECRET_ARN": arn, **keys}) as functions:
            assert functions.write("s", turn()).status == 201
            yield functions, lambda text: client.put_secret_value(SecretId=arn, SecretString=text)


@pytest.mark.parametrize("database", ["pooled"], indirect=True)
def test_pgbouncer_gives_no_answer_to_a_call_for_which_its_own_login_is_refused(
    request: pytest.FixtureRequest, database: Database
) -> None:
    """Show why a role that is in use loses its rights before its login."""
    with warm_with_secret(database) as (functions, store):
        store(new_url(request, database))
        with database.admin() as admin:
            admin.execute(f"alter role {OLD} nologin password null".encode())
            admin.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s", [OLD])
        functions.context.milliseconds = 2_000
        assert functions.read("s").status == 504


@over_tcp
def test_a_forced_retirement_moves_each_function_to_the_new_role_before_it_ends_connections(
    request: pytest.FixtureRequest, database: Database
) -> None:
    body = {"user_message": "a", "robot_response": "b"}
    with warm_with_secret(database) as (functions, store):
        store(new_url(request, database))
        said: list[str] = []
        thread = threading.Thread(
            target=retire, args=(database.direct_url, "old", said.append), kwargs={"force": True, "idle_seconds": 5}
        )
        thread.start()
        try:
            wait_until(lambda: bool(said))
            assert functions.replace("s", 1, body).status == 200
            assert open_connections(database, NEW) == 1
        finally:
            thread.join()
        assert open_connections(database, OLD) == 0
        assert functions.replace("s", 1, body).status == 200
