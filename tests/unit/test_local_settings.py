"""The settings that the local commands read: which variables reach the functions, and which values are refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from local.runtime import Launch, command, variables
from local.settings import Settings, SettingsError, parser, read_settings
from local.template import Function


def settings(environ: Mapping[str, str], *arguments: str) -> Settings:
    """Return the settings of a local command with these variables and arguments."""
    options = parser("test", "A test.", environ)
    options.add_argument("--port", default=environ.get("PORT", "3000"))
    return read_settings(options.parse_args(arguments), environ)


def test_only_the_variables_of_the_functions_reach_the_functions() -> None:
    read = settings(
        {
            "DATABASE_URL": "postgresql://a",
            "TENANT_ID": "acme",
            "TENANT_FROM": "claim:tenant",
            "ALL_USERS_SCOPE": "see-all",
            "DB_MAX_RETRIES": "1",
            "STATS_MAX_AGE": "60",
            "NEON_PROJECT_ID": "p",
            "POWERTOOLS_SERVICE_NAME": "x",
            "HOME": "/home/someone",
            "AWS_ACCESS_KEY_ID": "key",
            "DIRECT_DATABASE_URL": "postgresql://b",
            "DB_IDLE_TIMEOUT": "",
        },
        "--log",
        "debug",
    )
    assert read.functions == {
        "DATABASE_URL": "postgresql://a",
        "AUTH": "none",
        "TENANT_ID": "acme",
        "TENANT_FROM": "claim:tenant",
        "ALL_USERS_SCOPE": "see-all",
        "DB_MAX_RETRIES": "1",
        "STATS_MAX_AGE": "60",
        "NEON_PROJECT_ID": "p",
        "POWERTOOLS_SERVICE_NAME": "x",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
    }
    assert read.own_database
    assert read.direct_url == "postgresql://b"


def test_white_space_around_a_database_url_is_removed() -> None:
    read = settings({"DATABASE_URL": " postgresql://a\n", "DIRECT_DATABASE_URL": "\tpostgresql://b\r\n"})
    assert (read.functions, read.direct_url) == ({"AUTH": "none", "DATABASE_URL": "postgresql://a"}, "postgresql://b")
    blank = settings({"DATABASE_URL": " ", "DIRECT_DATABASE_URL": "\n"})
    assert (blank.own_database, blank.direct_url) == (False, None)


def test_credentials_reach_the_functions_only_if_there_is_a_secret() -> None:
    read = settings({"DATABASE_SECRET_ARN": "arn:x", "AWS_ACCESS_KEY_ID": "key", "AWS_PROFILE": "p"})
    assert read.functions == {"AUTH": "none", "DATABASE_SECRET_ARN": "arn:x", "AWS_ACCESS_KEY_ID": "key"}
    assert read.own_database


def test_without_a_database_url_the_embedded_database_is_used() -> None:
    read = settings({})
    assert (read.own_database, read.direct_url, read.port, read.functions) == (False, None, 3000, {"AUTH": "none"})


def test_with_auth_jwt_the_functions_and_the_template_get_its_settings() -> None:
    read = settings({"AUTH": "jwt", "CORS_ORIGIN": "https://app.example.com,https://b.example.com"})
    assert (read.auth, read.functions) == ("jwt", {"AUTH": "jwt"})
    assert read.parameters == {"CorsOrigin": "https://app.example.com,https://b.example.com"}
    assert settings({"AUTH": ""}).auth == settings({"AUTH": "none"}).auth == "none"


def test_the_embedded_database_sleeps_only_if_scale_to_zero_is_set() -> None:
    assert [settings({"SCALE_TO_ZERO": word}).scale_to_zero for word in ("", "0", "30")] == [None, None, 30]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"SCALE_TO_ZERO": "soon"}, "SCALE_TO_ZERO is 'soon'"),
        ({"SCALE_TO_ZERO": "-1"}, "SCALE_TO_ZERO is '-1'"),
        ({"SCALE_TO_ZERO": "604801"}, "at most 604800"),
        (
            {"SCALE_TO_ZERO": "30", "DATABASE_URL": "postgresql://a"},
            "SCALE_TO_ZERO works only with the embedded database",
        ),
        ({"AUTH": "iam"}, "AUTH is 'iam'; on one machine it must be jwt or none"),
        ({"AUTH": "JWT"}, "AUTH is 'JWT'"),
        ({"CORS_ORIGIN": "https://app.example.com"}, "CORS_ORIGIN works only with AUTH=jwt"),
        ({"LOG": "LOUD"}, "LOG is 'LOUD'"),
        ({"DIRECT_DATABASE_URL": "postgresql://b"}, "DATABASE_URL is not"),
    ],
)
def test_an_invalid_setting_is_an_error_that_names_it(environ: Mapping[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(environ)


def test_settings_win_over_the_template_and_the_variables_of_lambda_win_over_both() -> None:
    function = Function("F", "f.handler", Path("code"), environment={"A": "template", "B": "template"})
    launch = Launch(settings={"B": "settings", "TZ": "Europe/Rome"})
    made = variables(function, launch, "127.0.0.1:1", "stream")
    assert (made["A"], made["B"], made["TZ"]) == ("template", "settings", ":UTC")
    assert made["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:1"


def test_each_runtime_starts_with_its_own_command() -> None:
    function = Function("F", "f.handler", Path("code"))
    assert command(function, Launch(runtime="awslambdaric"))[1:] == ["-m", "awslambdaric", "f.handler"]
    assert command(function, Launch(runtime="loop"))[2].endswith("runtime_loop.py")
