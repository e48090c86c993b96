"""The contract and its generated files: compiled bodies validate as Pydantic does, and an outdated file is found."""

import datetime
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import SchemaValidator, to_json
from typing_extensions import TypedDict

from contract.__main__ import main
from contract.compiler import CompileError, compile_bodies
from contract.edit_session import SessionPatch
from contract.turns import Replacement
from contract.users import UserContent, UserPatch
from contract.values import BODY, Text
from contract.write_message import Batch, OneTurn
from robot_brain.bodies import patch_schemas, user_schemas, write_schemas
from tests.support.bundle import Json
from tests.support.random_bodies import bodies, patches, replacements, user_patches, users

SEED = 20261128
BODIES = 3_000
BROKEN_RULES = {
    "bool_type",
    "dict_type",
    "email",
    "extra_forbidden",
    "greater_than_equal",
    "int_type",
    "less_than_equal",
    "list_type",
    "metadata_too_large",
    "missing",
    "password_hash",
    "string_pattern_mismatch",
    "string_too_long",
    "string_too_short",
    "string_type",
    "text_too_large",
    "too_long",
    "too_short",
    "url",
    "user_id",
}
GENERATED = (
    *(f"layers/robot_brain/robot_brain/bodies/{name}_schemas.py" for name in ("write", "patch", "user")),
    "docs/openapi.json",
)


def verdict(validator: Any, body: Json) -> tuple[str, Any]:
    """Validate `body`. Return its JSON, or the place, kind and message of each broken rule."""
    try:
        return "valid", to_json(validator.validate_python(body))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return "broken", [(each["loc"], each["type"], each["msg"], each.get("ctx")) for each in found]


def test_the_compiled_schemas_validate_random_bodies_as_pydantic_does() -> None:
    print(f"seed {SEED}")
    one, batch = (
        (SchemaValidator(write_schemas.ONE_TURN), TypeAdapter(OneTurn)),
        (SchemaValidator(write_schemas.BATCH), TypeAdapter(Batch)),
    )
    replacement = (SchemaValidator(write_schemas.REPLACEMENT), TypeAdapter(Replacement))
    patch = (SchemaValidator(patch_schemas.SESSION_PATCH), TypeAdapter(SessionPatch))
    user = (SchemaValidator(user_schemas.USER_CONTENT), TypeAdapter(UserContent))
    user_patch = (SchemaValidator(user_schemas.USER_PATCH), TypeAdapter(UserPatch))
    judged: list[tuple[Any, Json]] = [
        *((batch if "messages" in body else one, body) for body in bodies(SEED, BODIES)),
        *((replacement, body) for body in replacements(SEED, BODIES)),
        *((patch, body) for body in patches(SEED, BODIES)),
        *((user, body) for body in users(SEED, BODIES)),
        *((user_patch, body) for body in user_patches(SEED, BODIES)),
    ]
    verdicts = []
    for (compiled, declared), body in judged:
        verdicts.append(verdict(compiled, body))
        assert verdicts[-1] == verdict(declared, body)
    # Many bodies must be valid and many broken, some with several errors. Each rule must be broken at least once.
    for first in range(0, len(judged), BODIES):
        broken = [found for kind, found in verdicts[first : first + BODIES] if kind == "broken"]
        assert BODIES // 5 < len(broken) < BODIES * 4 // 5
    broken = [found for kind, found in verdicts if kind == "broken"]
    assert sum(len(found) > 1 for found in broken) > BODIES // 20
    assert {kind for found in broken for _, kind, _, _ in found} == BROKEN_RULES


def test_the_files_generated_from_the_contract_are_up_to_date() -> None:
    assert main(["--check"]) is None


def test_the_check_names_each_file_that_differs_from_the_contract(tmp_path: Path) -> None:
    assert str(main(["--check"], tmp_path)).startswith(" and ".join(GENERATED))
    assert main([], tmp_path) is None
    assert main(["--check"], tmp_path) is None
    for name in GENERATED:
        made = (tmp_path / name).read_text()
        (tmp_path / name).write_text(made.replace("string" if name.endswith("json") else "strict", "strange", 1))
        assert str(main(["--check"], tmp_path)).startswith(f"{name}: ")
        (tmp_path / name).write_text(made)


@with_config(BODY)
class Inner(TypedDict):
    """A TypedDict that is a member of another."""

    text: Text


@with_config(BODY)
class Outer(TypedDict):
    """A TypedDict whose members have names that the compiler leaves out of schemas: `ref` and `metadata`."""

    ref: Inner
    metadata: list[Inner] | None


@with_config(BODY)
class Circle(TypedDict):
    """A TypedDict that contains itself."""

    circles: "list[Circle]"


def spelled(text: str) -> str:
    """Return `text`. A validator must be in the layer, and this function is not."""
    return text


def test_a_typed_dict_inside_another_is_compiled_to_a_constant_before_it() -> None:
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
    ("body", "message"),
    [
        (Circle, "Circle contains itself"),
        (int, "a TypedDict"),
        (_WithFunction, "spelled is not in robot_brain.bodies.personal or robot_brain.bodies.sizes"),
        (_WithDate, "2026"),
    ],
)
def test_the_compiler_refuses_what_it_cannot_compile(body: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_bodies((body,))
