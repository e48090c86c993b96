"""The database's URL out of AWS Secrets Manager: signed as botocore signs, answered by moto or by a server in here."""

import calendar
import json
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from robot_brain.deadline import Deadline
from robot_brain.errors import (
    DatabaseAwayError,
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    SettingsError,
)
from robot_brain.services.secret import fetch_database_url, fetch_neon_api_key, signed_headers
from robot_brain.settings import Credentials
from tests.support.aws import REGION, moto_server, secrets_manager
from tests.support.servers.stubborn import answers, stubborn

ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:robot-brain-AbCdEf"
URL = "postgresql://app:hush-4711@127.0.0.1/db"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", "", "")
ENOUGH = 30.0


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of moto's server."""
    with moto_server() as url:
        yield url


@pytest.fixture
def secrets(moto: str) -> Any:
    """A client that makes secrets."""
    return secrets_manager(moto)


@contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Serve this one answer on 127.0.0.1; give the URL and the list of (method, path, headers, body) received."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("content-length") or 0))
            received.append((self.command, self.path, dict(self.headers.items()), text))
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("session_token", ["", "IQoJb3JpZ2luX2VjE+/="])
@pytest.mark.parametrize(
    ("region", "url"),
    [
        (REGION, f"https://secretsmanager.{REGION}.amazonaws.com"),
        ("cn-north-1", "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "http://127.0.0.1:4566"),
    ],
)
def test_the_signature_is_botocores(monkeypatch: pytest.MonkeyPatch, region: str, url: str, session_token: str) -> None:
    moment = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    body = json.dumps({"SecretId": ARN}).encode()
    keys = Credentials(KEYS.access_key_id, KEYS.secret_access_key, session_token, "", "")

    ours = signed_headers(url, region, body, keys, moment.timetuple())

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    names = ("content-type", "x-amz-target")
    request = AWSRequest("POST", url, data=body, headers={name: ours[name] for name in names})
    theirs = BotocoreCredentials(keys.access_key_id, keys.secret_access_key, session_token or None)
    botocore.auth.SigV4Auth(theirs, "secretsmanager", region).add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


@pytest.mark.parametrize("kind", ["plain", "json"])
def test_a_secret_is_the_connection_string_or_has_it_as_a_member(moto: str, secrets: Any, kind: str) -> None:
    text = URL if kind == "plain" else json.dumps({"DATABASE_URL": URL, "other": 1})
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]
    assert fetch_database_url(arn, moto, KEYS, Deadline(ENOUGH)) == URL


@pytest.mark.parametrize("around", [" {} ", "{}\n", "\r\n\t{}\r\n", "\ufeff{}\n"])
def test_white_space_around_a_secret_and_its_members_is_left_out(around: str) -> None:
    members = json.dumps({"DATABASE_URL": around.format(URL), "NEON_API_KEY": around.format("napi_1")})
    for text in (around.format(URL), around.format(members)):
        with answering(200, json.dumps({"SecretString": text}).encode()) as (url, _):
            assert fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH)) == URL
    with answering(200, json.dumps({"SecretString": around.format(members)}).encode()) as (url, _):
        assert fetch_neon_api_key(ARN, url, KEYS, Deadline(ENOUGH)) == "napi_1"


@pytest.mark.parametrize("key", ["hush\nx: y", "hush 4711", "hush\u00e9", "h" * 513])
def test_a_key_of_neon_that_no_header_holds_is_named_and_not_quoted(key: str) -> None:
    answer = json.dumps({"SecretString": json.dumps({"NEON_API_KEY": key})}).encode()
    with answering(200, answer) as (url, _), pytest.raises(SettingsError, match="NEON_API_KEY") as error:
        fetch_neon_api_key(ARN, url, KEYS, Deadline(ENOUGH))
    assert "hush" not in repr(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " \n",
        '{"DATABASE_URL": " "}',
        '{"DATABASE_URL": ""}',
        '{"DATABASE_URL": null}',
        '{"DATABASE_URL": 5}',
        '{"url": "hush-4711"}',
        "{hush-4711",
    ],
)
def test_a_secret_without_a_connection_string_says_what_it_must_be(moto: str, secrets: Any, text: str) -> None:
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]
    with pytest.raises(SettingsError, match="DATABASE_SECRET_ARN must be") as error:
        fetch_database_url(arn, moto, KEYS, Deadline(ENOUGH))
    assert "hush" not in repr(error.value)


def test_a_binary_secret_is_none(moto: str, secrets: Any) -> None:
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretBinary=URL.encode())["ARN"]
    with pytest.raises(SettingsError, match="connection string"):
        fetch_database_url(arn, moto, KEYS, Deadline(ENOUGH))


def test_a_secret_that_is_not_there_is_refused(moto: str) -> None:
    with pytest.raises(DatabaseRefusedError, match=r"4.. ResourceNotFoundException.*DATABASE_SECRET_ARN"):
        fetch_database_url(ARN, moto, KEYS, Deadline(ENOUGH))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_overloaded_service_may_be_asked_again(status: int) -> None:
    with (
        answering(status, b"<html>busy</html>") as (url, _),
        pytest.raises(DatabaseUnavailableError, match=str(status)),
    ):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_every_other_answer_is_a_refusal(status: int) -> None:
    body = b'{"__type": "com.amazonaws#AccessDeniedException", "Message": "hush-4711"}'
    with (
        answering(status, body) as (url, _),
        pytest.raises(DatabaseRefusedError, match="AccessDeniedException") as error,
    ):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))
    assert "hush" not in str(error.value)


