"""Signature Version 4 as AWS documents it, to check the signature of a request that was received.

The steps are those of "Create a signed AWS API request" in the IAM User Guide. No code of a signer is used here.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,"
    r" ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Received:
    """A request as it came: its method, its target as it was sent, its headers with small names, and its body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Secret:
    """What the receiver knows of the caller. Without a session token the caller has long-term keys."""

    access_key: str
    secret_key: str
    token: str | None = None


def refusal(request: Received, secret: Secret, region: str, service: str) -> str | None:
    """Return why the signature does not fit, or None if it fits. How old it is does not matter."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return "no signature"
    access_key, day, signed_region, signed_service, names, signature = found.groups()
    if (access_key, signed_region, signed_service) != (secret.access_key, region, service):
        return "another key, region or service"
    signed = names.split(";")
    required = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    if signed != sorted(signed) or not required <= set(signed):
        return "not all of these headers are signed"
    if request.headers.get("x-amz-security-token") != secret.token:
        return "another session token"
    if not request.headers.get("x-amz-date", "").startswith(day):
        return "another day"
    wanted = sign(request, signed, secret.secret_key, region, service)
    return None if hmac.compare_digest(wanted, signature) else "another signature"


def sign(request: Received, signed: list[str], secret_key: str, region: str, service: str) -> str:
    """Return the signature of the request over these headers."""
    moment = request.headers["x-amz-date"]
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical(request, signed).encode()).hexdigest()
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hex()


def canonical(request: Received, signed: list[str]) -> str:
    """Return the canonical request.

    The path is encoded twice: by the client that sent it, and once more here. Only S3 does without the second time.
    """
    path, _, query = request.target.partition("?")
    lines = [request.method, quote(path, safe="/~")]
    lines.append("&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)))
    lines += [f"{name}:{' '.join(request.headers[name].split())}" for name in signed]
    return "\n".join([*lines, "", ";".join(signed), hashlib.sha256(request.body).hexdigest()])
