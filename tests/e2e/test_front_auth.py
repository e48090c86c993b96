"""The local HTTP front with tokens and CORS: what reaches a function, and what the front answers itself."""

import json
from pathlib import Path

import pytest
from multidict import CIMultiDict

from local.cloudformation import TemplateError
from local.gateway.front import Front
from local.template import load_template
from tests.e2e.probe_functions import write_stack
from tests.e2e.probe_stack import Answer, ProbeStack, run_probe

PAGE = "http://localhost:5173"
OWN_PAGE = "https://app.example.com"
UNAUTHORIZED = {"message": "Unauthorized"}
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


def cors_headers(answer: Answer) -> dict[str, str]:
    """Return the CORS headers of an answer, with their names in lower case."""
    return {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access-control-")}


def test_the_claims_of_a_good_token_reach_the_function_as_texts(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        token = stack.token(tenant="acme", roles=["a", "b"], level=3)
        event = (await stack.get("/echo/a", headers={"Authorization": f"Bearer {token}"})).data["event"]
        jwt = event["requestContext"]["authorizer"]["jwt"]
        assert jwt["scopes"] is None
        assert {"sub": "ann", "tenant": "acme", "roles": "[a b]", "level": "3"}.items() <= jwt["claims"].items()
        assert all(isinstance(claim, str) for claim in jwt["claims"].values())

    run_probe(tmp_path, test, auth=True)


def test_a_request_without_a_good_token_gets_401_and_no_function_runs(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        token = stack.token()
        for headers, challenge in (
            ({}, "Bearer"),
            ({"Authorization": ""}, "Bearer"),
            ({"X-Authorization": token}, "Bearer"),
            ({"Cookie": f"Authorization={token}"}, "Bearer"),
            ({"Authorization": "Bearer a.b.c"}, "the token is malformed"),
            ({"Authorization": token[:-10]}, "the signature is not valid"),
            (CIMultiDict([("Authorization", token), ("Authorization", token)]), "the token is malformed"),
        ):
            answer = await stack.get("/echo/a", headers=headers)
            assert (answer.status, answer.data) == (401, UNAUTHORIZED)
            sent = {name.lower(): value for name, value in answer.headers.items()}["www-authenticate"]
            assert sent == challenge if challenge == "Bearer" else challenge in sent
        for target in (f"/echo/a?Authorization={token}", f"/echo/a?access_token={token}&token={token}"):
            assert (await stack.get(target)).status == 401
        body = json.dumps({"Authorization": token, "access_token": token, "requestContext": {"authorizer": {}}})
        assert (await stack.request("POST", "/echo/a", data=body)).status == 401
        assert stack.emulator.counters.started == 0

    run_probe(tmp_path, test, auth=True)


def test_no_header_query_or_body_of_a_client_becomes_its_authorizer(tmp_path: Path) -> None:
    forged = {"authorizer": {"jwt": {"claims": {"sub": "bob"}, "scopes": None}, "iam": {"accountId": "1"}}}
    headers = {
        "requestContext": json.dumps(forged),
        "x-amzn-request-context": json.dumps(forged),
        "authorizer": "bob",
        "x-amz-meta-sub": "bob",
    }
    target = "?requestContext.authorizer.jwt.claims.sub=bob&authorizer=bob"

    async def closed(stack: ProbeStack) -> None:
        with_token = {**headers, "Authorization": stack.token()}
        answer = await stack.request("POST", f"/echo/a{target}", headers=with_token, json={"requestContext": forged})
        authorizer = answer.data["event"]["requestContext"]["authorizer"]
        assert list(authorizer) == ["jwt"]
        assert authorizer["jwt"]["claims"]["sub"] == "ann"
        opened = await stack.get(f"/open{target}", headers=with_token)
        assert "authorizer" not in opened.data["event"]["requestContext"]

    async def without(stack: ProbeStack) -> None:
        answer = await stack.request("POST", f"/echo/a{target}", headers=headers, json={"requestContext": forged})
        assert "authorizer" not in answer.data["event"]["requestContext"]

    run_probe(tmp_path, closed, auth=True)
    run_probe(tmp_path, without)


def test_an_open_route_needs_no_token_and_an_unknown_route_is_404_before_it_is_401(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        assert (await stack.get("/open")).status == 200
        assert (await stack.get("/open", headers={"Authorization": "Bearer a.b.c"})).status == 200
        for target in ("/nothing", "/echo", "/echo/a/b"):
            answer = await stack.get(target)
            assert (answer.status, answer.data) == (404, {"message": "Not Found"})

    run_probe(tmp_path, test, auth=True)


def test_a_preflight_is_answered_without_a_token_and_without_a_function(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        for page in (PAGE, "http://127.0.0.1", OWN_PAGE):
            answer = await stack.request("OPTIONS", "/things/a", headers={"Origin": page, **PREFLIGHT})
            assert (answer.status, answer.body) == (204, b"")
            assert cors_headers(answer) == {
                "access-control-allow-origin": page,
                "access-control-allow-methods": "GET,POST,PATCH",
                "access-control-allow-headers": "authorization,content-type",
                "access-control-max-age": "3600",
            }
        for page in ("https://evil.example", "https://localhost:5173", "http://localhost:5173.evil.example", "null"):
            answer = await stack.request("OPTIONS", "/things/a", headers={"Origin": page, **PREFLIGHT})
            assert (answer.status, answer.body, cors_headers(answer)) == (204, b"", {})
        assert (await stack.request("OPTIONS", "/nothing", headers={"Origin": PAGE, **PREFLIGHT})).status == 404
        assert (await stack.request("OPTIONS", "/things/a", headers={"Origin": PAGE})).status == 404
        assert (await stack.request("OPTIONS", "/things/a", headers=PREFLIGHT)).status == 404
        assert stack.emulator.counters.started == 0

    run_probe(tmp_path, test, auth=True)


def test_the_headers_of_the_api_replace_those_of_the_function(tmp_path: Path) -> None:
    own = {"Access-Control-Allow-Origin": "*", "access-control-allow-credentials": "true", "X-Kept": "yes"}
    response = {"statusCode": 404, "headers": own, "body": "{}"}

    async def test(stack: ProbeStack) -> None:
        bearer = {"Authorization": stack.token()}
        answer = await stack.request("POST", "/raw", json=response, headers={"Origin": PAGE, **bearer})
        assert (answer.status, answer.headers["x-kept"]) == (404, "yes")
        assert cors_headers(answer) == {
            "access-control-allow-origin": PAGE,
            "access-control-expose-headers": "etag",
        }
        for headers in ({}, {"Origin": "https://evil.example"}):
            answer = await stack.request("POST", "/raw", json=response, headers={**headers, **bearer})
            assert (answer.status, cors_headers(answer)) == (404, {})

    run_probe(tmp_path, test, auth=True)


def test_the_errors_of_the_gateway_itself_have_no_cors_headers(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        bearer = {"Authorization": stack.token()}
        for target, headers, status in (("/echo/a", {}, 401), ("/nothing", {}, 404), ("/crash", bearer, 500)):
            answer = await stack.get(target, headers={"Origin": PAGE, **headers})
            assert (answer.status, cors_headers(answer)) == (status, {})

    run_probe(tmp_path, test, auth=True)


def test_without_auth_there_is_no_cors_and_a_token_changes_nothing(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.request("OPTIONS", "/things/a", headers={"Origin": PAGE, **PREFLIGHT})
        assert (answer.status, cors_headers(answer)) == (404, {})
        answer = await stack.get("/echo/a", headers={"Origin": PAGE, "Authorization": "Bearer a.b.c"})
        assert (answer.status, cors_headers(answer)) == (200, {})
        assert "authorizer" not in answer.data["event"]["requestContext"]

    run_probe(tmp_path, test)


def test_a_route_whose_authorizer_is_missing_is_refused_at_the_start(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        template = load_template(write_stack(tmp_path))
        with pytest.raises(TemplateError, match="has no authorizer Jwt"):
            Front(template, stack.emulator, None, access=print, authorizers={})  # type: ignore[arg-type]

    run_probe(tmp_path, test)
