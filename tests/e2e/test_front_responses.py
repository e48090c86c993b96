"""The local HTTP front with real functions: how the response of a function becomes an HTTP response."""

import json
from pathlib import Path

import pytest

from tests.e2e.probe_stack import ProbeStack, run_probe


@pytest.mark.parametrize(
    ("response", "status", "body", "headers"),
    [
        ({"hello": "world"}, 200, b'{"hello": "world"}', {"content-type": "application/json"}),
        ("text", 200, b'"text"', {"content-type": "application/json"}),
        ({"statusCode": 201, "body": "hé"}, 201, "hé".encode(), {"content-type": "text/plain;charset=UTF-8"}),
        ({"statusCode": 200, "body": "/w==", "isBase64Encoded": True}, 200, b"\xff", {}),
        ({"statusCode": 304, "headers": {"ETag": '"7"'}}, 304, b"", {"etag": '"7"'}),
        ({"statusCode": 204}, 204, b"", {}),
        (
            {"statusCode": 200, "headers": {"X-Number": 5, "X-True": True, "Content-Length": "999"}, "body": "x"},
            200,
            b"x",
            {"x-number": "5", "x-true": "true", "content-length": "1"},
        ),
        ({"statusCode": "202", "body": None}, 202, b"", {}),
        ({"statusCode": 200, "headers": None, "cookies": ["a=1; Path=/"]}, 200, b"", {"set-cookie": "a=1; Path=/"}),
    ],
)
def test_the_response_of_a_function_becomes_an_http_response(
    tmp_path: Path, response: object, status: int, body: bytes, headers: dict[str, str]
) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.request("POST", "/raw", json=response)
        assert (answer.status, answer.body) == (status, body)
        got = {name.lower(): value for name, value in answer.headers.items()}
        assert headers.items() <= got.items()
        assert (await stack.get("/echo/a")).status == 200, "the connection can still be used"

    run_probe(tmp_path, test)


def test_an_invalid_response_of_a_function_gives_500(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        for response in [
            {"statusCode": 99},
            {"statusCode": 100},
            {"statusCode": 600},
            {"statusCode": "ok"},
            {"statusCode": True},
            {"statusCode": 200, "body": {"not": "text"}},
            {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
            {"statusCode": 200, "headers": {"X-A": "a\r\nSet-Cookie: b"}},
            {"statusCode": 200, "headers": {"X A": "a"}},
            {"statusCode": 200, "headers": ["X-A"]},
            {"statusCode": 200, "headers": {"X-A": ["a"]}},
            {"statusCode": 200, "cookies": "a=1"},
        ]:
            answer = await stack.request("POST", "/raw", json=response)
            assert (answer.status, answer.data) == (500, {"message": "Internal Server Error"}), response

    run_probe(tmp_path, test)


def test_an_answer_without_a_body_leaves_the_connection_to_the_next_request(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        def delete(response: object, more: bytes = b"") -> bytes:
            body = json.dumps(response).encode()
            length = f"Content-Length: {len(body)}\r\n\r\n".encode()
            return b"DELETE /things/a HTTP/1.1\r\nHost: a\r\n" + more + length + body

        done, accepted = {"statusCode": 204}, {"statusCode": 202, "headers": {"Retry-After": "1"}}
        received = await stack.send(delete(done) + delete(accepted) + delete(done, b"Connection: close\r\n"))
        first, second, third, rest = received.split(b"\r\n\r\n")
        assert rest == b""
        assert first.startswith(b"HTTP/1.1 204 No Content\r\n")
        # RFC 9110, section 8.6: a 204 has no Content-Length.
        assert b"content-length" not in first.lower()
        assert b"content-type" not in first.lower()
        assert second.startswith(b"HTTP/1.1 202 Accepted\r\n")
        assert b"retry-after: 1\r\n" in second.lower()
        assert b"content-length: 0" in second.lower()
        assert third.startswith(b"HTTP/1.1 204 No Content\r\n")

    run_probe(tmp_path, test)
