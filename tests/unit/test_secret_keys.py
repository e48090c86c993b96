"""The request for a secret: its signature, and keys that come from the credentials endpoint of a container."""

import calendar
import json
import time
import traceback
import uuid
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from robot_brain.deadline import Deadline
from robot_brain.errors import (
    DatabaseAwayError,
    DatabaseUnavailableError,
)
from robot_brain.services.secret import fetch_database_url, signed_headers
from robot_brain.settings import Credentials
from tests.support.aws import REGION
from tests.support.servers.one_answer import one_answer
from tests.support.servers.stubborn import answers, stubborn
from tests.unit.https_requests import ENOUGH
from tests.unit.secret_values import ARN, KEYS, URL


@pytest.mark.parametrize("session_token", ["", "IQoJb3JpZ2luX2VjE+/="])
@pytest.mark.parametrize(
    ("region", "url"),
    [
        (REGION, f"https://secretsmanager.{REGION}.amazonaws.com"),
        ("cn-north-1", "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "http://127.0.0.1:4566"),
    ],
)
def test_the_signature_is_the_same_as_that_of_botocore(
    monkeypatch: pytest.MonkeyPatch, region: str, url: str, session_token: str
) -> None:
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


def test_a_credentials_endpoint_that_drips_its_answer_is_given_up_at_the_deadline() -> None:
    text = json.dumps({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c" * 20}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text)
    with stubborn(answers(head, text)) as server, one_answer(200, b"{}") as (url, received):
        keys = Credentials("", "", "", f"http://127.0.0.1:{server.port}", "let me in")
        with pytest.raises(DatabaseAwayError, match="did not answer: TimeoutError"):
            fetch_database_url(ARN, url, keys, Deadline(0.5))
        server.assert_left()
        assert received == []


def test_the_error_about_a_token_that_no_header_can_hold_does_not_quote_it() -> None:
    with one_answer(200, b"{}") as (url, received):
        keys = Credentials("", "", "", url, "hush\n4711")
        with pytest.raises(DatabaseAwayError) as error:
            fetch_database_url(ARN, url, keys, Deadline(ENOUGH))
        assert received == []
    assert "hush" not in "".join(traceback.format_exception(error.value))


def test_a_snapstart_environment_gets_its_keys_from_the_credentials_endpoint(moto: str, secrets: Any) -> None:
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=URL)["ARN"]
    found = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "2026-11-22T23:59:59Z"}
    with one_answer(200, json.dumps(found).encode()) as (url, received):
        keys = Credentials("", "", "", f"{url}/2021-05-26/credentials?id=1", "let me in")
        assert fetch_database_url(arn, moto, keys, Deadline(ENOUGH)) == URL
    ((method, path, headers, _),) = received
    assert (method, path) == ("GET", "/2021-05-26/credentials?id=1")
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "let me in"


def test_the_keys_of_the_credentials_endpoint_sign_the_request() -> None:
    found = {"AccessKeyId": "container-key", "SecretAccessKey": "b", "Token": "container-token"}
    answer = json.dumps({"SecretString": URL}).encode()
    with one_answer(200, json.dumps(found).encode()) as (keys_url, _), one_answer(200, answer) as (url, received):
        keys = Credentials("", "", "", keys_url, "let me in")
        assert fetch_database_url(ARN, url, keys, Deadline(ENOUGH)) == URL
    ((method, path, headers, body),) = received
    sent = {name.lower(): value for name, value in headers.items()}
    assert (method, path, json.loads(body)) == ("POST", "/", {"SecretId": ARN})
    assert sent["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert sent["x-amz-security-token"] == "container-token"
    assert "Credential=container-key/" in sent["authorization"]
    # The signature must have the time of the request. A day is generous.
    assert abs(calendar.timegm(time.strptime(sent["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.time()) < 86_400


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (404, b""), (200, b"{}"), (200, b"{half"), (200, b"")])
def test_a_credentials_endpoint_without_keys_is_one_of_our_errors(status: int, body: bytes) -> None:
    with one_answer(status, body) as (url, _), pytest.raises(DatabaseUnavailableError):
        fetch_database_url(ARN, "http://127.0.0.1:1", Credentials("", "", "", url, "t"), Deadline(ENOUGH))
