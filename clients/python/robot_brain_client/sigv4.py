"""Signatures of AWS (Signature Version 4) for an API that was built with AUTH=iam."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from robot_brain_client.answers import Call

_SERVICE = "execute-api"


@dataclass(frozen=True)
class _Credentials:
    key_id: str
    secret: str
    session_token: str | None


class SigV4:
    """Sign each request with AWS credentials.

    Without `profile` the credentials come from the environment, which is all there is inside Lambda:
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. With `profile`, or without these variables,
    botocore finds them as the AWS CLI does; it has to be installed (`robot-brain-client[aws]`).
    `region` is AWS_REGION or AWS_DEFAULT_REGION if it is not given.
    """

    def __init__(self, region: str | None = None, profile: str | None = None) -> None:
        self._region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not self._region:
            raise ValueError("Set AWS_REGION, or name the region of the API: SigV4(region=...)")
        self._profile = profile
        self._found: Any = None

    def _credentials(self) -> _Credentials:
        key_id, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if key_id and secret and not self._profile:
            return _Credentials(key_id, secret, os.environ.get("AWS_SESSION_TOKEN"))
        if self._found is None:
            self._found = self._find()
        # botocore renews credentials that expire, so they are asked for each time.
        frozen = self._found.get_frozen_credentials()
        return _Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _find(self) -> Any:
        try:
            from botocore.session import Session
        except ImportError as error:
            raise ValueError(
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install robot-brain-client[aws] for profiles"
            ) from error
        found = Session(profile=self._profile).get_credentials()
        if found is None:
            raise ValueError("There are no AWS credentials: set AWS_ACCESS_KEY_ID, or log in with the AWS CLI")
        return found

    def headers(self, call: Call, host: str, path: str, now: datetime | None = None) -> dict[str, str]:
        """Return the headers of a signed request."""
        credentials = self._credentials()
        time = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        signed = {"host": host, "x-amz-date": time}
        if credentials.session_token:
            signed["x-amz-security-token"] = credentials.session_token
        names = ";".join(sorted(signed))
        # AWS encodes the path a second time.
        request = "\n".join(
            (
                call.method,
                quote(path, safe="/-_.~"),
                "&".join(
                    f"{name}={value}" for name, value in sorted((_encoded(n), _encoded(v)) for n, v in call.query)
                ),
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                hashlib.sha256(call.body or b"").hexdigest(),
            )
        )
        scope = f"{time[:8]}/{self._region}/{_SERVICE}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{credentials.secret}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        )
        return {**{name: text for name, text in signed.items() if name != "host"}, "authorization": authorization}


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
