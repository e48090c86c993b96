"""The decisions of the local JWT authorizer, with real tokens: which of them are refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from local.gateway.authorizer import UnauthorizedError
from tests.unit.local_tokens import NOW, Lab, running_issuer, sign

AUDIENCE = "the token does not have a valid audience"
MALFORMED = "the token is malformed"
SIGNATURE = "the signature is not valid"
ALGORITHM = "the signing algorithm of the token is not supported"
UNKNOWN_KEY = "the issuer has no key with the key id of the token"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give a running issuer."""
    with running_issuer(RSAKey.generate_key(2048)) as made:
        yield made


@pytest.fixture(scope="module")
def stranger() -> RSAKey:
    """Return an attacker's key."""
    return RSAKey.generate_key(2048)


def test_a_good_token_is_accepted_with_and_without_the_word_bearer(lab: Lab) -> None:
    token = lab.token()
    for header in (token, f"Bearer {token}", f"bearer {token}", f" Bearer  {token} "):
        assert lab.decide(header) == {"iss": lab.url, "aud": "robot-brain", "sub": "ann", "exp": str(NOW + 60)}


def test_a_request_without_a_token_gets_a_challenge_without_a_reason(lab: Lab) -> None:
    for headers in ((), ("",), (" ",)):
        with pytest.raises(UnauthorizedError) as refused:
            lab.decide(*headers)
        assert refused.value.challenge == "Bearer"
    with pytest.raises(UnauthorizedError) as refused:
        lab.decide(lab.token({"aud": "other"}))
    assert refused.value.challenge == f'Bearer scope="" error="invalid_token" error_description="{AUDIENCE}"'


def test_two_authorization_headers_are_no_token(lab: Lab) -> None:
    token = lab.token()
    assert lab.reason(token, token) == MALFORMED
    assert lab.reason("Bearer", token) == MALFORMED
    assert lab.reason("", f"Bearer {token}") == MALFORMED


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Basic YW5uOg==", "a.b", "a.b.c.d", "a..c", "Bearer a b.c.d", "é.é.é", "a=.b=.c=", "...."],
)
def test_text_that_is_no_compact_token_is_refused(lab: Lab, header: str) -> None:
    assert lab.reason(header) == MALFORMED


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "RS384", "RS512", "PS256", "", None, 256, ["RS256"]])
def test_a_token_that_names_another_algorithm_is_refused(lab: Lab, algorithm: Any) -> None:
    token = sign({**lab.header, "alg": algorithm}, lab.claims, lab.key, alg="RS256")
    assert lab.reason(token) == ALGORITHM


def test_a_token_with_the_algorithm_none_and_no_signature_is_refused(lab: Lab) -> None:
    unsigned = sign({**lab.header, "alg": "none"}, lab.claims, lab.key, alg="RS256").rpartition(".")[0]
    assert lab.reason(unsigned) == lab.reason(f"{unsigned}.") == MALFORMED
    assert lab.reason(f"{unsigned}.AA") == ALGORITHM


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(lab: Lab) -> None:
    for public in (lab.key.as_pem(private=False), json.dumps(lab.key.as_dict(private=False)).encode()):
        secret = OctKey.import_key({"kty": "oct", "k": OctKey.import_key(public.hex()).as_dict()["k"]})
        assert lab.reason(sign({**lab.header, "alg": "HS256"}, lab.claims, secret)) == ALGORITHM
        # The name RS256 does not help.
        assert lab.reason(sign(lab.header, lab.claims, secret, alg="HS256")) == SIGNATURE


def test_a_token_signed_with_another_kind_of_signature_is_refused(lab: Lab) -> None:
    curve = ECKey.generate_key("P-256")
    assert lab.reason(sign({**lab.header, "alg": "ES256"}, lab.claims, curve)) == ALGORITHM
    assert lab.reason(sign(lab.header, lab.claims, curve, alg="ES256")) == SIGNATURE
    assert lab.reason(sign(lab.header, lab.claims, lab.key, alg="RS512")) == SIGNATURE
    assert lab.reason(sign(lab.header, lab.claims, lab.key, alg="PS256")) == SIGNATURE


