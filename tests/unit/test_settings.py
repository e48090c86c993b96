"""The variables of the environment: what each means, and that an error names a variable and never its value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.settings import ROOT
from robot_brain.errors import SettingsError
from robot_brain.settings import Credentials, Settings, credentials, first_existing, settings
from tests.support.bundle import deployed

LAYER = ROOT / "layers" / "robot_brain"
URL = {"DATABASE_URL": "postgresql://app:hush-4711@127.0.0.1/db"}
NUMBERS = (
    "DB_CONNECTION_TIMEOUT",
    "DB_IDLE_TIMEOUT",
    "DB_MAX_RETRIES",
    "DB_SLOW_QUERY_MS",
    "DB_PREPARE_THRESHOLD",
    "STATS_MAX_AGE",
)
NEON = {"NEON_API_KEY": "hush-4711", "NEON_PROJECT_ID": "quiet-forest-1", "NEON_ENDPOINT_ID": "ep-quiet-forest-1"}
ENDPOINTS = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain-AbCdEf"


def test_every_setting_except_the_database_has_a_default() -> None:
    assert Settings.parse(URL)._asdict() == {
        "database_url": URL["DATABASE_URL"],
        "database_secret_arn": "",
        "auth": "iam",
        "tenant_from": "fixed",
        "tenant_id": "local",
        "all_users_scope": "robot-brain/all-users",
        "connection_timeout_ms": 10_000,
        "idle_timeout_ms": 30_000,
        "max_attempts": 3,
        "slow_query_ms": 1_000,
        "prepare_threshold": None,
        "ssl_root_cert": "",
        "channel_binding": "",
        "ssl_negotiation": "",
        "secrets_endpoint": "",
        "stats_max_age": 3_600,
        "neon_api_key": "",
        "neon_project_id": "",
        "neon_endpoint_id": "",
        "neon_api_url": "https://console.neon.tech/api/v2",
    }


def test_every_variable_of_the_environment_is_read() -> None:
    found = Settings.parse(
        {
            "DATABASE_SECRET_ARN": ARN,
            "AUTH": "jwt",
            "TENANT_FROM": "claim:https://example.com/tenant",
            "TENANT_ID": "123456789012:Shop-1.a_b+=,@",
            "ALL_USERS_SCOPE": "shop.all:users",
            "DB_CONNECTION_TIMEOUT": "1000",
            "DB_IDLE_TIMEOUT": "0",
            "DB_MAX_RETRIES": "10",
            "DB_SLOW_QUERY_MS": "60000",
            "DB_PREPARE_THRESHOLD": "0",
            "DB_SSL_ROOT_CERT": "/ca.pem",
            "DB_CHANNEL_BINDING": "require",
            "DB_SSL_NEGOTIATION": "direct",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:2",
            "STATS_MAX_AGE": "0",
            **NEON,
            "NEON_API_URL": "http://[::1]:3000/api",
        }
    )
    assert tuple(found) == (
        "", ARN, "jwt", "claim:https://example.com/tenant", "123456789012:Shop-1.a_b+=,@", "shop.all:users",
        1_000, 0, 10, 60_000, 0, "/ca.pem", "require", "direct", "http://127.0.0.1:1",
        0, "hush-4711", "quiet-forest-1", "ep-quiet-forest-1", "http://[::1]:3000/api",
    )  # fmt: skip


def test_an_empty_variable_counts_as_not_set() -> None:
    """CloudFormation passes an empty text for a parameter without a value."""
    names = (
        "AUTH",
        "TENANT_FROM",
        "TENANT_ID",
        "ALL_USERS_SCOPE",
        *NUMBERS,
        *NEON,
        "NEON_API_URL",
        "DB_SSL_ROOT_CERT",
        "DB_CHANNEL_BINDING",
        "DB_SSL_NEGOTIATION",
        *ENDPOINTS,
    )
    empty = dict.fromkeys(("DATABASE_SECRET_ARN", *names), "")
    assert Settings.parse(empty | URL) == Settings.parse(URL)


@pytest.mark.parametrize("around", [" {}", "{}\n", "\t{} \r\n"])
def test_white_space_around_a_url_an_arn_or_a_key_is_removed(around: str) -> None:
    def spaced(given: dict[str, str]) -> dict[str, str]:
        pasted = ("DATABASE_URL", "DATABASE_SECRET_ARN", "NEON_API_KEY")
        return {name: around.format(value) if name in pasted else value for name, value in given.items()}

    for given in ({**URL, **NEON}, {"DATABASE_SECRET_ARN": ARN, **NEON, "NEON_API_KEY": "none"}, URL):
        assert Settings.parse(spaced(given)) == Settings.parse(given)
    assert Settings.parse(spaced({"DATABASE_URL": "none", "DATABASE_SECRET_ARN": ARN})).database_url == ""
    with pytest.raises(SettingsError, match="set one of DATABASE_URL and DATABASE_SECRET_ARN"):
        Settings.parse(spaced({"DATABASE_URL": "", "DATABASE_SECRET_ARN": ""}))


def test_aws_endpoint_url_is_also_the_endpoint_of_secrets_manager() -> None:
    assert Settings.parse({**URL, "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}).secrets_endpoint == "http://127.0.0.1:2"


INVALID = [
    ({}, "DATABASE_URL"),
    ({"DATABASE_URL": ""}, "DATABASE_URL"),
    ({**URL, "DATABASE_SECRET_ARN": ARN}, "DATABASE_SECRET_ARN"),
    ({"DATABASE_SECRET_ARN": "hush-4711"}, "DATABASE_SECRET_ARN"),
    ({"DATABASE_SECRET_ARN": ARN.replace("secretsmanager", "ssm") + "hush-4711"}, "DATABASE_SECRET_ARN"),
    ({"DATABASE_SECRET_ARN": ARN.replace("123456789012", "hush-4711")}, "DATABASE_SECRET_ARN"),
    ({"DATABASE_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"}, "DATABASE_SECRET_ARN"),
    *(
        ({**URL, "TENANT_ID": tenant}, "TENANT_ID")
        for tenant in (" ", "a b", "hush-4711!", "x" * 129, "*", "é", "a\n", "a/b")
    ),
    *(
        ({**URL, name: value}, name)
        for name in NUMBERS
        for value in ("-1", "1.5", "1e3", " 5", "5\n", "\u0665", "hush-4711", "9999999999", "1_000", "+5")
    ),
    ({**URL, "DB_CONNECTION_TIMEOUT": "999"}, "DB_CONNECTION_TIMEOUT"),
    ({**URL, "DB_CONNECTION_TIMEOUT": "30001"}, "DB_CONNECTION_TIMEOUT"),
    ({**URL, "DB_MAX_RETRIES": "0"}, "DB_MAX_RETRIES"),
    ({**URL, "DB_MAX_RETRIES": "11"}, "DB_MAX_RETRIES"),
    ({**URL, "DB_SLOW_QUERY_MS": "0"}, "DB_SLOW_QUERY_MS"),
    ({**URL, "DB_IDLE_TIMEOUT": "86400001"}, "DB_IDLE_TIMEOUT"),
    ({**URL, "DB_PREPARE_THRESHOLD": "1001"}, "DB_PREPARE_THRESHOLD"),
    ({**URL, "DB_CHANNEL_BINDING": "hush-4711"}, "DB_CHANNEL_BINDING"),
    ({**URL, "DB_CHANNEL_BINDING": "Require"}, "DB_CHANNEL_BINDING"),
    ({**URL, "DB_SSL_NEGOTIATION": "hush-4711"}, "DB_SSL_NEGOTIATION"),
    ({**URL, "STATS_MAX_AGE": "2678401"}, "STATS_MAX_AGE"),
    *(({**URL, **NEON, missing: ""}, missing) for missing in NEON),
    ({**URL, "NEON_API_KEY": "hush-4711"}, "NEON_PROJECT_ID and NEON_ENDPOINT_ID"),
    ({**URL, **NEON, "NEON_API_KEY": "none"}, "NEON_API_KEY"),
    ({"DATABASE_SECRET_ARN": ARN, "NEON_PROJECT_ID": "hush"}, "NEON_ENDPOINT_ID"),
    ({"DATABASE_SECRET_ARN": ARN, "NEON_API_KEY": "hush"}, "NEON_PROJECT_ID and NEON_ENDPOINT_ID"),
    *(({**URL, **NEON, "NEON_API_KEY": key}, "NEON_API_KEY") for key in ("hush 4711", "hush\r\nx: y", "hush\u00e9")),
    *(
        ({**URL, **NEON, name: value}, name)
        for name in ("NEON_PROJECT_ID", "NEON_ENDPOINT_ID")
        for value in ("a/b", "hush-4711?", "..", "A", "a b", "x" * 61, "a\n")
    ),
    *(
        ({**URL, "NEON_API_URL": url}, "NEON_API_URL")
        for url in (
            "hush-4711",
            "http://console.neon.tech/api/v2",
            "http://192.0.2.7/api/v2",
            "http://0.0.0.0/api/v2",
            "http://127.0.0.999/api/v2",
            "http://127.evil.example",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example/",
            "https://user:hush@console.neon.tech/api/v2",
            "https://console.neon.tech/api/v2?x=hush",
            "ftp://127.0.0.1/",
            "https:///api",
        )
    ),
]


def test_the_key_of_neons_api_may_be_in_the_secret_instead() -> None:
    given = {"DATABASE_SECRET_ARN": ARN, **NEON, "NEON_API_KEY": "none"}
    found = Settings.parse(given)
    assert (found.neon_api_key, found.neon_project_id) == ("", "quiet-forest-1")
    assert Settings.parse({"DATABASE_SECRET_ARN": ARN, **NEON}).neon_api_key == "hush-4711"


@pytest.mark.parametrize(("environment", "name"), INVALID)
def test_a_settings_error_names_the_variable_and_never_its_value(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.parse(environment)
    assert name in str(error.value)
    assert "hush" not in repr(error.value)
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_invalid_settings_are_read_again_and_valid_settings_are_kept() -> None:
    variables: dict[str, str] = {}
    with deployed(variables):
        with pytest.raises(SettingsError):
            settings()
        variables["DATABASE_URL"] = "postgresql:///one"
        assert settings().database_url == "postgresql:///one"
        variables["DATABASE_URL"] = "postgresql:///two"
        assert settings().database_url == "postgresql:///one"


def test_credentials_are_read_from_the_environment_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    )
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert credentials() == Credentials("", "", "", "", "")
    for name in names:
        monkeypatch.setenv(name, name.lower())
    assert credentials() == Credentials(*(name.lower() for name in names))


def test_the_ca_bundle_is_that_of_ssl_cert_file_or_the_first_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    first, second, named = (str(tmp_path / name) for name in ("first", "second", "named"))
    assert first_existing((first, second)) is None
    Path(second).touch()
    Path(first).mkdir()
    assert first_existing((first, second)) == second
    monkeypatch.setenv("SSL_CERT_FILE", named)
    assert first_existing((first, second)) == second
    Path(named).touch()
    assert first_existing((first, second)) == named


def test_importing_every_module_reads_no_setting_and_opens_nothing() -> None:
    """Import in a new process. Its audit hook refuses sockets, and its environment has no setting."""
    script = """
import importlib, pkgutil, sys
def hook(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"{event} at import")
sys.addaudithook(hook)
import robot_brain
for module in pkgutil.walk_packages(robot_brain.__path__, "robot_brain."):
    importlib.import_module(module.name)
from robot_brain.environment import current
assert not current.objects
print("ok")
"""
    environment = {
        "PYTHONPATH": os.pathsep.join([str(LAYER), *(path for path in sys.path if path)]),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr
