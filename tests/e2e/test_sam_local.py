"""`sam local` runs the built functions in containers like Lambda's, with a PostgreSQL with TLS on this machine.

The server listens on the gateway address of Docker's bridge. Containers reach this address, other machines do not.
With SAM_LOCAL=required no test is skipped. The workflow that has Docker sets it.
"""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.settings import ROOT
from tests.e2e.docker_bridge import Bridge, request, wait_for_port
from tests.e2e.sam_bundle import FUNCTIONS, SamBundle, find_sam, sam_environment
from tests.support.servers.address import Address
from tests.support.servers.authority import Authority
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_tls
from tests.support.servers.process import free_port

PRIVATE = "a text that no log may show"


@dataclass(frozen=True)
class SamLocal:
    """A built bundle to run with the SAM CLI, and the database of its functions."""

    bundle: SamBundle
    database: Database

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that SAM gives to the functions."""
        return {"DATABASE_URL": self.database.app_url, "TENANT_ID": "local"}

    def invoke(self, function: str, event: str) -> tuple[dict[str, Any], str]:
        """Run one event through a function. Return the function's answer and all that it logged."""
        path = str(ROOT / "events" / event)
        done = self.bundle.sam(
            "local", "invoke", function, "--event", path, "--skip-pull-image", environment=self.environment
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer, done.stderr


@pytest.fixture(scope="module")
def sam_local(
    bridge: Bridge, sam_bundle: SamBundle, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SamLocal]:
    """Give the bundle with the CA's certificate in each function, and a migrated database that containers reach."""
    folder = tmp_path_factory.mktemp("sam-local") / "project"
    shutil.copytree(sam_bundle.folder, folder)
    copy = SamBundle(folder)
    for function in FUNCTIONS:
        shutil.copy(authority.root_cert, copy.build / function / "ca.pem")
    server = start_tls(authority, {"listen_addresses": f"127.0.0.1,{bridge.gateway}"})
    try:
        with (server.folder / "data" / "pg_hba.conf").open("a") as access:
            access.write(f"hostssl all all {bridge.subnet} scram-sha-256\n")
        with server.admin() as admin:
            admin.execute("select pg_reload_conf()")
        # The certificate is for localhost, so a function connects to the name localhost at the address of the bridge.
        tls = {"hostaddr": bridge.gateway, "sslmode": "verify-full", "sslrootcert": "/var/task/ca.pem"}
        address = Address("localhost", server.address.port, tls)
        with make_template(server).clone("tls", address) as database:
            yield SamLocal(copy, database)
    finally:
        server.stop()


def test_sam_local_invoke_runs_every_function_and_the_schedule(sam_local: SamLocal) -> None:
    answer, log = sam_local.invoke("WriteMessageFunction", "write_message.json")
    assert answer["statusCode"] == 201
    written = json.loads(answer["body"])
    assert (written["session_id"], written["message_count"]) == ("demo", 1)
    sent = json.loads(json.loads((ROOT / "events" / "write_message.json").read_text())["body"])
    assert sent["user_message"] not in log

    answer, log = sam_local.invoke("ReadSessionFunction", "read_session.json")
    assert answer["statusCode"] == 200
    [message] = json.loads(answer["body"])["messages"]
    assert {name: message[name] for name in sent} == sent
    assert sent["user_message"] not in log

    answer, _ = sam_local.invoke("ReadSessionFunction", "read_session_list.json")
    assert [each["id"] for each in json.loads(answer["body"])["sessions"]] == ["demo"]

    answer, log = sam_local.invoke("WriteMessageFunction", "write_message_replace.json")
    assert answer["statusCode"] == 200
    assert sent["robot_response"] not in log

    answer, _ = sam_local.invoke("HealthFunction", "health.json")
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "ok")

    answer, _ = sam_local.invoke("StatsFunction", "stats_database_health.json")
    assert answer["statusCode"] == 200

    answer, _ = sam_local.invoke("StatsFunction", "schedule.json")
    assert "statusCode" not in answer

    answer, _ = sam_local.invoke("StatsFunction", "stats.json")
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["totals"]["messages"] == 1

    answer, _ = sam_local.invoke("SearchFunction", "search.json")
    assert [each["session_id"] for each in json.loads(answer["body"])["hits"]] == ["demo"]

    answer, _ = sam_local.invoke("EditSessionFunction", "edit_session.json")
    assert answer["statusCode"] == 200
    answer, _ = sam_local.invoke("EditSessionFunction", "edit_session_erase.json")
    assert (answer["statusCode"], answer.get("body")) == (204, None)

    answer, _ = sam_local.invoke("EditUserFunction", "edit_user.json")
    assert answer["statusCode"] == 201
    answer, log = sam_local.invoke("ReadUserFunction", "read_user_email.json")
    assert [each["id"] for each in json.loads(answer["body"])["users"]] == ["ann"]
    assert "example.com" not in log
    answer, _ = sam_local.invoke("ReadAuditFunction", "read_audit.json")
    assert {each["action"] for each in json.loads(answer["body"])["entries"]} >= {"INSERT", "ERASE"}
    answer, _ = sam_local.invoke("EditUserFunction", "edit_user_erase.json")
    assert (answer["statusCode"], answer.get("body")) == (204, None)


def test_sam_local_start_api_writes_a_turn_and_reads_it(sam_local: SamLocal, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = tmp_path / "sam.log"
    command = [str(find_sam()), "local", "start-api", "--host", "127.0.0.1", "--port", str(port), "--skip-pull-image"]
    with log.open("wb") as output:
        api = subprocess.Popen(
            command,
            cwd=sam_local.bundle.folder,
            env=sam_environment() | sam_local.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for_port(port, api, log)
        turn = {
            "robot_personality": "barista",
            "user_message": PRIVATE,
            "robot_response": PRIVATE,
            "metadata": {"n": 1},
        }
        status, written = request("POST", f"{url}/sessions/over%20HTTP/messages", turn)
        assert (status, written["message_count"]) == (201, 1), log.read_text()
        status, page = request("GET", f"{url}/sessions/over%20HTTP?limit=10")
        assert status == 200, log.read_text()
        [message] = page["messages"]
        assert {name: message[name] for name in turn} == turn
        completed = {name: turn[name] for name in ("user_message", "robot_response")}
        status, replaced = request("PUT", f"{url}/sessions/over%20HTTP/messages/1", completed)
        assert (status, replaced["seq"]) == (200, 1), log.read_text()
        status, patched = request("PATCH", f"{url}/sessions/over%20HTTP", {"user_metadata": {"name": "Ada"}})
        assert (status, patched["session"]["user_metadata"]) == (200, {"name": "Ada"}), log.read_text()
        status, removed = request("DELETE", f"{url}/sessions/over%20HTTP/messages?after=0")
        assert (status, removed["removed"]) == (200, 1), log.read_text()
        status, listed = request("GET", f"{url}/sessions")
        assert (status, [each["id"] for each in listed["sessions"]]) == (200, ["over HTTP"]), log.read_text()
        assert request("DELETE", f"{url}/sessions/over%20HTTP") == (204, {}), log.read_text()
        status, problem = request("GET", f"{url}/sessions/nobody")
        assert (status, problem["status"]) == (404, 404)
    finally:
        api.send_signal(signal.SIGINT)
        api.wait(60)
    assert PRIVATE not in log.read_text()
