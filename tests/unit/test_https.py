"""One request to another service: what is sent, how its answer is read, and which servers get no request."""

import ssl
import traceback

import pytest

from robot_brain.deadline import Deadline
from robot_brain.errors import DeadlineExceededError, SettingsError
from robot_brain.services.https import NoAnswerError, request
from tests.support.servers.stubborn import answers, stubborn
from tests.unit.https_requests import CHUNKED, EMPTY, ENOUGH, LARGEST, OK, WHOLE, send

# Written in two parts, so that no source line holds the word: a traceback shows it only if an error quotes it.
KEY = "hu" + "sh"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (WHOLE, (200, b"{}")),
        (OK + b"\r\n{}", (200, b"{}")),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", (200, b"{}")),
        (CHUNKED + b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nx: y\r\n\r\n", (200, b"{}")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE, (200, b"{}")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy", (503, b"busy")),
    ],
)
def test_an_answer_is_returned_as_its_status_and_its_body(answer: bytes, expected: tuple[int, bytes]) -> None:
    with stubborn(answers(answer)) as server:
        assert send(server.port) == expected


def test_a_request_is_sent_unchanged() -> None:
    with stubborn(answers(EMPTY)) as server:
        assert send(server.port, body=b"[1]") == (200, b"")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert (first, body) == ("POST /a?b=c HTTP/1.1", b"[1]")
    assert {f"host: 127.0.0.1:{server.port}", "x-key: hush", "Content-Length: 3"} <= set(headers)


def test_an_answer_may_be_as_large_as_allowed_and_no_larger() -> None:
    head = OK + b"content-length: %d\r\n\r\n"
    largest_body = LARGEST - len(head % 10_000)
    with stubborn(answers(head % largest_body + b"x" * largest_body)) as server:
        assert send(server.port) == (200, b"x" * largest_body)
    too_large = answers(head % (largest_body + 1) + b"x" * (largest_body + 1))
    with stubborn(too_large) as server, pytest.raises(NoAnswerError, match="TooLargeError"):
        send(server.port)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_returned_and_not_followed(status: int) -> None:
    with stubborn(answers(EMPTY)) as other:
        location = f"HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{other.port}/\r\ncontent-length: 0\r\n\r\n"
        with stubborn(answers(location.encode())) as server:
            assert send(server.port) == (status, b"")
        assert (server.connections, other.connections) == (1, 0)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with stubborn(answers(EMPTY)) as proxy, stubborn(answers(WHOLE)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(server.port) == (200, b"{}")
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", OK + b"content-length: 3\r\n\r\n{}", CHUNKED + b"3\r\n{}"]
)
def test_a_broken_answer_is_a_no_answer_error(answer: bytes) -> None:
    with stubborn(answers(answer)) as server, pytest.raises(NoAnswerError):
        send(server.port)


def test_the_error_about_a_header_that_cannot_be_sent_does_not_quote_it() -> None:
    headers = {"x": f"{KEY}\r\ny: z"}
    with stubborn(answers(EMPTY)) as server:
        with pytest.raises(NoAnswerError, match="ValueError") as error:
            request("GET", f"http://127.0.0.1:{server.port}", None, headers, Deadline(ENOUGH), LARGEST)
        server.assert_left()
        assert server.requests == []
    assert KEY not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    "url", ["", "http://", "127.0.0.1:1", "ftp://a", "httpss://a", "http://hush@a", "http://a:x", "http://a:65536"]
)
def test_an_invalid_url_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL") as error:
        request("GET", url, None, {}, Deadline(ENOUGH), LARGEST)
    assert KEY not in "".join(traceback.format_exception(error.value))


def test_after_the_deadline_no_connection_is_opened() -> None:
    with stubborn(answers(EMPTY)) as server:
        with pytest.raises(DeadlineExceededError):
            send(server.port, seconds=-1)
        assert server.connections == 0


def test_an_answer_over_tls_is_read_from_a_server_with_a_valid_certificate(tls: dict[str, ssl.SSLContext]) -> None:
    with stubborn(answers(WHOLE), tls["valid"]) as server:
        assert send(server.port, scheme="https") == (200, b"{}")


@pytest.mark.parametrize("kind", ["expired", "wrong_name", "unknown_authority"])
def test_a_server_with_an_invalid_certificate_gets_no_request(kind: str, tls: dict[str, ssl.SSLContext]) -> None:
    with stubborn(answers(EMPTY), tls[kind]) as server:
        with pytest.raises(NoAnswerError, match="SSLCertVerificationError"):
            send(server.port, scheme="https")
        server.assert_left()
    assert server.requests == []


def test_a_host_name_without_an_address_is_a_no_answer_error() -> None:
    with pytest.raises(NoAnswerError, match=r"service\.invalid did not answer: gaierror"):
        request("GET", "https://service.invalid", None, {}, Deadline(ENOUGH), LARGEST)


def test_an_invalid_host_name_is_a_no_answer_error() -> None:
    with pytest.raises(NoAnswerError, match="did not answer: Unicode"):
        request("GET", f"https://{'a' * 64}.test", None, {}, Deadline(ENOUGH), LARGEST)
