"""`make app-password SECRET=` writes the URL into a secret, and loses neither the secret nor the URL."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from ops.app_url import app_url
from tests.integration.logins_state import (
    FIRST,
    SECOND,
    aws,
    can_log_in,
    logins_put_back,
    only,
    run,
    who,
)
from tests.support.aws import secrets_manager
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template
from tests.support.servers.one_answer import one_answer

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain-AbCdEf"


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


@over_tls
@pytest.mark.parametrize("kind", ["text", "json"])
def test_the_command_writes_the_url_into_the_secret_and_keeps_its_other_members(
    database: Database, moto: str, kind: str
) -> None:
    old = database.app_url
    text = old if kind == "text" else json.dumps({"NEON_API_KEY": "napi_1", "DATABASE_URL": old})
    client = secrets_manager(moto)
    arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]

    done = run(database, "--secret", arn, **aws(moto))

    assert (done.returncode, done.stdout) == (0, "")
    stored = client.get_secret_value(SecretId=arn)["SecretString"]
    if kind == "json":
        members = json.loads(stored)
        assert members.pop("NEON_API_KEY") == "napi_1"
        stored = members.pop("DATABASE_URL")
        assert members == {}
    assert who(stored) == (SECOND, True)
    assert str(urlsplit(stored).password) not in done.stderr
    assert "Nothing has to be deployed" in done.stderr
    assert "make app-password RETIRE=old FORCE=1" in done.stderr


@over_tls
def test_the_first_rotation_with_a_secret_says_to_deploy_and_to_retire_the_old_role_without_force(
    database: Database, moto: str
) -> None:
    """The role has the rights of the others, so it cannot lose them before its login."""
    only(database, "robot_brain_app")
    old = app_url(database.direct_url, "robot_brain_app", "of-a-test")
    client = secrets_manager(moto)
    arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=old)["ARN"]

    done = run(database, "--secret", arn, **aws(moto))

    assert done.returncode == 0, done.stderr
    assert "Deploy again" in done.stderr
    assert "make app-password RETIRE=old\n" in done.stderr
    assert "FORCE" not in done.stderr


@over_tls
@pytest.mark.parametrize(
    ("arn", "reason"),
    [
        (ARN.replace("robot-brain", "nothing"), "Check the ARN with its region and account, the credentials"),
        (ARN.replace("robot-brain", "nothing"), "ResourceNotFoundException"),
    ],
)
def test_a_secret_that_cannot_be_read_changes_nothing(database: Database, moto: str, arn: str, reason: str) -> None:
    done = run(database, "--secret", arn, **aws(moto))
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr
    assert can_log_in(database) == [FIRST]


@over_tls
@pytest.mark.parametrize("text", ["{not json", None])
def test_a_secret_whose_text_cannot_be_replaced_changes_nothing(
    database: Database, moto: str, text: str | None
) -> None:
    content: dict[str, Any] = {"SecretBinary": b"x"} if text is None else {"SecretString": text}
    arn = secrets_manager(moto).create_secret(Name=f"robot-brain/{uuid.uuid4()}", **content)["ARN"]
    done = run(database, "--secret", arn, **aws(moto))
    assert (done.returncode, done.stdout) == (1, "")
    assert can_log_in(database) == [FIRST]


@over_tls
def test_without_the_right_to_read_the_secret_nothing_is_changed(database: Database) -> None:
    with one_answer(400, b'{"__type": "AccessDeniedException", "Message": "hush"}') as (url, _):
        done = run(database, "--secret", ARN, **aws(url))
    assert (done.returncode, done.stdout) == (1, "")
    assert "AccessDeniedException in GetSecretValue" in done.stderr
    assert can_log_in(database) == [FIRST]


@over_tls
def test_if_the_secret_can_be_read_and_not_written_the_url_is_printed_so_that_it_is_not_lost(
    database: Database,
) -> None:
    with readable_secret(database.app_url) as url:
        done = run(database, "--secret", ARN, **aws(url))
    assert done.returncode == 1
    assert "AccessDeniedException in PutSecretValue" in done.stderr
    assert "Put it into the secret now" in done.stderr
    (printed,) = done.stdout.splitlines()
    assert who(printed) == (SECOND, True)
    assert str(urlsplit(printed).password) not in done.stderr


@contextmanager
def readable_secret(text: str) -> Iterator[str]:
    """Serve a Secrets Manager that answers reads and denies writes. moto allows everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            reads = self.headers["x-amz-target"].endswith(".GetSecretValue")
            answer = {"SecretString": text} if reads else {"__type": "AccessDeniedException"}
            body = json.dumps(answer).encode()
            self.send_response(200 if reads else 400)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
