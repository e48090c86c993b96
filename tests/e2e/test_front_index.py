"""`/` of the local front says what runs here. It is no route of the API: AWS does not have it."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

from local.settings import ROOT
from local.template import load_template
from tests.e2e.local_stack import Stack, ask, running, token_of

AWAY = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


def page(stack: Stack, accept: str, method: str = "GET") -> tuple[str, str]:
    """Return the kind and the text of the answer to `/` for an Accept header."""
    request = urllib.request.Request(f"{stack.url}/", method=method, headers={"Accept": accept})
    with urllib.request.urlopen(request) as response:
        return response.headers["Content-Type"], response.read().decode()


def test_a_client_gets_text_with_each_route_of_the_template_and_a_command_with_this_port(folder: Path) -> None:
    with running(folder / "state", **AWAY) as stack:
        kind, text = page(stack, "*/*")
        assert kind == "text/plain; charset=utf-8"
        for route in load_template(ROOT / "template.yaml").routes:
            assert re.search(rf"^  {route.method} {re.escape(route.path)} +{route.function}$", text, re.MULTILINE)
        assert f"curl {stack.url}/sessions/hello" in text
        assert "No route needs credentials here. On AWS all but /health need a signature or a token." in text
        for name in re.findall(r"docs/\S+", text):
            assert (ROOT / name).is_file()
        assert page(stack, "*/*", "HEAD") == (kind, "")
        assert ask("POST", f"{stack.url}/")[0] == 404
        assert ask("GET", f"{stack.url}//")[0] == 404
        assert "GET / 200" in stack.output.read_text()


def test_a_browser_gets_html_with_links_to_what_it_can_open(folder: Path) -> None:
    with running(folder / "state", **AWAY) as stack:
        kind, text = page(stack, "text/html,application/xhtml+xml,*/*;q=0.8")
        assert kind == "text/html; charset=utf-8"
        assert re.findall('href="([^"]*)"', text) == [
            "/audit",
            "/health",
            "/health/database",
            "/search?q=mocha",
            "/sessions",
            "/stats",
            "/users",
            "/openapi.json",
        ]


def test_with_auth_jwt_the_commands_have_a_token_and_work(folder: Path) -> None:
    with running(folder / "state", AUTH="jwt") as stack:
        _, text = page(stack, "text/plain")
        assert "It runs with AUTH=jwt, so all routes but /health need a token." in text
        assert f"TOKEN=$(make -s token SUB=ann STATE={stack.state})" in text
        assert re.findall('href="([^"]*)"', page(stack, "text/html")[1]) == ["/health", "/openapi.json"]
        commands = "\n".join(line for line in text.splitlines() if re.match(" +(curl|-d)", line))
        done = subprocess.run(
            ["bash", "-ec", commands], env={"TOKEN": token_of(stack, "ann")}, capture_output=True, text=True, check=True
        )
        assert re.search('"session_id" ?: ?"hello"', done.stdout)


def test_the_documented_api_has_no_route_for_the_page_of_the_local_front() -> None:
    assert "/" not in json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]


def test_programs_get_the_documented_api_with_this_server(folder: Path) -> None:
    with running(folder / "state", **AWAY) as stack:
        status, found, headers = ask("GET", f"{stack.url}/openapi.json")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert [server["url"] for server in found.pop("servers")] == [stack.url]
        written = json.loads((ROOT / "docs" / "openapi.json").read_text())
        del written["servers"]
        assert found == written
        status, body, head = ask("HEAD", f"{stack.url}/openapi.json")
        assert (status, body, head["Content-Type"]) == (200, None, "application/json")
        assert ask("POST", f"{stack.url}/openapi.json")[0] == 404


def test_with_auth_jwt_a_page_of_this_machine_reads_the_documented_api_without_a_token(folder: Path) -> None:
    with running(folder / "state", AUTH="jwt", **AWAY) as stack:
        status, _, headers = ask("GET", f"{stack.url}/openapi.json", Origin="http://localhost:5173")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "http://localhost:5173")
        status, _, headers = ask("GET", f"{stack.url}/openapi.json", Origin="https://elsewhere.example")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, None)
