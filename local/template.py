"""What template.yaml says about functions, routes and schedules, as types that the local stack runs from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.cloudformation import ABSENT, Resolver, TemplateError, read_template

__all__ = ["Function", "Route", "Schedule", "Template", "TemplateError", "load_template"]

FUNCTION_TYPE = "AWS::Serverless::Function"
LAYER_TYPE = "AWS::Serverless::LayerVersion"
SCHEDULE_TYPE = "AWS::Scheduler::Schedule"


@dataclass(frozen=True)
class Function:
    """A Lambda function: `timeout` in seconds, `memory` in MB, `code` and `layers` as folders here."""

    name: str
    handler: str
    code: Path
    layers: tuple[Path, ...] = ()
    timeout: float = 3
    memory: int = 128
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A route of the HTTP API: `method` in upper case or `ANY`, `path` as in the template."""

    method: str
    path: str
    function: str


@dataclass(frozen=True)
class Schedule:
    """A schedule: the expression as EventBridge Scheduler writes it, `event` as JSON text."""

    name: str
    expression: str
    timezone: str
    function: str
    event: str


@dataclass(frozen=True)
class Template:
    """All of it. `functions` is keyed by logical id."""

    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    schedules: tuple[Schedule, ...]

    def function(self, name: str) -> Function:
        """Return the function with this logical id, or whose file has this name (`write_message`).

        Raises TemplateError, with the names there are, if neither is one.
        """
        for function in self.functions.values():
            if name in (function.name, function.handler.rpartition(".")[0]):
                return function
        known = ", ".join(f"{each.name} ({each.handler.rpartition('.')[0]})" for each in self.functions.values())
        raise TemplateError(f"there is no function {name}; the template has {known}")


def load_template(path: Path, parameters: Mapping[str, str] | None = None) -> Template:
    """Return the model of the template at `path`, with `parameters` in place of their defaults.

    Folders are taken from the template's own folder. Raises TemplateError where something that the local
    stack needs is missing or not understood.
    """
    document = read_template(path)
    resolver = Resolver(document, parameters or {})
    resources: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, resource in document["Resources"].items():
        if "Condition" in resource and not resolver.condition(resource["Condition"], f"Resources.{name}"):
            continue
        resources[name] = (resource["Type"], resource.get("Properties") or {})
    defaults = ((document.get("Globals") or {}).get("Function")) or {}
    root = path.resolve().parent

    functions: dict[str, Function] = {}
    routes: list[Route] = []
    schedules: list[Schedule] = []
    for name, (kind, properties) in resources.items():
        if kind != FUNCTION_TYPE:
            continue
        merged = _resolve_function(name, defaults, properties, resolver)
        functions[name] = _function(name, merged, resources, root)
        _add_events(name, merged.get("Events") or {}, routes, schedules)
    for name, (kind, properties) in resources.items():
        if kind == SCHEDULE_TYPE:
            schedule = _schedule(name, resolver.resolve(properties, f"Resources.{name}"), functions)
            schedules.extend(schedule)
    return Template(functions, tuple(routes), tuple(schedules))


def _resolve_function(
    name: str, defaults: dict[str, Any], properties: dict[str, Any], resolver: Resolver
) -> dict[str, Any]:
    """Return the function's properties over those of Globals, merged as SAM does."""
    merged: dict[str, Any] = {}
    for key in ("Handler", "CodeUri", "Timeout", "MemorySize", "Environment", "Layers", "Events"):
        where = f"Resources.{name}.Properties.{key}"
        own = _present(resolver.resolve(properties.get(key), where))
        common = _present(resolver.resolve(defaults.get(key), f"Globals.Function.{key}"))
        if isinstance(common, list):
            merged[key] = [*common, *(own or [])]
        elif isinstance(common, dict):
            merged[key] = _merge(common, own or {})
        else:
            merged[key] = common if own is None else own
    return merged


def _present(value: Any) -> Any:
    return None if value is ABSENT else value


def _merge(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(common)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _function(
    name: str, properties: dict[str, Any], resources: Mapping[str, tuple[str, dict[str, Any]]], root: Path
) -> Function:
    where = f"Resources.{name}"
    if not isinstance(properties["Handler"], str) or not isinstance(properties["CodeUri"], str):
        raise TemplateError(f"{where}: the local stack needs Handler and a CodeUri that is a folder")
    layers = []
    for reference in properties["Layers"] or []:
        kind, layer = resources.get(reference, ("", {}))
        if kind != LAYER_TYPE or not isinstance(layer.get("ContentUri"), str):
            raise TemplateError(f"{where}.Layers: {reference} is not a layer of this template with a ContentUri")
        folder = root / layer["ContentUri"]
        # A layer may hold what Lambda unpacks into /opt (`python/…`) or, built by a Makefile, the packages
        # themselves.
        layers.append(folder / "python" if (folder / "python").is_dir() else folder)
    variables = (properties["Environment"] or {}).get("Variables") or {}
    return Function(
        name=name,
        handler=properties["Handler"],
        code=root / properties["CodeUri"],
        layers=tuple(layers),
        timeout=float(3 if properties["Timeout"] is None else properties["Timeout"]),
        memory=int(128 if properties["MemorySize"] is None else properties["MemorySize"]),
        environment={key: _text(value) for key, value in variables.items()},
    )


def _add_events(name: str, events: dict[str, Any], routes: list[Route], schedules: list[Schedule]) -> None:
    for event_name, event in events.items():
        where = f"Resources.{name}.Events.{event_name}"
        properties = event.get("Properties") or {}
        if event.get("Type") == "HttpApi":
            if "Path" not in properties or "Method" not in properties:
                raise TemplateError(f"{where}: the local stack needs Path and Method")
            routes.append(Route(str(properties["Method"]).upper(), str(properties["Path"]), name))
        elif event.get("Type") == "ScheduleV2":
            if properties.get("State") != "DISABLED":
                zone = properties.get("ScheduleExpressionTimezone") or "UTC"
                text = _event_text(properties.get("Input"), where)
                schedules.append(Schedule(event_name, str(properties["ScheduleExpression"]), zone, name, text))
        else:
            raise TemplateError(f"{where}: an event of type {event.get('Type')} is not understood")


def _schedule(name: str, properties: dict[str, Any], functions: Mapping[str, Function]) -> list[Schedule]:
    """Return the schedule in a list, empty if it is disabled or its expression is `none`."""
    where = f"Resources.{name}"
    target = properties.get("Target") or {}
    expression = str(properties.get("ScheduleExpression") or "none")
    if properties.get("State") == "DISABLED" or expression == "none":
        return []
    # `!Ref X.Alias`, `!Ref X.Version` and an ARN (with a qualifier or not) all name the function X.
    named = [part.split(".")[0] for part in str(target.get("Arn")).split(":")]
    function = next((part for part in named if part in functions), None)
    if function is None:
        raise TemplateError(f"{where}.Target.Arn: {target.get('Arn')} is none of this template's functions")
    zone = properties.get("ScheduleExpressionTimezone") or "UTC"
    return [Schedule(name, expression, zone, function, _event_text(target.get("Input"), where))]


def _event_text(value: Any, where: str) -> str:
    text = "{}" if value is None else value if isinstance(value, str) else json.dumps(value)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise TemplateError(f"{where}: the schedule's Input is not JSON: {error}") from error
    return text


def _text(value: Any) -> str:
    # YAML reads `true` as a boolean where Lambda gets the text.
    return str(value).lower() if isinstance(value, bool) else str(value)
