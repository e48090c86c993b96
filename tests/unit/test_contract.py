"""The contract and what is made from it: the compiled bodies judge as Pydantic does, and a drift is noticed."""

import datetime
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import SchemaValidator, to_json
from typing_extensions import TypedDict

from contract.__main__ import main
from contract.compiler import CompileError, compile_bodies
from contract.values import BODY, Text
from contract.write_message import Batch, OneTurn
from robot_brain.bodies import schemas
from tests.support.random_bodies import bodies

SEED = 20261128
BODIES = 6_000
BROKEN = {
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
MADE = ("layers/robot_brain/robot_brain/bodies/schemas.py", "docs/openapi.json")

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
    # They are valid bodies and broken ones, and each rule is broken by some of them.
    broken = [found for kind, found in said if kind == "broken"]
    assert BODIES // 5 < len(broken) < BODIES * 4 // 5
    assert sum(len(found) > 1 for found in broken) > BODIES // 20
    assert {kind for found in broken for _, kind, _, _ in found} == BROKEN


def test_what_is_made_from_the_contract_is_what_it_says_now() -> None:
    assert main(["--check"]) is None


def test_what_is_not_what_the_contract_says_is_named(tmp_path: Path) -> None:
    assert str(main(["--check"], tmp_path)).startswith(" and ".join(MADE))
    assert main([], tmp_path) is None
    assert main(["--check"], tmp_path) is None
    for name in MADE:
        made = (tmp_path / name).read_text()
        (tmp_path / name).write_text(made.replace("2147483647", "2147483646", 1))
        assert str(main(["--check"], tmp_path)).startswith(f"{name}: ")
        (tmp_path / name).write_text(made)


@with_config(BODY)
class Inner(TypedDict):
    """A form inside another."""

    text: Text


@with_config(BODY)
class Outer(TypedDict):
    """A form whose members have the names of what is left out of a schema."""

    ref: Inner
    metadata: list[Inner] | None


@with_config(BODY)
class Circle(TypedDict):
    """A form inside itself."""

    circles: "list[Circle]"


def spelled(text: str) -> str:
    """Return a text; it stands outside the layer."""
    return text


def test_a_form_inside_a_form_is_a_constant_before_it() -> None:
    space: Json = {}
    exec(compile_bodies((Outer,)), space)
    assert [name for name in space if name.isupper()] == ["INNER", "OUTER"]
    judge = SchemaValidator(space["OUTER"])
    sent: list[Json] = [{"ref": {"text": "x"}, "metadata": [{"text": ""}]}, {"ref": {}, "metadata": None}, {"ref": 1}]
    for body in sent:
        assert verdict(judge, body) == verdict(TypeAdapter(Outer), body)


class _WithDate(TypedDict):
    when: NotRequired[Annotated[str, Field(default=datetime.date(2026, 1, 1))]]


class _WithFunction(TypedDict):
    text: Annotated[str, AfterValidator(spelled)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (Circle, "Circle contains itself"),
        (int, "a TypedDict"),
        (_WithFunction, "spelled is not in robot_brain.bodies.sizes"),
        (_WithDate, "2026"),
    ],
)
def test_what_the_compiler_does_not_know_is_an_error(body: Any, says: str) -> None:
    with pytest.raises(CompileError, match=says):
        compile_bodies((body,))
