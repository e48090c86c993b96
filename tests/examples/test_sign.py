"""The signing examples of examples, run as a user runs them, against a server that checks the signature."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import botocore
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.local_stack import Stack, open_folder, running
from tests.examples.binaries import EXAMPLES, node
from tests.examples.gateway import REGION, SERVICE, gateway
from tests.examples.signature import Received, Secret
from tests.support.servers.binaries import skip_without
from tests.support.waiting import PATIENCE_SECONDS

LONG_TERM = Secret("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Secret("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE//+==")
# What both examples write.
TURN = {"robot_personality": "guide", "user_message": "Hello!", "robot_response": "Hello. Where to?"}
# With a space, letters beyond ASCII, and what encodeURIComponent leaves as it is.
SESSIONS = ["plain-1", "a b", "Grüße, 日本 ☕", "~a+b@c:d;e=f&g!h'i(j)k*l$m"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A local stack without authorization. Every user of this machine can enter its folder."""
    with open_folder() as folder, running(folder / "state") as shared:
        yield shared


@pytest.fixture(params=["python", "javascript"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command of an example."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "sign.py")]
    if os.environ.get("WITHOUT_NPM"):
        pytest.skip("npm could not install the package of the example: no registry can be reached")
    skip_without(node)
    return [str(node()), str(EXAMPLES / "sign.mjs")]


def run(program: list[str], url: str, session: str, secret: Secret) -> "subprocess.CompletedProcess[str]":
    """Run an example with these credentials, and with no others that it could find."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    given = {"API": url, "AWS_REGION": REGION, "HOME": "/nonexistent"}
    keys = {"AWS_ACCESS_KEY_ID": secret.access_key, "AWS_SECRET_ACCESS_KEY": secret.secret_key}
    token = {} if secret.token is None else {"AWS_SESSION_TOKEN": secret.token}
    return subprocess.run(
        [*program, session],
        env={**kept, **given, **keys, **token},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def signature_of_botocore(request: Received, secret: Secret) -> str:
    """Return the signature that botocore makes of a request that was received."""
    authorization = request.headers["authorization"]
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in names}
    signed = AWSRequest(request.method, f"http://{request.headers['host']}{request.target}", headers, request.body)
    signed.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials(secret.access_key, secret.secret_key, secret.token), SERVICE, REGION)
    made: str = auth.signature(auth.string_to_sign(signed, auth.canonical_request(signed)), signed)
    return made


@pytest.mark.parametrize("session", SESSIONS, ids=["plain", "space", "letters", "signs"])
@pytest.mark.parametrize("secret", [LONG_TERM, TEMPORARY], ids=["long-term", "temporary"])
def test_an_example_writes_a_turn_and_reads_it_back(
    program: list[str], stack: Stack, session: str, secret: Secret
) -> None:
    with gateway(stack.url, secret) as checked:
        done = run(program, checked.url, session, secret)
    assert (done.returncode, checked.refused) == (0, []), done.stderr
    written, read = map(json.loads, done.stdout.splitlines())
    assert written["session_id"] == read["session"]["id"] == session
    assert [{name: turn[name] for name in TURN} for turn in read["messages"]] == [TURN]
    assert [request.method for request in checked.received] == ["POST", "GET"]
    for request in checked.received:
        assert request.headers["authorization"].endswith(f"Signature={signature_of_botocore(request, secret)}")
        assert request.headers.get("x-amz-security-token") == secret.token
    assert len(checked.received[0].headers["idempotency-key"]) == 36


def test_an_example_with_a_wrong_secret_says_403_and_fails(program: list[str], stack: Stack) -> None:
    with gateway(stack.url, LONG_TERM) as checked:
        done = run(program, checked.url, "wrong", Secret(LONG_TERM.access_key, "another"))
    assert checked.refused == ["another signature"]
    assert done.returncode != 0
    assert "403" in done.stderr
    assert done.stdout == ""


def test_the_readme_names_the_versions_that_are_tested() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    packages = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]
    assert f"with aws4fetch {packages['aws4fetch']} " in readme
    assert f"with botocore {botocore.__version__} " in readme
    assert f"pip install botocore=={botocore.__version__}\n" in readme
