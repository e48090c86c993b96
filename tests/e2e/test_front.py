"""The local HTTP front with real functions: the events that it makes, and the requests that it refuses itself."""

import gzip
import json
from pathlib import Path

import pytest

from tests.e2e.probe_stack import ProbeStack, run_probe

BAD_REQUEST = {"message": "Bad Request"}
NOT_FOUND = {"message": "Not Found"}
TOO_LARGE = {"message": "Request Entity Too Large"}


def test_a_path_is_decoded_once_and_before_routes_are_matched(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        for sent, name in [
            ("robot", "robot"),
            ("a%20b", "a b"),
            ("%F0%9F%A4%96", "🤖"),
            ("a+b", "a+b"),
            ("a%2525b", "a%25b"),
            ("%00", "\0"),
        ]:
            event = (await stack.get(f"/echo/{sent}")).data["event"]
            assert event["pathParameters"] == {"name": name}
            assert event["rawPath"] == event["requestContext"]["http"]["path"] == f"/echo/{name}"
        for sent in ["/echo/a%2Fb", "/echo/a/b", "/echo/", "/echo", "/Echo/a", "/", "//echo/a", "/echo/a/"]:
            answer = await stack.get(sent)
            assert (answer.status, answer.data) == (404, NOT_FOUND), sent
        for sent in ["/echo/%FF", "/echo/%C3", "/echo/%zz", "/echo/%", "/echo/%4"]:
            answer = await stack.get(sent)
            assert (answer.status, answer.data) == (400, BAD_REQUEST), sent

    run_probe(tmp_path, test)


def test_methods_match_routes_and_any_matches_all(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH"]:
            answer = await stack.request(method, "/echo/a")
            assert (answer.status, answer.data) == (404, NOT_FOUND)
            assert (await stack.request(method, "/any")).data["event"]["routeKey"] == "ANY /any"
        head = await stack.request("HEAD", "/echo/a")
        assert (head.status, head.body) == (404, b"")
        head = await stack.request("HEAD", "/any")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) > 0
        # The connection can still be used.
        assert (await stack.get("/echo/a")).status == 200

    run_probe(tmp_path, test)


def test_each_method_of_one_path_reaches_its_own_function_and_any_other_method_is_404(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        patched = (await stack.request("PATCH", "/things/a%20b?x=1", json={"n": None})).data
        assert patched["function"] == "Echo"
        assert patched["event"]["routeKey"] == "PATCH /things/{name}"
        assert patched["event"]["pathParameters"] == {"name": "a b"}
        assert json.loads(patched["event"]["body"]) == {"n": None}

        deleted = await stack.request("DELETE", "/things/a", json={"statusCode": 200, "body": "by Raw"})
        assert (deleted.status, deleted.body) == (200, b"by Raw")

        replaced = (await stack.request("PUT", "/things/a/parts/007", json={})).data["event"]
        assert replaced["routeKey"] == "PUT /things/{name}/parts/{number}"
        assert replaced["pathParameters"] == {"name": "a", "number": "007"}

        for method, path in [
            ("GET", "/things/a"),
            ("PUT", "/things/a"),
            ("OPTIONS", "/things/a"),
            ("DELETE", "/things/a/parts/1"),
            ("PUT", "/things/a/parts/"),
            ("PUT", "/things/a/parts/1%2F2"),
        ]:
            answer = await stack.request(method, path)
            assert (answer.status, answer.data) == (404, NOT_FOUND), (method, path)
            # RFC 9110 asks for Allow with a 405. API Gateway answers 404 and names no method.
            assert "Allow" not in answer.headers

    run_probe(tmp_path, test)


def test_the_event_of_a_request_has_payload_format_2(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        raw = (
            b"POST /echo/a%20b?x=1&y=%C3%A9&x=2&flag&plus=a+b HTTP/1.1\r\nHost: api.example.com:8443\r\n"
            b"User-Agent: tester\r\nX-Many: one\r\nx-many: two\r\nCookie: a=1; b=2\r\nCookie: c=3\r\n"
            b"X-Latin: caf\xe9\r\nX-Utf8: caf\xc3\xa9\r\nContent-Type: application/json\r\nContent-Length: 8\r\n"
            b"Connection: close\r\n\r\n" + '{"é":1}'.encode()
        )
        event = json.loads((await stack.send(raw)).partition(b"\r\n\r\n")[2])["event"]
        context = event.pop("requestContext")
        headers = event.pop("headers")
        assert event == {
            "version": "2.0",
            "routeKey": "POST /echo/{name}",
            "rawPath": "/echo/a b",
            "rawQueryString": "x=1&y=%C3%A9&x=2&flag&plus=a+b",
            "cookies": ["a=1", "b=2", "c=3"],
            "queryStringParameters": {"x": "1,2", "y": "é", "flag": "", "plus": "a b"},
            "pathParameters": {"name": "a b"},
            "body": '{"é":1}',
            "isBase64Encoded": False,
        }
        assert headers.pop("x-amzn-trace-id").startswith("Root=1-")
        assert headers == {
            "host": "api.example.com:8443",
            "user-agent": "tester",
            "x-many": "one,two",
            "x-latin": "café",
            "x-utf8": "café",
            "content-type": "application/json",
            "content-length": "8",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": "8443",
            "x-forwarded-proto": "http",
        }
        assert context["http"] == {
            "method": "POST",
            "path": "/echo/a b",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "tester",
        }
        assert context["stage"] == "$default"
        assert context["routeKey"] == "POST /echo/{name}"
        assert context["domainName"] == "api.example.com:8443"
        assert isinstance(context["timeEpoch"], int)
        plain = (await stack.get("/any")).data["event"]
        assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & set(plain)
        assert plain["rawQueryString"] == ""

    run_probe(tmp_path, test)


def test_a_body_that_is_not_utf_8_reaches_the_function_unchanged_as_base64(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        event = (await stack.request("POST", "/echo/a", data=b"\xff\xfe")).data["event"]
        assert (event["body"], event["isBase64Encoded"]) == ("//4=", True)
        packed = gzip.compress(b"{}", mtime=0)
        event = (await stack.request("POST", "/echo/a", data=packed, headers={"Content-Encoding": "gzip"})).data[
            "event"
        ]
        assert event["isBase64Encoded"]
        assert event["headers"]["content-encoding"] == "gzip"
        event = (await stack.request("POST", "/echo/a", data="a\0b\u2028🤖".encode())).data["event"]
        assert (event["body"], event["isBase64Encoded"]) == ("a\0b\u2028🤖", False)

    run_probe(tmp_path, test)


def test_a_body_or_event_over_the_limit_is_413_and_the_largest_passes(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        fits = b"x" * 6_000_000
        assert len((await stack.request("POST", "/echo/a", data=fits)).data["event"]["body"]) == 6_000_000
        for body in [b"x" * 6_300_000, b'"' * 3_300_000, b"\xff" * 4_800_000, b"x" * 10_485_761]:
            answer = await stack.request("POST", "/echo/a", data=body)
            assert (answer.status, answer.data) == (413, TOO_LARGE)

        async def chunks() -> object:
            for _ in range(11):
                yield b"x" * 1_000_000

        answer = await stack.request("POST", "/echo/a", data=chunks())
        assert (answer.status, answer.data) == (413, TOO_LARGE)
        assert (await stack.get("/echo/a")).status == 200

    run_probe(tmp_path, test)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /any HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GE\x01T /any HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /any HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
        b"GET /any HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /any HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /any HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /any HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /any\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /any#part HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
)
def test_octets_that_are_not_http_get_400_without_a_stack_trace(tmp_path: Path, octets: bytes) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.send(octets)
        assert answer.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 Bad Request\r\n")), answer
        assert answer.endswith(b'\r\n\r\n{"message":"Bad Request"}'), answer
        assert (await stack.get("/any")).status == 200
        assert stack.emulator.counters.busy == 0

    run_probe(tmp_path, test)


def test_a_target_in_absolute_form_and_http_1_0_are_served(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        absolute = await stack.send(b"GET http://a/any?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert absolute.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(absolute.partition(b"\r\n\r\n")[2])["event"]["rawPath"] == "/any"
        old = await stack.send(b"GET /any HTTP/1.0\r\n\r\n")
        assert b" 200 OK\r\n" in old
        star = await stack.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert star.startswith(b"HTTP/1.1 404 ")

    run_probe(tmp_path, test)


def test_a_client_that_waits_for_100_continue_receives_it(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.request("POST", "/echo/a", data=b"{}", expect100=True)
        assert answer.data["event"]["body"] == "{}"
        assert "expect" not in answer.data["event"]["headers"]

    run_probe(tmp_path, test)


def test_each_request_is_one_line_of_the_access_log_without_its_query(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        await stack.get("/echo/a%0Ab?word=hidden")
        await stack.get("/nowhere?word=hidden")
        first, second = stack.access
        assert first.startswith("GET /echo/a%0Ab 200 ")
        assert first.endswith(" ms Echo")
        assert second.startswith("GET /nowhere 404 ")

    run_probe(tmp_path, test)
