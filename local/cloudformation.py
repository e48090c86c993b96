"""Read a CloudFormation template and resolve its intrinsic functions as far as one machine can.

Parameters take their defaults (or what the caller overrides), conditions are evaluated, references to resources
become readable placeholders: `!Ref X` is `X`, `!GetAtt X.Arn` is `arn:aws:lambda:us-east-1:…:function:X`.
Only what template.yaml needs is understood. Anything else raises TemplateError, which names the place.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = "123456789012"
REGION = "us-east-1"


class TemplateError(Exception):
    """The template has something the local stack does not understand; the message says where and what."""


class _Absent:
    """The value of `AWS::NoValue`: the key that holds it does not exist."""


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
        raise TemplateError(f"!{suffix}: a mapping as its value is not understood by the local stack")
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct_tag)


def read_template(path: Path) -> dict[str, Any]:
    """Return the parsed template at `path`, its intrinsic functions still in their long form.

    Raises TemplateError where the file is missing, not YAML or not a template.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path}: has no Resources")
    return document


class Resolver:
    """The intrinsic functions of one template under one choice of parameters."""

    def __init__(self, document: Mapping[str, Any], overrides: Mapping[str, str]) -> None:
        """Take the parsed template and the parameters to set.

        Raises TemplateError for a parameter that the template does not have.
        """
        declared: Mapping[str, Any] = document.get("Parameters") or {}
        if unknown := sorted(set(overrides) - set(declared)):
            raise TemplateError(f"the template has no parameter {', '.join(unknown)}")
        self._parameters: dict[str, Any] = {
            name: declaration["Default"] for name, declaration in declared.items() if "Default" in declaration
        }
        self._parameters.update(overrides)
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}
        self._resources: Mapping[str, Any] = document["Resources"]
        self._functions: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Equals": lambda value, where: self._pair(value, where)[0] == self._pair(value, where)[1],
            "Fn::Not": lambda value, where: not self.resolve(value, where)[0],
            "Fn::And": lambda value, where: all(self.resolve(value, where)),
            "Fn::Or": lambda value, where: any(self.resolve(value, where)),
        }

    def resolve(self, node: Any, where: str) -> Any:
        """Return `node` with every intrinsic function replaced by its value.

        `where` names the place for messages. Raises TemplateError for an intrinsic function that is not
        understood and for a reference to nothing.
        """
        if isinstance(node, dict):
            if len(node) == 1:
                name = next(iter(node))
                if function := self._functions.get(name):
                    return function(node[name], where)
                if name.startswith("Fn::"):
                    raise TemplateError(f"{where}: {name} is not understood by the local stack")
            resolved = {key: self.resolve(value, f"{where}.{key}") for key, value in node.items()}
            return {key: value for key, value in resolved.items() if value is not ABSENT}
        if isinstance(node, list):
            items = [self.resolve(value, f"{where}[{index}]") for index, value in enumerate(node)]
            return [value for value in items if value is not ABSENT]
        return node

    def condition(self, name: str, where: str) -> bool:
        """Return whether the condition `name` holds. Raises TemplateError if there is none of that name."""
        if name not in self._conditions:
            raise TemplateError(f"{where}: there is no condition {name}")
        return bool(self.resolve(self._conditions[name], f"Conditions.{name}"))

    def _ref(self, name: Any, where: str) -> Any:
        if name == "AWS::NoValue":
            return ABSENT
        if name in self._parameters:
            return self._parameters[name]
        if name in self._resources:
            return name
        raise TemplateError(f"{where}: !Ref {name} is no resource, and no parameter with a default")

    def _get_att(self, value: Any, where: str) -> str:
        # A list in what `sam build` writes.
        resource, _, attribute = (value if isinstance(value, str) else ".".join(value)).partition(".")
        if resource not in self._resources or attribute != "Arn":
            raise TemplateError(f"{where}: !GetAtt {value} is not the Arn of a resource in the template")
        return function_arn(resource)

    def _if(self, value: Any, where: str) -> Any:
        name, then, otherwise = value
        return self.resolve(then if self.condition(name, where) else otherwise, where)

    def _pair(self, value: Any, where: str) -> tuple[Any, Any]:
        left, right = self.resolve(value, where)
        return left, right


def function_arn(name: str) -> str:
    """Return the ARN that the function `name` has on this machine."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
