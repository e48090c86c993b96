"""Forms as JSON Schema, in the way that OpenAPI refers to them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

Json = dict[str, Any]

_SCHEMA = "#/components/schemas/{model}"


class _Schema(GenerateJsonSchema):
    """JSON Schema without a title for each member, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: Any) -> Json:
        # Pydantic reads the docstrings of a class alone. Members that come from another form have theirs there.
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
    """Return what a parameter or a header says of a member: its description beside its schema."""
    inner = {key: value for key, value in schema.items() if key != "description"}
    # A docstring may go over several lines.
    description = " ".join(schema.get("description", "").split())
    return ({"description": description} if description else {}) | {"schema": inner}


def members(form: Any) -> list[tuple[str, Json, bool]]:
    """Return name, schema and necessity of each member of a form."""
    if form is None:
        return []
    _, definitions = json_schema(form)
    schema = definitions[form.__name__]
    required = schema.get("required", [])
    return [(name, member, name in required) for name, member in schema["properties"].items()]
