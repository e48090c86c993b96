"""The statements of robot_brain.database: each value has the name of its SQL parameter."""

import re

import pytest

from robot_brain.database import api, audit, changes, erasures, search, session_list, steps, users

STATEMENTS = {
    f"{module.__name__}.{name}": text
    for module in (api, audit, changes, erasures, search, session_list, steps, users)
    for name, text in vars(module).items()
    if isinstance(text, str) and "robot_brain_api." in text
}


def test_each_sql_function_that_the_layer_calls_has_one_statement() -> None:
    called = sorted(re.findall(r"robot_brain_api\.(\w+)\(", "".join(STATEMENTS.values())))
    assert called == [
        "chain_audit",
        "clear_keys",
        "continue_erasure",
        "count_user",
        "create_user",
        "erase_session",
        "erase_user",
        "export_user",
        "fill_search",
        "health",
        "list_sessions",
        "list_users",
        "make_month",
        "patch_session",
        "read_audit",
        "read_session",
        "read_user",
        "refresh_stats",
        "refresh_view",
        "remove_turns",
        "replace_turn",
        "save_user",
        "search",
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
