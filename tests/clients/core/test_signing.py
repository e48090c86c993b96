"""The signatures of the client are those of botocore, for random requests."""

from __future__ import annotations

import json
import random
import secrets
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from robot_brain_client import Bearer, RobotBrain, SigV4
from robot_brain_client.answers import Call
from tests.clients.core.scripted_gateway import Scripted, scripted
from tests.examples.signature import Received, Secret, refusal

KEY, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2V4YW1wbGU="
LETTERS = "abcXYZ019-_.~ +'\"!*()@:$&=;,üß日🙂"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long-term credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_signature_equals_that_of_botocore(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)

    def text() -> str:
        # botocore takes "." and ".." out of a path. The service refuses both ids.
        return "".join(rng.choices(LETTERS, k=rng.randint(1, 20))).strip(".") or "x"

    for _ in range(300):
        path = f"/stage/sessions/{quote(text(), safe='-_.~')}/messages"
        query = tuple((rng.choice(["q", "metadata", "limit", "user_id"]), text()) for _ in range(rng.randint(0, 3)))
        body = json.dumps({"user_message": text()}).encode() if rng.random() < 0.5 else None
        host = rng.choice(["abc.execute-api.eu-central-1.amazonaws.com", "127.0.0.1:3000"])
        now = datetime.now(UTC)
        call = Call(rng.choice(["GET", "POST", "PUT", "DELETE"]), path, query, {}, body)
        ours = SigV4("eu-central-1").headers(call, host, path, now)
        url = f"https://{host}{path}" + (f"?{urlencode(query, quote_via=quote, safe='-_.~')}" if query else "")
        request = AWSRequest(call.method, url, {"Host": host}, body)
        auth = SigV4Auth(Credentials(KEY, SECRET, token), "execute-api", "eu-central-1")
        request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        if token:
            request.headers["X-Amz-Security-Token"] = token
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        assert ours["authorization"].rpartition("=")[2] == signature, (seed, call)


def test_a_signed_request_as_it_is_sent_fits_the_rules_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    with scripted(Scripted(200, {"sessions": [], "page": {"cursor": None}})) as gateway:
        with RobotBrain(gateway.url, SigV4("eu-central-1")) as brain:
            brain.write("a b:ü+", {"robot_personality": "g", "user_message": "ü", "robot_response": ""})
            assert list(brain.sessions(metadata={"a b": "c+d~ü"}, user_id="x y", limit=2)) == []
        for seen in gateway.seen:
            received = Received(seen.method, seen.target, seen.headers, seen.body)
            assert refusal(received, Secret(KEY, SECRET, TOKEN), "eu-central-1", "execute-api") is None


def test_a_profile_is_found_as_the_aws_cli_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("[dev]\naws_access_key_id = AKIDDEV\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    headers = SigV4("eu-central-1", profile="dev").headers(Call("GET", "/stats"), "a", "/stats")
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDDEV/")


def test_without_a_region_the_error_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(ValueError, match="Set AWS_REGION"):
        SigV4()


def test_a_token_is_asked_for_before_each_attempt() -> None:
    tokens = iter(["old", "new"])
    with (
        scripted(Scripted(503, {}, {"retry-after": "0"}), Scripted(200, {})) as gateway,
        RobotBrain(gateway.url, Bearer(lambda: next(tokens))) as brain,
    ):
        brain.stats()
    assert [seen.headers["authorization"] for seen in gateway.seen] == ["Bearer old", "Bearer new"]
