"""The database's URL from AWS Secrets Manager: what a secret may be, and what each answer and failure means."""

import json
import time
import uuid
from typing import Any

import pytest

from robot_brain.deadline import Deadline
from robot_brain.errors import (
    DatabaseAwayError,
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    SettingsError,
)
from robot_brain.services.secret import fetch_database_url, fetch_neon_api_key
from tests.support.servers.failing import never_answers, refuses_connections
from tests.support.servers.one_answer import one_answer
from tests.support.servers.stubborn import answers, stubborn
from tests.unit.https_requests import ENOUGH
from tests.unit.secret_values import ARN, KEYS, URL


@pytest.mark.parametrize("kind", ["plain", "json"])
def test_a_secret_is_the_connection_string_or_json_with_a_member_database_url(
    moto: str, secrets: Any, kind: str
) -> None:
    text = URL if kind == "plain" else json.dumps({"DATABASE_URL": URL, "other": 1})
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]
    assert fetch_database_url(arn, moto, KEYS, Deadline(ENOUGH)) == URL


@pytest.mark.parametrize("around", [" {} ", "{}\n", "\r\n\t{}\r\n", "\ufeff{}\n"])
def test_white_space_around_a_secret_and_its_members_is_removed(around: str) -> None:
    members = json.dumps({"DATABASE_URL": around.format(URL), "NEON_API_KEY": around.format("napi_1")})
    for text in (around.format(URL), around.format(members)):
        with one_answer(200, json.dumps({"SecretString": text}).encode()) as (url, _):
            assert fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH)) == URL
    with one_answer(200, json.dumps({"SecretString": around.format(members)}).encode()) as (url, _):
        assert fetch_neon_api_key(ARN, url, KEYS, Deadline(ENOUGH)) == "napi_1"


@pytest.mark.parametrize("key", ["hush\nx: y", "hush 4711", "hush\u00e9", "h" * 513])
def test_the_error_about_a_neon_key_that_no_header_can_hold_does_not_quote_it(key: str) -> None:
    answer = json.dumps({"SecretString": json.dumps({"NEON_API_KEY": key})}).encode()
    with one_answer(200, answer) as (url, _), pytest.raises(SettingsError, match="NEON_API_KEY") as error:
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
def test_the_error_about_a_secret_without_a_connection_string_says_what_it_must_be(
    moto: str, secrets: Any, text: str
) -> None:
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]
    with pytest.raises(SettingsError, match="DATABASE_SECRET_ARN must be") as error:
        fetch_database_url(arn, moto, KEYS, Deadline(ENOUGH))
    assert "hush" not in repr(error.value)


def test_a_binary_secret_is_a_settings_error(moto: str, secrets: Any) -> None:
    arn = secrets.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretBinary=URL.encode())["ARN"]
    with pytest.raises(SettingsError, match="connection string"):
        fetch_database_url(arn, moto, KEYS, Deadline(ENOUGH))


def test_a_secret_that_does_not_exist_is_a_refusal(moto: str) -> None:
    with pytest.raises(DatabaseRefusedError, match=r"4.. ResourceNotFoundException.*DATABASE_SECRET_ARN"):
        fetch_database_url(ARN, moto, KEYS, Deadline(ENOUGH))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_request_to_an_overloaded_service_may_be_retried(status: int) -> None:
    with (
        one_answer(status, b"<html>busy</html>") as (url, _),
        pytest.raises(DatabaseUnavailableError, match=str(status)),
    ):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_an_error_status_other_than_overload_is_a_refusal(status: int) -> None:
    body = b'{"__type": "com.amazonaws#AccessDeniedException", "Message": "hush-4711"}'
    with (
        one_answer(status, body) as (url, _),
        pytest.raises(DatabaseRefusedError, match="AccessDeniedException") as error,
    ):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))
    assert "hush" not in str(error.value)


def test_a_throttled_request_may_be_retried_although_its_status_is_400() -> None:
    body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    with one_answer(400, body) as (url, _), pytest.raises(DatabaseUnavailableError):
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
def test_an_unreadable_answer_is_one_of_our_errors(status: int, body: bytes, headers: dict[str, str]) -> None:
    with one_answer(status, body, headers) as (url, _), pytest.raises((DatabaseError, SettingsError)):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_request_to_a_service_that_is_away_may_be_retried() -> None:
    with refuses_connections() as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:\d+ did not answer: ConnectionRefusedError"):
            fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_secrets_service_that_never_answers_is_given_up_at_the_deadline() -> None:
    with never_answers() as port:
        started = time.monotonic()
        with pytest.raises(DatabaseError):
            fetch_database_url(ARN, f"http://127.0.0.1:{port}", KEYS, Deadline(0.2))
        assert time.monotonic() - started < ENOUGH


def test_a_secrets_service_that_drips_its_answer_is_given_up_at_the_deadline() -> None:
    text = json.dumps({"SecretString": URL}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text)
    with stubborn(answers(head, text)) as server:
        with pytest.raises(DatabaseAwayError, match=r"127\.0\.0\.1:\d+ did not answer: TimeoutError"):
            fetch_database_url(ARN, f"http://127.0.0.1:{server.port}", KEYS, Deadline(0.5))
        server.assert_left()


@pytest.mark.parametrize("nested", ["[" * 200_000, '{"a":' * 100_000])
def test_an_answer_nested_too_deep_is_one_of_our_errors(nested: str) -> None:
    with one_answer(200, b'{"SecretString": ' + nested.encode()) as (url, _), pytest.raises(DatabaseAwayError):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_secret_nested_too_deep_is_one_of_our_errors() -> None:
    answer = json.dumps({"SecretString": '{"DATABASE_URL": ' + "[" * 60_000}).encode()
    with one_answer(200, answer) as (url, _), pytest.raises(SettingsError, match="DATABASE_SECRET_ARN must be"):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_a_secret_of_the_largest_size_is_read_also_if_json_escapes_every_byte() -> None:
    # Secrets Manager accepts 65,536 bytes, and JSON may write each byte with six.
    largest = "\x01" * (65_536 - len(URL)) + URL
    with one_answer(200, json.dumps({"SecretString": largest, "Name": "n" * 4096}).encode()) as (url, _):
        assert fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH)) == largest


@pytest.mark.parametrize("url", ["http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://[::1", "127.0.0.1:1"])
def test_an_endpoint_that_is_no_url_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError):
        fetch_database_url(ARN, url, KEYS, Deadline(ENOUGH))


def test_after_the_deadline_no_request_is_sent() -> None:
    with one_answer(200, b"{}") as (url, received):
        with pytest.raises(DeadlineExceededError):
            fetch_database_url(ARN, url, KEYS, Deadline(-1))
        assert received == []
