"""The contract and what is made from it: the compiled bodies judge as Pydantic does, and nothing has drifted."""

from typing import Any

import pytest
from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator, to_json
from typing_extensions import TypedDict

from contract.__main__ import ROOT, generated, main
from contract.compiler import CompileError, compile_bodies
from contract.write_message import Batch, OneTurn
from robot_brain.bodies import schemas
from tests.random_bodies import bodies

SEED = 20261128
BODIES = 6_000

Json = dict[str, Any]


def verdict(validator: Any, body: Json) -> tuple[str, Any]:
    """Return what comes out as JSON, or where and which rules are broken, in words."""
    try:
        return "valid", to_json(validator.validate_python(body))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return "broken", [(each["loc"], each["type"], each["msg"], each.get("ctx")) for each in found]


def test_the_compiled_bodies_judge_random_ones_as_pydantic_does() -> None:
    print(f"seed {SEED}")
    judges: dict[bool, tuple[Any, Any]] = {
        False: (SchemaValidator(schemas.ONE_TURN), TypeAdapter(OneTurn)),
        True: (SchemaValidator(schemas.BATCH), TypeAdapter(Batch)),
    }
    said = []
    for body in bodies(SEED, BODIES):
        compiled, declared = judges["messages" in body]
        said.append(verdict(compiled, body))
        assert said[-1] == verdict(declared, body)
    # The bodies are of every kind: valid, and with each of the rules broken.
    assert BODIES // 5 < sum(kind == "valid" for kind, _ in said) < BODIES * 4 // 5
    broken = [found for kind, found in said if kind == "broken"]
    assert sum(len(found) > 1 for found in broken) > BODIES // 20
    assert {type_ for found in broken for _, type_, _, _ in found} == {
        "bool_type",
        "dict_type",
        "extra_forbidden",
        "greater_than_equal",
        "int_type",
        "less_than_equal",
        "list_type",
        "metadata_too_large",
        "missing",
        "string_too_long",
        "string_too_short",
        "string_type",
        "text_too_large",
        "too_long",
        "too_short",
    }


def test_what_is_made_from_the_contract_is_what_it_says_now() -> None:
    assert main(["--check"]) is None
