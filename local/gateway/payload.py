"""Convert HTTP to Lambda's payload format 2.0 and back, as an HTTP API does. This module uses no network."""

import base64
import binascii
import http
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.cloudformation import ACCOUNT
from local.template import Route

# These headers concern only one connection, or the gateway handles them itself.
NOT_PASSED_ON = {
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
NOT_TAKEN_OVER = {*NOT_PASSED_ON, "content-length", "date", "server"}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
TARGET = re.compile(r"[\x21-\x7e]+")
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class BadTargetError(ValueError):
    """The request target is not a path of percent-encoded UTF-8."""


class MalformedResponseError(ValueError):
    """The function's response does not follow payload format 2.0."""


@dataclass(frozen=True)
class HttpRequest:
    """A request as it was received: `target` is not decoded, `body` is as sent, `received` is seconds since 1970."""

    method: str
    target: str
    protocol: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str
    host: str
    received: float


@dataclass(frozen=True)
class HttpResponse:
    """The response to send, with header names in lower case and the decoded body."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @classmethod
    def of_gateway(cls, status: int) -> "HttpResponse":
        """Return the gateway's own answer of this status: `{"message": …}`."""
        phrase = {413: "Request Entity Too Large"}.get(status) or http.HTTPStatus(status).phrase
        body = json.dumps({"message": phrase}, separators=(",", ":")).encode()
        return cls(status, [("content-type", "application/json")], body)


def split_target(target: str) -> tuple[str, str]:
    """Return the decoded path and the undecoded query of a request line's target.

    Raises BadTargetError if the target is not printable ASCII, has a broken percent-escape, or decodes to octets that
    are not UTF-8.
    """
    if not TARGET.fullmatch(target) or "#" in target:
        raise BadTargetError("the request target is not printable ASCII")
    # The absolute form, `GET http://host/path`, has the same meaning.
    target = re.sub(r"^https?://[^/?]*", "", target, flags=re.IGNORECASE)
    path, _, query = target.partition("?")
    if BROKEN_ESCAPE.search(path):
        raise BadTargetError("a percent sign in the path is not followed by two hexadecimal digits")
    try:
        return unquote(path, errors="strict"), query
    except UnicodeDecodeError as error:
        raise BadTargetError("the decoded path is not UTF-8") from error


def build_event(
    request: HttpRequest,
    route: Route,
    path: str,
    query: str,
    parameters: Mapping[str, str],
    claims: Mapping[str, str] | None = None,
) -> bytes:
    """Return the event of payload format 2.0 as JSON, for a matched request.

    A body in UTF-8 becomes text, and any other body becomes base64. Fields without content are absent, as in Lambda.
    `claims` are those of a checked token. Only they become the event's authorizer.
    """
    key = f"{route.method} {route.path}"
    headers = _joined_headers(request)
    cookies = [part.strip() for name, value in request.headers if name.lower() == "cookie" for part in value.split(";")]
    event: dict[str, Any] = {"version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": query}
    if any(cookies):
        event["cookies"] = [cookie for cookie in cookies if cookie]
    event["headers"] = headers
    if query:
        event["queryStringParameters"] = _joined_query(query)
    event["requestContext"] = {
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": request.host,
        "domainPrefix": request.host.split(".")[0],
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": base64.b64encode(secrets.token_bytes(11)).decode(),
        "routeKey": key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(request.received)),
        "timeEpoch": int(request.received * 1000),
    }
    if claims is not None:
        # No route of the template asks for scopes, so the gateway lists none.
        event["requestContext"]["authorizer"] = {"jwt": {"claims": dict(claims), "scopes": None}}
    if parameters:
        event["pathParameters"] = dict(parameters)
    if request.body:
        try:
            event["body"] = request.body.decode("utf-8")
        except UnicodeDecodeError:
            event["body"] = base64.b64encode(request.body).decode()
            event["isBase64Encoded"] = True
    event.setdefault("isBase64Encoded", False)
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _joined_headers(request: HttpRequest) -> dict[str, str]:
    headers: dict[str, str] = {}
    forwarded = [
        ("x-forwarded-for", request.source_ip),
        ("x-forwarded-port", request.host.rpartition(":")[2]),
    ]
    for name, value in (*request.headers, *forwarded, ("x-forwarded-proto", "http")):
        name = name.lower()
        if name not in NOT_PASSED_ON and name not in ("cookie", "content-length"):
            # aiohttp keeps octets that are not UTF-8 as lone surrogates, which JSON must not hold. So read them as
            # Latin-1.
            octets = value.encode("utf-8", "surrogateescape")
            try:
                value = octets.decode("utf-8")
            except UnicodeDecodeError:
                value = octets.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    headers["content-length"] = str(len(request.body))
    headers["x-amzn-trace-id"] = f"Root=1-{int(request.received):08x}-{secrets.token_hex(12)}"
    return headers


def _joined_query(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def read_response(payload: bytes) -> HttpResponse:
    """Return the HTTP response that payload format 2.0 makes of a function's response.

    Without a `statusCode` the whole JSON is the body of a 200. Raises MalformedResponseError if the payload is not JSON
    or its status, a header or the body is not valid. The gateway answers these with 500.
    """
    try:
        response = json.loads(payload, parse_constant=_refuse_constant)
    except ValueError as error:
        raise MalformedResponseError(f"the response is not JSON: {error}") from error
    if not isinstance(response, dict) or "statusCode" not in response:
        return HttpResponse(200, [("content-type", "application/json")], payload)
    status = response["statusCode"]
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise MalformedResponseError("statusCode is not an HTTP status")
    headers = _response_headers(response)
    body = _response_body(response)
    if body and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    return HttpResponse(status, headers, body)


def _response_headers(response: Mapping[str, Any]) -> list[tuple[str, str]]:
    given, cookies = response.get("headers") or {}, response.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise MalformedResponseError("headers is not an object, or cookies is not a list")
    headers: list[tuple[str, str]] = []
    for name, value in (*given.items(), *(("set-cookie", cookie) for cookie in cookies)):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(value, dict | list) or not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(text):
            raise MalformedResponseError(f"the header {name!r} is not a valid HTTP header")
        if value is not None and name.lower() not in NOT_TAKEN_OVER:
            headers.append((name.lower(), text))
    return headers


def _response_body(response: Mapping[str, Any]) -> bytes:
    body = response.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponseError("body is not text")
    try:
        return base64.b64decode(body, validate=True) if response.get("isBase64Encoded") else body.encode("utf-8")
    except (binascii.Error, UnicodeEncodeError) as error:
        raise MalformedResponseError(f"body cannot be encoded: {error}") from error


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
