"""What text each claim of a token becomes in the event of the local front."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from local.gateway.authorizer import UnauthorizedError
from tests.unit.local_tokens import Lab, running_issuer


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give a running issuer."""
    with running_issuer(RSAKey.generate_key(2048)) as made:
        yield made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ann", "ann"),
        ("", ""),
        ("[a b]", "[a b]"),
        ("é🤖\u0000", "é🤖\u0000"),
        (5, "5"),
        (-5, "-5"),
        (1.0, "1"),
        (1.5, "1.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (True, "true"),
        (False, "false"),
        (["a", "b"], "[a b]"),
        ([], "[]"),
        (["a", 1, True, None, ["c"]], "[a 1 true <nil> [c]]"),
        ({"b": 1, "a": "x"}, "map[a:x b:1]"),
        ({}, "map[]"),
    ],
)
def test_each_claim_arrives_as_the_text_that_the_gateway_writes(lab: Lab, value: Any, text: str) -> None:
    claims = lab.decide(lab.token({"claim": value}))
    assert claims["claim"] == text
    assert json.dumps(claims, ensure_ascii=False).encode()


def test_a_claim_that_is_null_does_not_arrive(lab: Lab) -> None:
    assert "claim" not in lab.decide(lab.token({"claim": None}))


@pytest.mark.parametrize("value", ["\ud800x", ["\udfff"], {"\ud800": 1}])
def test_half_of_a_pair_of_surrogates_makes_a_token_malformed(lab: Lab, value: Any) -> None:
    """With a replacement two users could become one."""
    with pytest.raises(UnauthorizedError, match="malformed"):
        lab.decide(lab.token({"claim": value}))
