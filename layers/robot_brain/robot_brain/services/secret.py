"""Fetch the database's URL and Neon's API key from AWS Secrets Manager, with only the standard library.

The import of boto3 takes longer than a cold start may last (docs/decisions/0012), and a secret needs only one POST.
The signature is AWS Signature Version 4, as in the AWS General Reference. A test compares it with botocore's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time

from robot_brain.deadline import Deadline
from robot_brain.errors import DatabaseAwayError, DatabaseRefusedError, SettingsError
from robot_brain.services import https
from robot_brain.settings import Credentials

_TARGET = "secretsmanager.GetSecretValue"
_CONTENT_TYPE = "application/x-amz-json-1.1"
# White space and a byte order mark, which an editor or a pasted line may leave around a secret.
_AROUND = " \t\r\n\ufeff"
# Bytes, with headers. A secret has up to 65,536 bytes, and JSON may need six bytes for each.
_LARGEST_ANSWER = 524_288
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


def fetch_database_url(arn: str, endpoint: str, credentials: Credentials, deadline: Deadline) -> str:
    """Return the connection string in the secret `arn`: the secret's text, or its JSON member DATABASE_URL.

    `endpoint` replaces AWS's own endpoint if it is not empty.
    Raises DatabaseAwayError if a retry may help, and DatabaseRefusedError if it does not.
    Raises SettingsError if the secret contains no connection string.
    """
    secret = _fetch(arn, endpoint, credentials, deadline)
    found = _member(secret, "DATABASE_URL") if secret.startswith("{") else secret
    if not found:
        raise SettingsError(
            "the secret of DATABASE_SECRET_ARN must be a connection string or JSON with a member DATABASE_URL"
        )
    return found


def fetch_neon_api_key(arn: str, endpoint: str, credentials: Credentials, deadline: Deadline) -> str:
    """Return the JSON member NEON_API_KEY of the secret `arn`. Raises the errors of `fetch_database_url`."""
    found = _member(_fetch(arn, endpoint, credentials, deadline), "NEON_API_KEY")
    if not found:
        raise SettingsError("set NEON_API_KEY, or put a member NEON_API_KEY into the secret of DATABASE_SECRET_ARN")
    if not re.fullmatch(r"[\x21-\x7e]{1,512}", found):
        raise SettingsError("NEON_API_KEY in the secret of DATABASE_SECRET_ARN is not a key of Neon's API")
    return found


def _fetch(arn: str, endpoint: str, credentials: Credentials, deadline: Deadline) -> str:
    """Return the text of a secret without surrounding white space, or an empty text if the secret is binary."""
    region = arn.split(":")[3]
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = endpoint or f"https://secretsmanager.{region}.{suffix}"
    keys = _keys(credentials, deadline)
    body = json.dumps({"SecretId": arn}).encode()
    headers = signed_headers(url, region, body, keys, time.gmtime())
    status, answer = _send("POST", url, body, headers, deadline)
    kind = str(answer.get("__type", "")).rsplit("#", 1)[-1]
    if status in _TRANSIENT or kind == "ThrottlingException":
        raise DatabaseAwayError(f"AWS Secrets Manager answered {status} {kind}")
    if status != 200:
        raise DatabaseRefusedError(
            f"AWS Secrets Manager answered {status} {kind}; see DATABASE_SECRET_ARN and the role's policy"
        )
    text = answer.get("SecretString")
    return text.strip(_AROUND) if isinstance(text, str) else ""


def _member(secret: str, name: str) -> str | None:
    try:
        found = json.loads(secret).get(name) if secret.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return found.strip(_AROUND) if isinstance(found, str) else None


def signed_headers(url: str, region: str, body: bytes, keys: Credentials, now: time.struct_time) -> dict[str, str]:
    """Return the headers, with the signature, of one POST of `body` to Secrets Manager at `url`."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", now)
    headers = {
        "content-type": _CONTENT_TYPE,
        "host": https.split(url).netloc,
        "x-amz-date": stamp,
        "x-amz-target": _TARGET,
    }
    if keys.session_token:
        headers["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{region}/secretsmanager/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _keys(credentials: Credentials, deadline: Deadline) -> Credentials:
    if not credentials.uri:
        return credentials
    status, answer = _send("GET", credentials.uri, None, {"authorization": credentials.token}, deadline)
    key, secret, token = (str(answer.get(name, "")) for name in ("AccessKeyId", "SecretAccessKey", "Token"))
    if status != 200 or not key or not secret:
        raise DatabaseAwayError(f"the credentials endpoint of the execution environment answered {status}")
    return Credentials(key, secret, token, "", "")


def _send(
    method: str, url: str, body: bytes | None, headers: dict[str, str], deadline: Deadline
) -> tuple[int, dict[str, object]]:
    try:
        status, text = https.request(method, url, body, headers, deadline, _LARGEST_ANSWER)
    except https.NoAnswerError as error:
        raise DatabaseAwayError(str(error)) from error
    try:
        return status, json.loads(text) if text.startswith(b"{") else {}
    except (ValueError, RecursionError) as error:
        raise DatabaseAwayError(f"{https.split(url).netloc} did not answer in JSON: {type(error).__name__}") from error
