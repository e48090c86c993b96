"""Read a CloudFormation template and resolve its intrinsic functions as far as one machine can.

Parameters take their defaults, or the values that the caller sets. Conditions are evaluated. References to resources
become readable placeholders: `!Ref X` is `X`, and `!GetAtt X.Arn` is `arn:aws:lambda:us-east-1:…:function:X`.
This module supports only what template.yaml needs. Anything else raises TemplateError, which names the place.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = "123456789012"
REGION = "us-east-1"


class TemplateError(Exception):
    """The local stack does not support a part of the template. The message names the part and its place."""


class _Absent:
    """The value of `AWS::NoValue`: a key with this value is left out."""


ABSENT = _Absent()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, as `{"Fn::…": …}`."""


def _construct_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise TemplateError(f"!{suffix}: the local stack does not support a mapping as its value")
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct_tag)


def read_template(path: Path, choose: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the parsed template at `path`, with its intrinsic functions in their long form and not resolved.

    `choose` gets the file's text and returns the text to parse, as a build with other choices changes it. Raises
    TemplateError if the file is missing, not YAML or not a template.
    """
    try:
        document = yaml.load(choose(path.read_text(encoding="utf-8")), Loader=_Loader)
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path}: has no Resources")
    return document


class Resolver:
    """Resolves the intrinsic functions of a template for one choice of parameters."""

    def __init__(self, document: Mapping[str, Any], overrides: Mapping[str, str]) -> None:
        """Take the parsed template and the parameters to set.

        Raises TemplateError if the template does not have such a parameter.
        """
        declared: Mapping[str, Any] = document.get("Parameters") or {}
        if unknown := sorted(set(overrides) - set(declared)):
            raise TemplateError(f"the template has no parameter {', '.join(unknown)}")
        self._parameters: dict[str, Any] = {
            name: declaration["Default"] for name, declaration in declared.items() if "Default" in declaration
        }
        self._parameters.update(overrides)
        self._lists = {name for name, each in declared.items() if each.get("Type") == "CommaDelimitedList"}
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}
        self._resources: Mapping[str, Any] = document["Resources"]
        self._functions: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Split": lambda value, place: self._pair(value, place)[1].split(value[0]),
            "Fn::Equals": lambda value, place: self._pair(value, place)[0] == self._pair(value, place)[1],
            "Fn::Not": lambda value, place: not self.resolve(value, place)[0],
            "Fn::And": lambda value, place: all(self.resolve(value, place)),
            "Fn::Or": lambda value, place: any(self.resolve(value, place)),
            "Fn::Join": self._joined,
            "Fn::Select": self._selected,
        }

    def resolve(self, node: Any, place: str) -> Any:
        """Return `node` with every intrinsic function replaced by its value.

        `place` is the path of `node`, for error messages. Raises TemplateError if an intrinsic function is not
        supported, or if a reference leads to no resource or parameter.
        """
        if isinstance(node, dict):
            if len(node) == 1:
                name = next(iter(node))
                if function := self._functions.get(name):
                    return function(node[name], place)
                if name.startswith("Fn::"):
                    raise TemplateError(f"{place}: the local stack does not support {name}")
            resolved = {key: self.resolve(value, f"{place}.{key}") for key, value in node.items()}
            return {key: value for key, value in resolved.items() if value is not ABSENT}
        if isinstance(node, list):
            items = [self.resolve(value, f"{place}[{index}]") for index, value in enumerate(node)]
            return [value for value in items if value is not ABSENT]
        return node

    def condition(self, name: str, place: str) -> bool:
        """Return whether the condition `name` is true. Raises TemplateError if the template does not have it."""
        if name not in self._conditions:
            raise TemplateError(f"{place}: the template has no condition {name}")
        return bool(self.resolve(self._conditions[name], f"Conditions.{name}"))

    def _ref(self, name: Any, place: str) -> Any:
        if name == "AWS::NoValue":
            return ABSENT
        if name in self._parameters:
            value = self._parameters[name]
            is_text = name in self._lists and isinstance(value, str)
            return [each.strip() for each in value.split(",")] if is_text else value
        if name in self._resources:
            return name
        raise TemplateError(f"{place}: !Ref {name} must name a resource, or a parameter with a default")

    def _get_att(self, value: Any, place: str) -> str:
        # `sam build` writes the value as a list.
        resource, _, attribute = (value if isinstance(value, str) else ".".join(value)).partition(".")
        if resource not in self._resources or attribute != "Arn":
            raise TemplateError(f"{place}: !GetAtt {value} is not the Arn of a resource in the template")
        return function_arn(resource)

    def _if(self, value: Any, place: str) -> Any:
        name, then, otherwise = value
        return self.resolve(then if self.condition(name, place) else otherwise, place)

    def _joined(self, value: Any, place: str) -> str:
        separator, parts = self._pair(value, place)
        return str(separator).join(map(str, parts))

    def _selected(self, value: Any, place: str) -> Any:
        index, parts = self._pair(value, place)
        if not int(index) < len(parts):
            raise TemplateError(f"{place}: !Select {index} is beyond the end of the list")
        return parts[int(index)]

    def _pair(self, value: Any, place: str) -> tuple[Any, Any]:
        left, right = self.resolve(value, place)
        return left, right


def function_arn(name: str) -> str:
    """Return the ARN of the function `name` on this machine."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
