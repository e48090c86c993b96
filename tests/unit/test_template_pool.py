"""The size of the pool in template.yaml: the concurrency of each function that holds a connection."""

from typing import Any

import pytest

from local.settings import ROOT
from local.template import load_template
from tests.support.cloudformation import Stack
from tests.support.deployed_template import FUNCTIONS, TEMPLATE, VARIABLES


def reserved(size: str | None) -> dict[str, Any]:
    """Return the reserved concurrency of each function that has one, with this DbPoolSize."""
    stack = Stack(TEMPLATE, {} if size is None else {"DbPoolSize": size})
    found: dict[str, Any] = {}
    for name in FUNCTIONS:
        properties = TEMPLATE["Resources"][name]["Properties"]
        found |= stack.resolve({name: properties.get("ReservedConcurrentExecutions", {"Ref": "AWS::NoValue"})}, name)
    return found


@pytest.mark.parametrize("size", [None, "none"])
def test_without_a_pool_size_no_function_reserves_concurrency(size: str | None) -> None:
    assert reserved(size) == {}


@pytest.mark.parametrize("size", ["1", "1000"])
def test_a_pool_size_bounds_each_function_with_a_connection_and_never_health(size: str) -> None:
    connected = [name for name, variables in VARIABLES.items() if "DATABASE_URL" in variables]
    assert len(connected) == 8
    assert reserved(size) == dict.fromkeys(connected, size)


def test_the_local_stack_reads_the_template_with_a_pool_size_too() -> None:
    path = ROOT / "template.yaml"
    assert load_template(path, {"DbPoolSize": "5"}) == load_template(path)
