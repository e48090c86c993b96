"""The functions, routes and schedules of template.yaml, as types for the local stack."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.cloudformation import Resolver, TemplateError, function_arn, read_template
from local.http_api import API_TYPE, HttpApi, read_http_api

__all__ = ["Function", "Route", "Schedule", "Template", "TemplateError", "load_template"]

FUNCTION_TYPE = "AWS::Serverless::Function"
LAYER_TYPE = "AWS::Serverless::LayerVersion"
SCHEDULE_TYPE = "AWS::Scheduler::Schedule"
# The properties of a function that this module reads.
PROPERTIES = ("Handler", "CodeUri", "Timeout", "MemorySize", "Environment", "Layers", "Events")


@dataclass(frozen=True)
class Function:
    """A Lambda function: `timeout` in seconds, `memory` in MB, `code` and `layers` as local folders."""

    name: str
    handler: str
    code: Path
    layers: tuple[Path, ...] = ()
    timeout: float = 3
    memory: int = 128
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A route of the HTTP API: `method` in upper case or `ANY`, `path` as in the template.

    `authorizer` is the name of its authorizer, or None if the route is open.
    """

    method: str
    path: str
    function: str
    authorizer: str | None = None


@dataclass(frozen=True)
class Schedule:
    """A schedule: `expression` in EventBridge Scheduler's form, `event` as JSON text."""

    name: str
    expression: str
    function: str
    event: str


@dataclass(frozen=True)
class Template:
    """The parts of the template that the local stack runs. `functions` is keyed by logical id."""

    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    schedules: tuple[Schedule, ...]
    api: HttpApi = field(default_factory=HttpApi)

    def function(self, name: str) -> Function:
        """Return the function with this logical id, or with this name of its file (such as `write_message`).

        Raises TemplateError, which lists the known names, if no function has that name.
        """
        for function in self.functions.values():
            if name in (function.name, function.handler.rpartition(".")[0]):
                return function
        known = ", ".join(f"{each.name} ({each.handler.rpartition('.')[0]})" for each in self.functions.values())
        raise TemplateError(f"unknown function {name}; the template has {known}")


def load_template(
    path: Path, parameters: Mapping[str, str] | None = None, choose: Callable[[str], str] = str
) -> Template:
    """Return the model of the template at `path`, with `parameters` and the defaults of all others.

    Folders are relative to the template's own folder. `choose` changes the text before it is parsed, as a build with
    other choices does. Raises TemplateError if a part that the local stack needs is missing or not supported.
    """
    document = read_template(path, choose)
    resolver = Resolver(document, parameters or {})
    resources: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, resource in document["Resources"].items():
        if "Condition" in resource and not resolver.condition(resource["Condition"], f"Resources.{name}"):
            continue
        resources[name] = (resource["Type"], resource.get("Properties") or {})
    defaults = ((document.get("Globals") or {}).get("Function")) or {}
    root = path.resolve().parent

    apis = {
        name: read_http_api(properties, resolver, f"Resources.{name}")
        for name, (kind, properties) in resources.items()
        if kind == API_TYPE
    }
    if len(apis) > 1:
        raise TemplateError(f"Resources: the local stack supports one {API_TYPE}, not {', '.join(apis)}")
    api = next(iter(apis.values()), HttpApi())
    functions: dict[str, Function] = {}
    routes: list[Route] = []
    for name, (kind, properties) in resources.items():
        if kind != FUNCTION_TYPE:
            continue
        merged = _resolve_function(name, defaults, properties, resolver)
        functions[name] = _function(name, merged, resources, root)
        routes.extend(_routes(name, merged.get("Events") or {}, api))
    schedules = tuple(
        _schedule(name, resolver.resolve(properties, f"Resources.{name}"), functions)
        for name, (kind, properties) in resources.items()
        if kind == SCHEDULE_TYPE
    )
    return Template(functions, tuple(routes), schedules, api)


def _resolve_function(
    name: str, defaults: dict[str, Any], properties: dict[str, Any], resolver: Resolver
) -> dict[str, Any]:
    """Return the function's properties merged with those of Globals, as SAM merges them."""
    own = {key: value for key, value in properties.items() if key in PROPERTIES}
    common = {key: value for key, value in defaults.items() if key in PROPERTIES}
    return _merge(resolver.resolve(common, "Globals.Function"), resolver.resolve(own, f"Resources.{name}"))


def _merge(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(common)
    for key, value in own.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[key] = _merge(before, value)
        else:
            merged[key] = [*before, *value] if isinstance(value, list) and isinstance(before, list) else value
    return merged


def _function(
    name: str, properties: dict[str, Any], resources: Mapping[str, tuple[str, dict[str, Any]]], root: Path
) -> Function:
    place = f"Resources.{name}"
    if not isinstance(properties.get("Handler"), str) or not isinstance(properties.get("CodeUri"), str):
        raise TemplateError(f"{place}: the local stack needs Handler and a CodeUri that is a folder")
    layers = []
    for reference in properties.get("Layers", []):
        kind, layer = resources.get(reference, ("", {}))
        if kind != LAYER_TYPE or not isinstance(layer.get("ContentUri"), str):
            raise TemplateError(f"{place}.Layers: {reference} is not a layer of this template with a ContentUri")
        folder = root / layer["ContentUri"]
        # A layer may have the folder `python/` that Lambda unpacks into /opt. A layer built by a Makefile holds the
        # packages directly.
        layers.append(folder / "python" if (folder / "python").is_dir() else folder)
    variables = properties.get("Environment", {}).get("Variables", {})
    return Function(
        name=name,
        handler=properties["Handler"],
        code=root / properties["CodeUri"],
        layers=tuple(layers),
        timeout=float(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        environment={key: _text(value) for key, value in variables.items()},
    )


def _routes(name: str, events: dict[str, Any], api: HttpApi) -> Iterator[Route]:
    for event_name, event in events.items():
        place = f"Resources.{name}.Events.{event_name}"
        properties = event.get("Properties") or {}
        if event.get("Type") != "HttpApi":
            raise TemplateError(f"{place}: the local stack does not support an event of type {event.get('Type')}")
        if "Path" not in properties or "Method" not in properties:
            raise TemplateError(f"{place}: the local stack needs Path and Method")
        path = str(properties["Path"])
        if path == "$default" or "+}" in path:
            raise TemplateError(f"{place}: the local stack does not support a path that matches every path: {path}")
        authorizer = api.authorizer(properties.get("Auth"), place)
        yield Route(str(properties["Method"]).upper(), path, name, authorizer)


def _schedule(name: str, properties: dict[str, Any], functions: Mapping[str, Function]) -> Schedule:
    target = properties["Target"]
    function = next((each for each in functions if target["Arn"] == function_arn(each)), None)
    if function is None:
        raise TemplateError(f"Resources.{name}.Target.Arn: {target['Arn']} must be a function of this template")
    try:
        json.loads(target["Input"])
    except json.JSONDecodeError as error:
        raise TemplateError(f"Resources.{name}: the schedule's Input is not JSON: {error}") from error
    return Schedule(name, properties["ScheduleExpression"], function, target["Input"])


def _text(value: Any) -> str:
    # YAML reads `true` as a boolean, and Lambda gets the text.
    return str(value).lower() if isinstance(value, bool) else str(value)