def test_throttling_may_be_asked_again_although_it_is_a_400() -> None:
    body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    with answering(400, body) as (url, _), pytest.raises(DatabaseUnavailableError):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"{half", {}),
        (200, b"{}", {"content-length": "100"}),
        (400, b"{half", {}),
        (200, b"[]", {}),
        (200, b"", {}),
    ],
)
def test_an_answer_that_cannot_be_read_is_one_of_our_errors(status: int, body: bytes, headers: dict[str, str]) -> None:
    with answering(status, body, headers) as (url, _), pytest.raises((DatabaseError, SettingsError)):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_service_that_is_away_may_be_asked_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:\d+ did not answer: ConnectionRefusedError"):
            fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_service_that_never_answers_is_given_up_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(DatabaseError):
            fetch_database_url(ARN, f"http://127.0.0.1:{silent.getsockname()[1]}", KEYS, Deadline(0.2))
        assert time.monotonic() - started < ENOUGH


def test_secrets_manager_that_drips_its_answer_is_left_at_the_deadline() -> None:
    text = json.dumps({"SecretString": URL}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text)
    with stubborn(answers(head, text)) as server:
        with pytest.raises(DatabaseAwayError, match=r"127\.0\.0\.1:\d+ did not answer: TimeoutError"):
            fetch_database_url(ARN, f"http://127.0.0.1:{server.port}", KEYS, Deadline(0.5))
        server.assert_left()


def test_a_credentials_endpoint_that_drips_its_answer_is_left_at_the_deadline() -> None:
    text = json.dumps({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c" * 20}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text)
    with stubborn(answers(head, text)) as server, answering(200, b"{}") as (url, received):
        keys = Credentials("", "", "", f"http://127.0.0.1:{server.port}", "let me in")
        with pytest.raises(DatabaseAwayError, match="did not answer: TimeoutError"):
            fetch_database_url(ARN, url, keys, Deadline(0.5))
        server.assert_left()
        assert received == []


@pytest.mark.parametrize("nested", ["[" * 200_000, '{"a":' * 100_000])
def test_an_answer_nested_too_deep_is_one_of_our_errors(nested: str) -> None:
    with answering(200, b'{"SecretString": ' + nested.encode()) as (url, _), pytest.raises(DatabaseAwayError):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_secret_nested_too_deep_is_one_of_our_errors() -> None:
    answer = json.dumps({"SecretString": '{"DATABASE_URL": ' + "[" * 60_000}).encode()
    with answering(200, answer) as (url, _), pytest.raises(SettingsError, match="DATABASE_SECRET_ARN must be"):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_secret_of_the_largest_size_is_read_however_its_answer_is_written() -> None:
    # Secrets Manager takes 65,536 bytes; JSON may write each with six.
    largest = "\x01" * (65_536 - len(URL)) + URL
    with answering(200, json.dumps({"SecretString": largest, "Name": "n" * 4096}).encode()) as (url, _):
        assert fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH)) == largest


def test_a_token_that_no_header_holds_is_not_quoted() -> None:
    with answering(200, b"{}") as (url, received):
        keys = Credentials("", "", "", url, "hush\n4711")
        with pytest.raises(DatabaseAwayError) as error:
            fetch_database_url(ARN, url, keys, Deadline(ENOUGH))
        assert received == []
    assert "hush" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("url", ["http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://[::1", "127.0.0.1:1"])
def test_an_endpoint_that_is_no_url_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(SettingsError):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_after_the_deadline_nothing_is_asked() -> None:
    with answering(200, b"{}") as (url, received):
        with pytest.raises(DeadlineExceededError):
            fetch_database_url(ARN, url, KEYS, Deadline(-1))
        assert received == []


def test_a_snapstart_environment_gets_its_keys_from_the_endpoint_of_the_container(moto: str, secrets: Any) -> None:
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=URL)["ARN"]
    found = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "2026-11-22T23:59:59Z"}
    with answering(200, json.dumps(found).encode()) as (url, received):
        keys = Credentials("", "", "", f"{url}/2021-05-26/credentials?id=1", "let me in")
        assert fetch_database_url(arn, moto, keys, Deadline(ENOUGH)) == URL
    ((method, path, headers, _),) = received
    assert (method, path) == ("GET", "/2021-05-26/credentials?id=1")
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "let me in"


def test_the_keys_of_the_container_sign_the_request() -> None:
    found = {"AccessKeyId": "container-key", "SecretAccessKey": "b", "Token": "container-token"}
    answer = json.dumps({"SecretString": URL}).encode()
    with answering(200, json.dumps(found).encode()) as (keys_url, _), answering(200, answer) as (url, received):
        keys = Credentials("", "", "", keys_url, "let me in")
        assert fetch_database_url(ARN, url, keys, Deadline(ENOUGH)) == URL
    ((method, path, headers, body),) = received
    sent = {name.lower(): value for name, value in headers.items()}
    assert (method, path, json.loads(body)) == ("POST", "/", {"SecretId": ARN})
    assert sent["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert sent["x-amz-security-token"] == "container-token"
    assert "Credential=container-key/" in sent["authorization"]
    # Within a day of now: the clock of the signature is that of the request.
    assert abs(calendar.timegm(time.strptime(sent["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.time()) < 86_400


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (404, b""), (200, b"{}"), (200, b"{half"), (200, b"")])
def test_a_container_without_keys_is_one_of_our_errors(status: int, body: bytes) -> None:
    with answering(status, body) as (url, _), pytest.raises(DatabaseUnavailableError):
        fetch_database_url(ARN, "http://127.0.0.1:1", Credentials("", "", "", url, "t"), Deadline(ENOUGH))