def test_a_token_signed_with_a_strangers_key_is_refused(lab: Lab, stranger: RSAKey) -> None:
    assert lab.reason(sign(lab.header, lab.claims, stranger)) == SIGNATURE
    assert lab.reason(sign({**lab.header, "kid": stranger.thumbprint()}, lab.claims, stranger)) == UNKNOWN_KEY


def test_a_key_in_the_header_of_a_token_is_never_used(lab: Lab, stranger: RSAKey) -> None:
    with running_issuer(stranger) as other:
        for header in (
            {"jwk": stranger.as_dict(private=False)},
            {"jku": f"{other.url}/.well-known/jwks.json"},
            {"x5u": f"{other.url}/.well-known/jwks.json"},
            {"x5c": ["AAAA"]},
        ):
            named = {**lab.header, **header}
            assert lab.reason(sign(named, lab.claims, stranger)) == SIGNATURE
            assert lab.reason(sign({**named, "kid": stranger.thumbprint()}, lab.claims, stranger)) == UNKNOWN_KEY


@pytest.mark.parametrize("key_id", ["unknown", "", "../../../../dev/null", "http://127.0.0.1:1/keys", "' or '1'='1"])
def test_a_key_id_that_the_issuer_does_not_have_is_refused(lab: Lab, key_id: str) -> None:
    assert lab.reason(lab.token(kid=key_id)) == UNKNOWN_KEY


@pytest.mark.parametrize("key_id", [0, None, True, ["a"], {"a": 1}])
def test_a_key_id_that_is_no_text_is_refused(lab: Lab, key_id: Any) -> None:
    assert lab.reason(lab.token(kid=key_id)) == "the token has no key id"


def test_a_token_without_a_key_id_or_an_algorithm_is_refused(lab: Lab) -> None:
    assert lab.reason(sign({"alg": "RS256"}, lab.claims, lab.key)) == "the token has no key id"
    assert lab.reason(sign({"kid": lab.key.thumbprint()}, lab.claims, lab.key, alg="RS256")) == ALGORITHM


