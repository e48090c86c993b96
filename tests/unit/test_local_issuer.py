"""The local issuer: its key in the state folder, its addresses and tokens, and how often its keys are read."""

import asyncio
import json
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from joserfc.util import urlsafe_b64decode

from local.gateway.issuer_keys import KEPT_SECONDS, PAUSE_SECONDS, IssuerKeys, KeysError
from local.issuer import KEY_FILE, IssuerError, load_key, make_token, read_key
from tests.unit.local_tokens import NOW, Lab, running_issuer

PAGE = "http://localhost:5173"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give a running issuer."""
    with running_issuer(RSAKey.generate_key(2048)) as made:
        yield made


def ask(
    url: str, form: Sequence[tuple[str, str]] | bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, Any, Message]:
    """Send a request. Return the status, the body as JSON or None, and the headers."""
    data = form if isinstance(form, bytes | None) else urllib.parse.urlencode(form).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, named, method=method)) as response:
            return response.status, json.loads(response.read() or "null"), response.headers
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
            return error.code, json.loads(body) if body.startswith(b"{") else None, error.headers


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    key = load_key(tmp_path)
    path = tmp_path / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]
    assert load_key(tmp_path).thumbprint() == read_key(tmp_path).thumbprint() == key.thumbprint()


def test_a_key_file_that_a_crash_left_half_written_is_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).with_suffix(".new").write_text("{")
    load_key(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kty": "RSA"}', '{"kty": "oct", "k": "YQ", "d": ""}'])
def test_a_file_that_is_no_private_key_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content)
    with pytest.raises(IssuerError, match=r"issuer-key\.json is not a private RSA key: delete it"):
        load_key(tmp_path)


def test_a_public_key_cannot_stand_for_the_private_one(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text(json.dumps(RSAKey.generate_key(2048).as_dict(private=False)))
    with pytest.raises(IssuerError, match="delete it"):
        load_key(tmp_path)


def test_discovery_leads_to_the_public_key_and_never_to_the_private_one(lab: Lab) -> None:
    _, found, _ = ask(f"{lab.url}/.well-known/openid-configuration")
    assert (found["issuer"], found["token_endpoint"]) == (lab.url, f"{lab.url}/token")
    _, keys, _ = ask(found["jwks_uri"])
    assert [set(each) for each in keys["keys"]] == [{"kty", "n", "e", "kid", "use", "alg"}]


def test_each_field_of_the_form_is_a_claim_of_the_token(lab: Lab) -> None:
    form = [("sub", "ann é"), ("scope", "a b"), ("tenant", "acme"), ("grant_type", "x"), ("empty", "")]
    status, answer, headers = ask(f"{lab.url}/token", form)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 3600)
    assert headers["Cache-Control"] == "no-store"
    claims = _claims(answer["access_token"])
    assert dict(form).items() <= claims.items()
    assert (claims["iss"], claims["aud"]) == (lab.url, "robot-brain")
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ([], "sub is missing"),
        ([("sub", "")], "sub is missing"),
        ([("sub", "ann"), ("sub", "bob")], "a field is repeated"),
        ([("sub", "ann"), ("iss", "x"), ("exp", "1")], "iss, exp cannot be a further claim"),
        (b"sub=%FF", "invalid start byte"),
    ],
)
def test_a_form_that_makes_no_token_is_refused(lab: Lab, form: Any, reason: str) -> None:
    status, answer, _ = ask(f"{lab.url}/token", form)
    assert (status, answer["error"]) == (400, "invalid_request")
    assert reason in answer["error_description"]


def test_only_a_small_form_by_post_makes_a_token(lab: Lab) -> None:
    status, answer, _ = ask(f"{lab.url}/token", b'{"sub": "ann"}', content_type="application/json")
    assert (status, "content type" in answer["error_description"]) == (400, True)
    assert ask(f"{lab.url}/token?sub=ann")[0] == 405
    assert ask(f"{lab.url}/token", [("sub", "x" * 20_000)])[0] == 413
    assert ask(f"{lab.url}/other")[0] == 404


def test_a_page_of_this_machine_gets_a_token_and_any_other_page_does_not(lab: Lab) -> None:
    for page in (PAGE, "http://127.0.0.1:8000", "http://localhost"):
        status, _, headers = ask(f"{lab.url}/token", [("sub", "ann")], origin=page)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, page)
        status, _, headers = ask(f"{lab.url}/token", method="OPTIONS", origin=page)
        assert (status, headers["Access-Control-Allow-Origin"]) == (204, page)
    for page in ("https://localhost", "http://localhost.evil.example", "http://evil.example", "null", f"{PAGE}/"):
        status, answer, headers = ask(f"{lab.url}/token", [("sub", "ann")], origin=page)
        assert (status, "access_token" in answer, headers["Access-Control-Allow-Origin"]) == (403, False, None)
        _, _, headers = ask(f"{lab.url}/token", method="OPTIONS", origin=page)
        assert headers["Access-Control-Allow-Origin"] is None


def test_a_refusal_can_be_read_by_a_page_of_this_machine(lab: Lab) -> None:
    for target, form in (("/token", []), ("/other", None)):
        status, _, headers = ask(f"{lab.url}{target}", form, origin=PAGE)
        assert (status >= 400, headers["Access-Control-Allow-Origin"]) == (True, PAGE), target


def test_a_token_keeps_the_json_types_of_its_claims(lab: Lab) -> None:
    token = make_token(lab.key, lab.url, "ann", {"list": ["a"], "number": 1.5, "true": True, "null": None}, 60)
    claims = _claims(token)
    assert (claims["list"], claims["number"], claims["true"], claims["null"]) == (["a"], 1.5, True, None)
    with pytest.raises(IssuerError, match="sub cannot be a further claim"):
        make_token(lab.key, lab.url, "ann", {"sub": "bob"}, 60)


def test_keys_are_fetched_once_and_an_unknown_key_id_fetches_them_again_after_a_pause(lab: Lab) -> None:
    now = [float(NOW)]
    keys = Counted(lab.url, lambda: now[0])

    async def find(*key_ids: str) -> list[bool]:
        return [found is not None for found in await asyncio.gather(*map(keys.find, key_ids))]

    async def test() -> None:
        mine = lab.key.thumbprint()
        assert await find(mine, mine, mine) == [True, True, True]
        assert keys.fetched == 1
        assert await find(*map(str, range(100))) == [False] * 100
        assert keys.fetched == 1
        now[0] += PAUSE_SECONDS
        assert await find(*map(str, range(100)), mine) == [*[False] * 100, True]
        assert keys.fetched == 2
        now[0] += KEPT_SECONDS
        assert await find(mine, mine) == [True, True]
        assert keys.fetched == 3

    asyncio.run(test())


def test_a_new_key_of_the_issuer_is_found(tmp_path: Path) -> None:
    now = [float(NOW)]
    old, new = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
    with running_issuer(old) as lab:
        keys = Counted(lab.url, lambda: now[0])
        assert asyncio.run(keys.find(new.thumbprint())) is None
    port = int(lab.url.rpartition(":")[2])
    with running_issuer(new, port):
        now[0] += PAUSE_SECONDS
        found = asyncio.run(keys.find(new.thumbprint()))
        assert found is not None
        assert not found.is_private
        assert asyncio.run(keys.find(old.thumbprint())) is None


def test_an_issuer_that_is_away_or_that_is_another_one_is_an_error(lab: Lab) -> None:
    with pytest.raises(KeysError, match="cannot be fetched"):
        asyncio.run(IssuerKeys("http://127.0.0.1:1").find("a"))
    with pytest.raises(KeysError, match="names another issuer"):
        asyncio.run(IssuerKeys(f"{lab.url}/").find("a"))


class Counted(IssuerKeys):
    """The keys of an issuer, with the number of fetches."""

    fetched = 0

    async def _fetch(self) -> dict[str, RSAKey]:
        self.fetched += 1
        return await super()._fetch()


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1].encode()))
    return claims
