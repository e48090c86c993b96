"""The statements of robot_brain.database.api, .changes and .steps: each value has the name of its SQL parameter."""

import re

import pytest

from robot_brain.database import api, changes, steps

STATEMENTS = {
    name: text
    for name, text in {**vars(api), **vars(changes), **vars(steps)}.items()
    if isinstance(text, str) and "robot_brain_api." in text
}


def test_each_sql_function_that_the_layer_calls_has_one_statement() -> None:
    called = sorted(re.findall(r"robot_brain_api\.(\w+)\(", "".join(STATEMENTS.values())))
    assert called == [
        "clear_keys",
        "continue_erasure",
        "erase_session",
        "health",
        "list_sessions",
        "make_month",
        "patch_session",
        "read_session",
        "refresh_stats",
        "refresh_view",
        "remove_turns",
        "replace_turn",
        "stats",
        "write_message",
    ]


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_sql_parameter_is_passed_by_name_and_its_value_has_the_same_name(name: str) -> None:
    arguments = STATEMENTS[name].partition("(")[2].strip().removesuffix(")").split(",")
    pairs = [re.fullmatch(r"\s*p_(\w+) => %\((\w+)\)s\s*", argument) for argument in arguments]
    assert all(pair is not None and pair[1] == pair[2] for pair in pairs), arguments
    assert pairs[-1] is not None
    assert pairs[-1][1] == "schema_version"
