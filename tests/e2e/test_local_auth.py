"""`AUTH=jwt make run` and `make token`: tokens, refusals, pages of other origins, and a restart."""

import json
import os
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from local.settings import ROOT
from tests.e2e.local_stack import TURN, ask, command, environment, issuer_of, processes_of, running
from tests.support.waiting import outputs_of

PAGE = "http://localhost:5173"
OWN_PAGE = "https://app.example.com"


def make_token(state: Path, **variables: str) -> str:
    """Return the token that `make -s token` prints with these variables."""
    # The packages are installed: -o keeps make from looking.
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/run", "token"],
        cwd=ROOT,
        env=environment(state, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", done.stdout), done
    return done.stdout.strip()


def free_port() -> int:
    """Return a port that is free now, and whose next one is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def test_tokens_open_the_api_and_a_token_is_good_after_a_restart(folder: Path) -> None:
    variables = {"AUTH": "jwt", "PORT": str(free_port()), "CORS_ORIGIN": OWN_PAGE}
    with running(folder, **variables) as stack:
        issuer = issuer_of(stack)
        assert issuer == f"http://127.0.0.1:{int(variables['PORT']) + 1}"
        url = f"{stack.url}/sessions/of-ann"
        assert ask("GET", f"{stack.url}/health")[0] == 200
        for token in ("", "a.b.c"):
            status, body, headers = ask("GET", url, token)
            assert (status, body) == (401, {"message": "Unauthorized"})
            assert headers["www-authenticate"].startswith("Bearer")
        ann = make_token(folder, SUB="ann")
        assert ask("POST", f"{url}/messages", ann, TURN)[0] == 201
        status, read, headers = ask("GET", url, ann, origin=PAGE)
        assert (status, read["session"]["user_id"]) == (200, "ann")
        assert headers["access-control-allow-origin"] == PAGE
        assert "etag" in headers["access-control-expose-headers"].split(",")

        form = urllib.parse.urlencode({"sub": "bob"}).encode()
        with urllib.request.urlopen(f"{issuer}/token", form) as response:
            bob = json.loads(response.read())["access_token"]
        assert ask("GET", url, bob)[0] == 404
        assert ask("GET", url, make_token(folder, SUB="support", SCOPE="robot-brain/all-users"))[0] == 200

        wanted = {"access_control_request_method": "DELETE"}
        for page, allowed in ((PAGE, PAGE), (OWN_PAGE, OWN_PAGE), ("https://evil.example", None)):
            status, _, headers = ask("OPTIONS", url, origin=page, **wanted)
            assert (status, headers["access-control-allow-origin"]) == (204, allowed)
    assert processes_of(folder) == []
    assert not re.search("cannot use the database|Traceback", stack.output.read_text())

    with running(folder, **variables, FREEZE="1", SCALE_TO_ZERO="600") as stack:
        assert ask("GET", f"{stack.url}/sessions/of-ann", ann)[0] == 200
        assert ask("GET", f"{stack.url}/sessions/of-ann", ann)[0] == 200
        assert not re.search("cannot use the database|Traceback", stack.output.read_text())
    printed = stack.output.read_text() + "".join(path.read_text() for path in (folder / "logs").iterdir())
    assert ann not in printed


def test_the_tenant_of_a_token_is_the_claim_that_tenant_from_names(folder: Path) -> None:
    settings = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant", "ALL_USERS_SCOPE": "see-all"}
    with running(folder, **settings) as stack:
        url = f"{stack.url}/sessions/s"
        acme, other = (
            make_token(folder, SUB="ann", SCOPE="a see-all", CLAIMS=json.dumps({"tenant": name}))
            for name in ("acme", "other")
        )
        assert ask("POST", f"{url}/messages", acme, TURN)[0] == 201
        assert [ask("GET", url, token)[0] for token in (acme, other)] == [200, 404]
        for claims in ("", '{"tenant": ["acme"]}', '{"tenant": {"a": 1}}', '{"tenant": ""}', '{"tenant": null}'):
            assert ask("GET", url, make_token(folder, SUB="ann", CLAIMS=claims))[0] == 403
        assert "cannot use the database" not in stack.output.read_text()


def test_no_token_is_made_without_a_running_stack_that_asks_for_tokens(folder: Path) -> None:
    def refused(state: Path, **variables: str) -> str:
        process = command("local.token", state, **variables)
        output, errors = outputs_of(process)
        assert (process.returncode, output) == (1, "")
        return errors

    assert "SUB is missing" in refused(folder)
    assert "no local stack uses" in refused(folder / "none", SUB="ann")
    assert not (folder / "none").exists()
    for variables, message in (
        ({"SECONDS": "0"}, "SECONDS is '0'"),
        ({"SECONDS": "soon"}, "SECONDS is 'soon'"),
        ({"CLAIMS": "{"}, "CLAIMS is not JSON"),
        ({"CLAIMS": "[]"}, "CLAIMS must be a JSON object"),
    ):
        assert message in refused(folder, SUB="ann", **variables)
    with running(folder) as stack:
        assert "runs without AUTH=jwt" in refused(folder, SUB="ann")
        assert ask("GET", f"{stack.url}/sessions/none")[0] == 404
        assert "This API needs no credentials." in stack.output.read_text()
    assert "no local stack uses" in refused(folder, SUB="ann")
    assert not list(folder.glob("issuer*"))


def test_a_busy_port_of_the_issuer_is_an_error_before_anything_is_started(folder: Path) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + 1))
        other.listen()
        process = command("local.serve", folder, AUTH="jwt", PORT=str(port))
        _, errors = outputs_of(process)
    assert process.returncode == 1
    assert (
        f"port {port + 1} on 127.0.0.1, which the issuer of AUTH=jwt needs, is not free (another program uses it). "
        f"Choose another: PORT={port + 10}" in errors
    )
    assert not (folder / "postgres").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"AUTH": "iam"}, "AUTH is 'iam'; on one machine it must be jwt or none"),
        ({"AUTH": "jwt", "PORT": "65535"}, "PORT is 65535; with AUTH=jwt the issuer takes the next port"),
    ],
)
def test_a_setting_that_the_local_stack_cannot_follow_is_refused(
    folder: Path, variables: dict[str, str], message: str
) -> None:
    process = command("local.serve", folder, **variables)
    _, errors = outputs_of(process)
    assert process.returncode == 1
    assert message in errors
    assert not (folder / "postgres").exists()


def test_a_damaged_key_of_the_issuer_is_an_error_that_says_what_to_do(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "issuer-key.json").write_text("{")
    os.chmod(folder / "issuer-key.json", 0o600)
    process = command("local.serve", folder, AUTH="jwt")
    _, errors = outputs_of(process)
    assert process.returncode == 1
    assert "issuer-key.json is not a private RSA key: delete it" in errors
    assert "Traceback" not in errors
