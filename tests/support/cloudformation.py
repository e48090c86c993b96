"""CloudFormation's own evaluation of a template: rules, joined texts and lists, for one choice of parameters."""

import re
from collections.abc import Mapping
from typing import Any

from local.cloudformation import ACCOUNT, REGION, Resolver

PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "robot-brain",
}


class Stack(Resolver):
    """Resolves a template with `parameters`, and with `ids`, the physical ids of resources by logical id."""

    def __init__(
        self, document: Mapping[str, Any], parameters: Mapping[str, str], ids: Mapping[str, str] | None = None
    ) -> None:
        """Take the parsed template. Raises TemplateError if it does not have one of the parameters."""
        super().__init__(document, parameters)
        self._rules: Mapping[str, Any] = document.get("Rules") or {}
        self._ids = {**PSEUDO, **(ids or {})}
        for name, declared in (document.get("Parameters") or {}).items():
            if declared["Type"] == "CommaDelimitedList" and name in self._parameters:
                self._parameters[name] = [member.strip() for member in self._parameters[name].split(",")]
        self._functions |= {
            "Fn::Contains": lambda value, place: self._pair(value, place)[1] in self._pair(value, place)[0],
            "Fn::Join": lambda value, place: self._join(*self._pair(value, place)),
            "Fn::Select": lambda value, place: self._pair(value, place)[1][int(value[0])],
            "Fn::Sub": lambda value, place: re.sub(r"\$\{([\w:]+)\}", lambda found: self._ref(found[1], place), value),
        }

    def refusals(self) -> list[str]:
        """Return what the template's rules say against the parameters: nothing, if CloudFormation accepts them."""
        applied = [each for each in self._rules.values() if self.resolve(each.get("RuleCondition", True), "Rules")]
        assertions = [each for rule in applied for each in rule["Assertions"]]
        return [each["AssertDescription"] for each in assertions if not self.resolve(each["Assert"], "Rules")]

    def _ref(self, name: Any, place: str) -> Any:
        return self._ids[name] if name in self._ids else super()._ref(name, place)

    def _join(self, separator: str, members: list[str]) -> str:
        assert all(isinstance(member, str | int) for member in members), members
        return separator.join(map(str, members))
