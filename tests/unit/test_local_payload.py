"""Routes and their precedence, and that the files of events/ have the form of the local front's events."""

import base64
import json
from pathlib import Path

import pytest

from local.gateway.payload import BadTargetError, HttpRequest, HttpResponse, build_event, split_target
from local.gateway.router import Router
from local.settings import ROOT
from local.template import Route, load_template


def test_the_most_specific_route_wins_whatever_the_order_of_routes() -> None:
    routes = [
        Route("GET", "/a/{one}", "One"),
        Route("ANY", "/a/b", "AnyB"),
        Route("GET", "/a/b", "GetB"),
        Route("GET", "/a/{one}/{two}", "Two"),
    ]
    for router in (Router(routes), Router(routes[::-1])):

        def name(method: str, path: str, router: Router = router) -> str:
            matched = router.match(method, path)
            return matched[0].function if matched else ""

        assert name("GET", "/a/b") == "GetB"
        assert name("PUT", "/a/b") == "AnyB"
        assert name("GET", "/a/x") == "One"
        assert name("GET", "/a/x/y") == "Two"
        assert name("GET", "/a/x/y/z") == name("PUT", "/a/x") == name("GET", "/other") == ""


def test_regular_expression_characters_in_a_route_match_only_themselves() -> None:
    router = Router([Route("GET", "/a.b/(c)", "F")])
    assert router.match("GET", "/a.b/(c)") is not None
    assert router.match("GET", "/axb/c") is None


@pytest.mark.parametrize("target", ["/a b", "/é", "/a#b", "/\x00", "/%", "/%a", "/%zz", "/%ff", "/%c3%28", ""])
def test_a_request_target_that_is_no_encoded_path_is_refused(target: str) -> None:
    with pytest.raises(BadTargetError):
        split_target(target)


def test_an_answer_of_the_gateway_itself_is_a_message() -> None:
    assert HttpResponse.of_gateway(413).body == b'{"message":"Request Entity Too Large"}'
    assert HttpResponse.of_gateway(503).body == b'{"message":"Service Unavailable"}'


EVENTS = [file for file in sorted(ROOT.glob("events/*.json")) if json.loads(file.read_text()).get("version") == "2.0"]


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_an_event_file_has_the_fields_that_the_local_front_gives_its_request(file: Path) -> None:
    event = json.loads(file.read_text())
    if event["isBase64Encoded"]:
        # The local front never encodes text. API Gateway decides by the content type. Functions accept both.
        event.update(body=base64.b64decode(event["body"]).decode(), isBase64Encoded=False)
    http = event["requestContext"]["http"]
    target = http["path"] + (f"?{event['rawQueryString']}" if event["rawQueryString"] else "")
    path, query = split_target(target)
    matched = Router(load_template(ROOT / "template.yaml").routes).match(http["method"], path)
    assert matched is not None
    route, parameters = matched
    assert event["routeKey"] == f"{route.method} {route.path}"
    request = HttpRequest(
        method=http["method"],
        target=target,
        protocol="HTTP/1.1",
        headers=list(event["headers"].items()),
        body=event.get("body", "").encode(),
        source_ip=http["sourceIp"],
        host="localhost",
        received=1.0,
    )
    made = json.loads(build_event(request, route, path, query, parameters))
    for name in ("rawPath", "rawQueryString", "queryStringParameters", "pathParameters", "body", "isBase64Encoded"):
        assert event.get(name) == made.get(name), name
    assert set(made["requestContext"]) <= set(event["requestContext"])
    assert set(made["headers"]) - set(event["headers"]) <= {"x-amzn-trace-id", "content-length"}
