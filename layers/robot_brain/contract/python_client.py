"""Generate files of the Python client: the types of bodies, and the asynchronous client from the other one."""

from __future__ import annotations

import re
from typing import Any

from contract.json_schema import Json

_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_HEAD = '''"""The bodies of the API, made by `make contract`. An answer may have members that are not here."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''
# What differs between the two clients, in this order.
_ASYNCHRONOUS = (
    (r'^"""The client\.', '"""The client for asyncio, made from client.py by `make contract`.'),
    (
        r"^\"\"\"How the client sends calls: .*",
        '"""How the client for asyncio sends calls, made from sender.py by `make contract`."""',
    ),
    (r"\bRobotBrain\b", "AsyncRobotBrain"),
    (r"\bSender\b", "AsyncSender"),
    (r"robot_brain_client\.sender", "robot_brain_client.async_sender"),
    (r"from time import monotonic, sleep", "from asyncio import sleep\nfrom time import monotonic"),
    (r"robot_brain_client\.transport import Transport", "robot_brain_client.async_transport import AsyncTransport"),
    (r"\bTransport\(", "AsyncTransport("),
    (r"collections\.abc import Iterator", "collections.abc import AsyncIterator"),
    (r"\bIterator\[", "AsyncIterator["),
    (r"    def (?!__init__)", "    async def "),
    (r"__enter__", "__aenter__"),
    (r"__exit__", "__aexit__"),
    (r"\bself\._(send|erase)\(", r"await self._\1("),
    (r"\bself\._transport\.(send|close)\(", r"await self._transport.\1("),
    (r"\bself\.close\(", "await self.close("),
    (r"\bsleep\(", "await sleep("),
    (r"\bfor (\w+) in self\._pages\(", r"async for \1 in self._pages("),
)


def python_types(schemas: dict[str, Json]) -> str:
    """Return a module with a TypedDict for each schema of an object."""
    return _HEAD + "".join(
        _typed_dict(name, schemas[name]) for name in sorted(schemas) if "properties" in schemas[name]
    )


def asynchronous(text: str) -> str:
    """Return the asynchronous client for the text of the other one."""
    for pattern, replacement in _ASYNCHRONOUS:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def _typed_dict(name: str, schema: Json) -> str:
    lines = [f"class {name}(TypedDict):"]
    description = " ".join(schema.get("description", f"{name}.").split())
    lines.append(f'    """{_first_sentence(description)}"""\n')
    required = schema.get("required", [])
    for member, form in schema["properties"].items():
        kind = _type(form)
        lines.append(f"    {member}: {kind if member in required else f'NotRequired[{kind}]'}")
    return "\n\n" + "\n".join(lines) + "\n"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.) ", text, maxsplit=1)[0]


def _type(schema: Json) -> str:
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    if "const" in schema:
        return f"Literal[{_literal(schema['const'])}]"
    if "enum" in schema:
        return f"Literal[{', '.join(map(_literal, schema['enum']))}]"
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(map(_type, alternatives)))
    match schema.get("type"):
        case list(types):
            return " | ".join(_type({"type": each}) for each in types)
        case "array":
            return f"list[{_type(schema['items'])}]" if "items" in schema else "list[Any]"
        case "object":
            return "dict[str, Any]"
        case str(name):
            return _TYPES[name]
    return "Any"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
