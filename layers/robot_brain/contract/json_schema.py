"""Turn forms into JSON Schema with the references of OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

Json = dict[str, Any]

_SCHEMA = "#/components/schemas/{model}"


class _Schema(GenerateJsonSchema):
    """JSON Schema without titles of members, because a title only repeats the name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: Any) -> Json:
        # Pydantic reads only the docstrings in the class itself. Those of inherited members are in the base.
        found = super().typed_dict_schema(schema)
        for base in getattr(schema["cls"], "__orig_bases__", ()):
            if is_typeddict(base):
                for name, member in TypeAdapter(base).json_schema(schema_generator=_Schema)["properties"].items():
                    if "description" in member:
                        found["properties"][name].setdefault("description", member["description"])
        return found


def json_schema(form: Any) -> tuple[Json, Json]:
    """Return the schema of a form, and the definitions that it refers to by name."""
    adapter: TypeAdapter[Any] = TypeAdapter(form)
    schemas, found = TypeAdapter.json_schemas(
        [("form", "validation", adapter)], ref_template=_SCHEMA, schema_generator=_Schema
    )
    return schemas["form", "validation"], found["$defs"]


def described(schema: Json) -> Json:
    """Return a member as a parameter or header, with its description next to its schema."""
    inner = {key: value for key, value in schema.items() if key != "description"}
    # A docstring may have several lines.
    description = " ".join(schema.get("description", "").split())
    return ({"description": description} if description else {}) | {"schema": inner}


def members(form: Any) -> list[tuple[str, Json, bool]]:
    """Return each member of a form: its name, its schema and whether it is required."""
    if form is None:
        return []
    _, definitions = json_schema(form)
    schema = definitions[form.__name__]
    required = schema.get("required", [])
    return [(name, member, name in required) for name, member in schema["properties"].items()]