def test_a_token_with_a_critical_extension_is_refused(lab: Lab) -> None:
    for header in ({"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"b64": True}):
        assert lab.reason(lab.token(**header)) == "the token has a critical extension"


def test_further_members_of_a_header_do_not_matter(lab: Lab) -> None:
    assert lab.decide(lab.token(typ="JWT", x5t="abc", tool="x" * 2000))["sub"] == "ann"


def test_a_changed_payload_header_or_signature_is_refused(lab: Lab, stranger: RSAKey) -> None:
    header, payload, signature = lab.token().split(".")
    of_bob = sign(lab.header, {**lab.claims, "sub": "bob"}, stranger).split(".")[1]
    of_typ = sign({**lab.header, "typ": "JWT"}, lab.claims, stranger).split(".")[0]
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    for forged in (
        f"{header}.{of_bob}.{signature}",
        f"{of_typ}.{payload}.{signature}",
        f"{header}.{payload}.{changed}",
    ):
        assert lab.reason(forged) == SIGNATURE
    assert lab.reason(f"{header}.{payload}.{signature}A") == SIGNATURE
    assert lab.reason(f"{header}.{payload}.A") == SIGNATURE


@pytest.mark.parametrize(
    "pair",
    [
        '"sub": "ann", "sub": "bob"',
        '"sub": "bob", "s\\u0075b": "ann"',
        '"a": {"b": 1, "b": 2}',
        '"a": [{"b": 1, "b": 1}]',
    ],
)
def test_a_token_that_repeats_a_member_is_refused(lab: Lab, pair: str) -> None:
    rest = json.dumps({name: value for name, value in lab.claims.items() if name != "sub"})[1:]
    assert lab.reason(sign(lab.header, f"{{{pair}, {rest}", lab.key)) == MALFORMED
    header = json.dumps(lab.header)
    assert lab.reason(sign(f'{{"kid": "other", {header[1:]}', lab.claims, lab.key)) == MALFORMED
    assert lab.reason(sign(f'{{"alg": "none", {header[1:]}', lab.claims, lab.key)) == MALFORMED


@pytest.mark.parametrize("payload", ["[]", '"text"', "5", "null", "", "{", "{} {}", '{"exp": NaN}', "[" * 3000])
def test_a_payload_that_is_no_json_object_is_refused(lab: Lab, payload: str) -> None:
    assert lab.reason(sign(lab.header, payload or " ", lab.key)) == MALFORMED


@pytest.mark.parametrize("issuer", ["", "http://127.0.0.1:1", None, 5, ["x"], "{url}/", "HTTP{rest}", " {url}"])
def test_another_issuer_is_refused(lab: Lab, issuer: Any) -> None:
    if isinstance(issuer, str):
        issuer = issuer.format(url=lab.url, rest=lab.url.removeprefix("http"))
    assert lab.reason(lab.token({"iss": issuer})) == "the issuer does not match"


def test_the_audience_is_a_text_or_a_list_and_client_id_counts_only_without_it(lab: Lab) -> None:
    accepted = lab.decide(lab.token({"aud": ["x", "robot-brain"]}))
    assert accepted["aud"] == "[x robot-brain]"
    without = {name: value for name, value in lab.claims.items() if name != "aud"}
    assert lab.decide(sign(lab.header, {**without, "client_id": "robot-brain"}, lab.key))["client_id"] == "robot-brain"
    assert lab.reason(sign(lab.header, without, lab.key)) == AUDIENCE
    assert lab.reason(sign(lab.header, {**without, "client_id": ["robot-brain"]}, lab.key)) == AUDIENCE
    for audience in (
        "other",
        "",
        "robot-brain ",
        "ROBOT-BRAIN",
        None,
        5,
        [],
        [5],
        {"robot-brain": 1},
        [["robot-brain"]],
    ):
        assert lab.reason(lab.token({"aud": audience, "client_id": "robot-brain"})) == AUDIENCE
    assert lab.decide(lab.token({"aud": "b"}), audience=("a", "b"))["aud"] == "b"


@pytest.mark.parametrize("expiry", [NOW, NOW - 1, 0, NOW - 0.5])
def test_an_expired_token_is_refused(lab: Lab, expiry: float) -> None:
    assert lab.reason(lab.token({"exp": expiry})) == "the token has expired"


def test_a_token_that_never_expires_is_refused(lab: Lab) -> None:
    without = {name: value for name, value in lab.claims.items() if name != "exp"}
    assert lab.reason(sign(lab.header, without, lab.key)) == "the token has expired"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [f"{NOW + 60}", None, True, [NOW + 60], {}, -1, 2**53, 10**30, 1e300])
def test_a_time_that_is_no_possible_number_is_refused(lab: Lab, claim: str, value: Any) -> None:
    assert lab.reason(lab.token({claim: value})) == f"the claim {claim} is no time"


def test_a_number_beyond_a_double_is_refused(lab: Lab) -> None:
    claims = json.dumps({**lab.claims, "exp": "EXP"}).replace('"EXP"', "1e999")
    assert lab.reason(sign(lab.header, claims, lab.key)) == MALFORMED
    digits = json.dumps({**lab.claims, "exp": "EXP"}).replace('"EXP"', "9" * 5000)
    assert lab.reason(sign(lab.header, digits, lab.key)) == MALFORMED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_from_the_future_is_refused(lab: Lab, claim: str) -> None:
    assert lab.reason(lab.token({claim: NOW + 1})) == "the token is not valid yet"
    assert lab.decide(lab.token({claim: NOW}))[claim] == str(NOW)
