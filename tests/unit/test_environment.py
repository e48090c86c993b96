"""The state of a process: what an environment keeps, for how long, and that no other environment shares it."""

import pytest

from robot_brain import environment, telemetry
from robot_brain.database.connection import LazyConnection, lazy_connection
from robot_brain.database.patterns import patterns
from robot_brain.environment import Environment
from robot_brain.errors import SettingsError
from robot_brain.settings import settings
from tests.support.bundle import Context, deployed
from tests.support.log_lines import logged

URL = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"}


def test_variables_are_read_from_the_process_environment_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_BRAIN_TEST", "one")
    assert environment.current.variables["ROBOT_BRAIN_TEST"] == "one"
    monkeypatch.setenv("ROBOT_BRAIN_TEST", "two")
    assert environment.current.variables["ROBOT_BRAIN_TEST"] == "two"


def test_an_object_is_made_once_in_each_environment() -> None:
    one, other = Environment({}), Environment({})
    assert one.made(object) is one.made(object)
    assert one.made(object) is not other.made(object)


def test_an_object_whose_making_failed_is_made_at_the_next_request_for_it() -> None:
    tries: list[int] = []

    def make() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError
        return len(tries)

    found = Environment({})
    with pytest.raises(ValueError):  # noqa: PT011  # this ValueError has no text to match
        found.made(make)
    assert [found.made(make), found.made(make)] == [2, 2]


def test_a_new_environment_shares_no_object_with_the_one_before() -> None:
    with deployed({**URL, "TENANT_ID": "red"}):
        before = settings(), patterns(), lazy_connection(), telemetry.logger()
        patterns().retried()
        telemetry.note(session_id="s")
    with deployed({**URL, "TENANT_ID": "blue"}):
        after = settings(), patterns(), lazy_connection(), telemetry.logger()
        assert settings().tenant_id == "blue"
        assert patterns().retries == 0
        assert (environment.current.fields, environment.current.measures) == ({}, {})
    assert all(old is not new for old, new in zip(before, after, strict=True))


def test_wrong_settings_leave_no_connection_object_behind() -> None:
    variables: dict[str, str] = {}
    with deployed(variables):
        with pytest.raises(SettingsError):
            lazy_connection()
        assert LazyConnection not in environment.current.objects
        variables.update(URL)
        assert lazy_connection().opened == 0


def test_only_the_first_log_line_is_of_a_cold_start_and_no_line_has_the_fields_of_another() -> None:
    with deployed({}), logged() as lines:
        telemetry.note(session_id="s")
        for _ in range(2):
            telemetry.finished("GET /one", 200, 0.0, Context())
        first, second = lines()
    assert (first["cold_start"], first["ColdStart"], first["session_id"]) == (True, [1], "s")
    assert second["cold_start"] is False
    assert {"ColdStart", "session_id"} & set(second) == set()
