"""A request to another service ends at its deadline or at the largest allowed answer, whatever the server does."""

import socket
import ssl
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from robot_brain.deadline import Deadline
from robot_brain.services.https import NoAnswerError, request
from tests.support.neon.relay import FaultRelay
from tests.support.servers.failing import HOSTS, never_connects
from tests.support.servers.stubborn import Client, answers, stubborn
from tests.unit.https_requests import CHUNKED, ENOUGH, LARGEST, OK, WHOLE, resolve, send

# Seconds. Shorter than each dripped answer here takes, longer than the pauses between its bytes.
SHORT = 0.5
# Three parts of an answer: its beginning, the part that is sent byte by byte, and the rest.
DRIPS = {
    "the status line": (b"HTTP/1.1 200 ", b"O" * 60, b"\r\ncontent-length: 2\r\n\r\n{}"),
    "a header": (OK + b"x: ", b"y" * 60, b"\r\ncontent-length: 2\r\n\r\n{}"),
    "headers": (OK, b"x: y\r\n" * 10, b"content-length: 2\r\n\r\n{}"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 3, WHOLE),
    "the body": (OK + b"content-length: 62\r\n\r\n{", b" " * 60, b"}"),
    "a body without a length": (OK + b"\r\n{", b" " * 60, b"}"),
    "a chunk": (CHUNKED + b"3e\r\n{", b" " * 60, b"}\r\n0\r\n\r\n"),
    "a chunk's size": (CHUNKED + b"2;", b"x" * 60, b"\r\n{}\r\n0\r\n\r\n"),
    "the trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nx: ", b"y" * 60, b"\r\n\r\n"),
}
# What the server sends once, and what it then sends without end.
FLOODS = {
    "headers": (OK, b"x: y\r\n"),
    "one header": (OK + b"x: ", b"y" * 1024),
    "the status line": (b"HTTP/1.1 200 ", b"O" * 1024),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": (OK + b"content-length: 1000000000000000\r\n\r\n", b"x" * 1024),
    "a body without a length": (OK + b"\r\n", b"x" * 1024),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "one chunk": (CHUNKED + b"fffffffffffff\r\n", b"x" * 1024),
    "a chunk with a negative size": (CHUNKED + b"-1\r\n", b"x" * 1024),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_server_that_drips_its_answer_is_disconnected_at_the_deadline(drip: str) -> None:
    with stubborn(answers(*DRIPS[drip])) as server:
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            send(server.port, SHORT)
        server.assert_left()


@pytest.mark.parametrize("flood", FLOODS)
def test_an_endless_answer_is_cut_off_at_the_largest_allowed_size(flood: str) -> None:
    first, more = FLOODS[flood]

    def script(client: Client) -> None:
        client.read_request()
        client.send(first)
        client.flood(more)

    with stubborn(script) as server:
        with pytest.raises(NoAnswerError, match=r"TooLargeError|LineTooLong|HTTPException"):
            send(server.port)
        server.assert_left()


def test_a_silent_server_is_disconnected_at_the_deadline() -> None:
    with stubborn(Client.hold) as server:
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            send(server.port, SHORT)
        server.assert_left()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_reads_slowly_is_disconnected_at_the_deadline(
    scheme: str, tls: dict[str, ssl.SSLContext]
) -> None:
    size = 32 * 1024 * 1024

    def script(client: Client) -> None:
        received = 0
        while received < size:
            received += len(client.receive())
            time.sleep(0.02)

    with stubborn(script, tls["valid"] if scheme == "https" else None) as server:
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            send(server.port, SHORT, scheme, b"x" * size)
        server.assert_left()


@pytest.mark.parametrize("drip", ["the status line", "the body", "a chunk"])
def test_a_server_that_drips_its_answer_over_tls_is_disconnected_at_the_deadline(
    drip: str, tls: dict[str, ssl.SSLContext]
) -> None:
    with stubborn(answers(*DRIPS[drip]), tls["valid"]) as server:
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            send(server.port, SHORT, "https")
        server.assert_left()


def test_a_server_that_stalls_in_the_tls_handshake_is_disconnected_at_the_deadline(
    tls: dict[str, ssl.SSLContext],
) -> None:
    with stubborn(Client.hold) as server:
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            send(server.port, SHORT, "https")
        server.assert_left()


@pytest.mark.parametrize("part", ["handshake", "record"])
def test_a_server_that_drips_a_tls_record_is_disconnected_at_the_deadline(
    part: str, tls: dict[str, ssl.SSLContext]
) -> None:
    shaken = threading.Event()

    def script(client: Client) -> None:
        shaken.set()
        client.read_request()
        relay.drip()
        client.send(OK + b"content-length: 200\r\n\r\n" + b" " * 200)
        client.hold()

    with stubborn(script, tls["valid"]) as server, FaultRelay(("127.0.0.1", server.port)) as relay:
        if part == "handshake":
            relay.drip()
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            send(relay.port, SHORT, "https")
        server.assert_left()
        assert relay.accepted == 1
        assert shaken.is_set() == (part == "record")


def test_an_endless_name_lookup_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    ended = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        released.wait(10)
        ended.set()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

    with stubborn(answers(WHOLE)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(NoAnswerError, match=r"service\.test did not answer: TimeoutError"):
            request("GET", "http://service.test", None, {}, Deadline(SHORT), LARGEST)
        assert not ended.is_set()
        released.set()
        assert ended.wait(ENOUGH)
        assert server.connections == 0


def test_several_addresses_that_drop_packets_take_no_longer_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    # One after the other the six addresses would take 12 seconds.
    with ExitStack() as stack:
        port = stack.enter_context(never_connects(HOSTS[0]))
        for host in HOSTS[1:]:
            stack.enter_context(never_connects(host, port))
        resolve(monkeypatch, *HOSTS)
        started = time.monotonic()
        with pytest.raises(NoAnswerError, match="TimeoutError"):
            request("GET", f"http://service.test:{port}", None, {}, Deadline(2.0), LARGEST)
        assert time.monotonic() - started < 9


def test_an_address_that_drops_packets_leaves_time_for_the_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(ENOUGH)
    with stubborn(answers(WHOLE)) as server, never_connects(HOSTS[0], server.port):
        resolve(monkeypatch, HOSTS[0], "127.0.0.1")
        assert request("GET", f"http://service.test:{server.port}", None, {}, deadline, LARGEST) == (200, b"{}")
    assert deadline.left() > 0


def test_after_an_address_that_refuses_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with stubborn(answers(WHOLE)) as server:
        resolve(monkeypatch, HOSTS[0], "127.0.0.1")
        assert request("GET", f"http://service.test:{server.port}", None, {}, Deadline(ENOUGH), LARGEST) == (200, b"{}")
