"""The environment variables, parsed and checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from robot_brain import environment
from robot_brain.errors import SettingsError
from robot_brain.limits import MAX_TENANT_LENGTH

# What can be a tenant.
TENANT = rf"[A-Za-z0-9._+=,@:-]{{1,{MAX_TENANT_LENGTH}}}"
# Python's names of levels, and those that only Lambda uses (AWS_LAMBDA_LOG_LEVEL).
_LOG_LEVELS = {
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERROR": "ERROR",
    "CRITICAL": "CRITICAL",
    "FATAL": "CRITICAL",
}
# The pattern is exact: text that merely resembles a loopback address is a host name, which may lead to any machine.
_LOOPBACK = r"localhost|127(\.(25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})){3}|\[::1\]"


class Credentials(NamedTuple):
    """The keys of AWS calls. In a SnapStart environment they are empty: fetch them from `uri` with `token`."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    uri: str
    token: str


class LogSettings(NamedTuple):
    """The options of the Logger. `wrong` lists the variables whose values are unknown and therefore ignored."""

    level: str
    sample_rate: float | None
    wrong: tuple[str, ...]

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> LogSettings:
        """Return the log's settings in `variables`. An unknown level becomes INFO, as a log must not stop a request."""
        wrong = []
        level = "INFO"
        # In Powertools' order. The first one that is set counts.
        for name in ("AWS_LAMBDA_LOG_LEVEL", "POWERTOOLS_LOG_LEVEL", "LOG_LEVEL"):
            if value := variables.get(name, "").strip().upper():
                level = _LOG_LEVELS.get(value, level)
                wrong += [] if value in _LOG_LEVELS else [name]
                break
        rate = variables.get("POWERTOOLS_LOGGER_SAMPLE_RATE", "").strip()
        known = bool(rate) and re.fullmatch(r"1(\.0*)?|0?\.[0-9]+|0\.?", rate) is not None
        wrong += ["POWERTOOLS_LOGGER_SAMPLE_RATE"] if rate and not known else []
        # 0.0 if the value is wrong: with None the Logger would read the variable itself.
        return cls(level, float(rate) if known else 0.0 if rate else None, tuple(wrong))


class Settings(NamedTuple):
    """The settings of the deployment. Times are in milliseconds, except `stats_max_age`, which is in seconds.

    If Neon's API is configured, `neon_project_id` and `neon_endpoint_id` are set. `neon_api_key` is set too, unless the
    key is in the secret. If Neon's API is not configured, all three are empty.
    """

    database_url: str
    database_secret_arn: str
    auth: str
    tenant_from: str
    tenant_id: str
    all_users_scope: str
    connection_timeout_ms: int
    idle_timeout_ms: int
    max_attempts: int
    slow_query_ms: int
    prepare_threshold: int | None
    ssl_root_cert: str
    channel_binding: str
    ssl_negotiation: str
    secrets_endpoint: str
    stats_max_age: int
    neon_api_key: str
    neon_project_id: str
    neon_endpoint_id: str
    neon_api_url: str

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> Settings:
        """Return the settings in `variables`. Raises SettingsError, which names the variable but not its value."""
        url = _pasted(variables, "DATABASE_URL")
        arn = _pasted(variables, "DATABASE_SECRET_ARN")
        if bool(url) == bool(arn):
            raise SettingsError("set one of DATABASE_URL and DATABASE_SECRET_ARN, and not both")
        if arn and not re.fullmatch(r"arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:.+", arn):
            raise SettingsError("DATABASE_SECRET_ARN is not the ARN of a secret in AWS Secrets Manager")
        prepare = variables.get("DB_PREPARE_THRESHOLD", "")
        return cls(
            database_url=url,
            database_secret_arn=arn,
            connection_timeout_ms=_whole(variables, "DB_CONNECTION_TIMEOUT", 10_000, 1_000, 30_000),
            idle_timeout_ms=_whole(variables, "DB_IDLE_TIMEOUT", 30_000, 0, 86_400_000),
            max_attempts=_whole(variables, "DB_MAX_RETRIES", 3, 1, 10),
            slow_query_ms=_whole(variables, "DB_SLOW_QUERY_MS", 1_000, 1, 60_000),
            prepare_threshold=_whole(variables, "DB_PREPARE_THRESHOLD", 0, 0, 1_000) if prepare else None,
            ssl_root_cert=variables.get("DB_SSL_ROOT_CERT", ""),
            channel_binding=_one_of(variables, "DB_CHANNEL_BINDING", ("", "disable", "prefer", "require")),
            ssl_negotiation=_one_of(variables, "DB_SSL_NEGOTIATION", ("", "postgres", "direct")),
            secrets_endpoint=variables.get("AWS_ENDPOINT_URL_SECRETS_MANAGER", "")
            or variables.get("AWS_ENDPOINT_URL", ""),
            stats_max_age=_whole(variables, "STATS_MAX_AGE", 3_600, 0, 2_678_400),
            **_callers(variables),
            **_neon(variables, bool(arn)),
        )


def _pasted(variables: Mapping[str, str], name: str) -> str:
    """Return a value that people paste, without the white space and line breaks around it.

    `none` means empty, because `sam deploy --guided` accepts no empty answer.
    """
    value = variables.get(name, "").strip()
    return "" if value == "none" else value


def _callers(variables: Mapping[str, str]) -> dict[str, str]:
    # Without AUTH every event needs an authorizer, so a forgotten variable never opens the API.
    auth = _one_of(variables, "AUTH", ("", "iam", "jwt", "none")) or "iam"
    # SAM sets this variable on a developer's machine, and has no authorizer there.
    if variables.get("AWS_SAM_LOCAL") == "true":
        auth = "none"
    source = variables.get("TENANT_FROM", "") or "fixed"
    if not re.fullmatch(r"fixed|claim:[\x21-\x7e]{1,128}|iam:account|iam:role", source):
        raise SettingsError("TENANT_FROM must be fixed, claim:<name>, iam:account or iam:role")
    if source.partition(":")[0] not in ("fixed", {"iam": "iam", "jwt": "claim"}.get(auth)):
        raise SettingsError("TENANT_FROM does not fit AUTH: claim:<name> needs jwt, iam:account and iam:role need iam")
    tenant = variables.get("TENANT_ID", "") or "local"
    if not re.fullmatch(TENANT, tenant):
        raise SettingsError(f"TENANT_ID must be 1 to {MAX_TENANT_LENGTH} letters, digits and . _ - + = , @ :")
    scope = variables.get("ALL_USERS_SCOPE", "") or "robot-brain/all-users"
    if not re.fullmatch(r"[\x21\x23-\x5a\x5e-\x7e]{1,128}", scope):
        raise SettingsError(
            "ALL_USERS_SCOPE must be one scope, in ASCII without spaces, quotes, brackets and backslashes"
        )
    return {
        "auth": auth,
        "tenant_from": source,
        "tenant_id": tenant,
        "all_users_scope": "" if scope == "none" else scope,
    }


def _neon(variables: Mapping[str, str], has_secret: bool) -> dict[str, str]:
    found = {name: variables.get(name, "") for name in ("NEON_API_KEY", "NEON_PROJECT_ID", "NEON_ENDPOINT_ID")}
    found["NEON_API_KEY"] = _pasted(variables, "NEON_API_KEY")
    needed = [name for name in found if name != "NEON_API_KEY" or not has_secret]
    missing = [name for name in needed if not found[name]]
    if any(found.values()) and missing:
        raise SettingsError(
            f"{' and '.join(missing)} must be set as well: Neon's API needs its key, the project and the endpoint"
        )
    if not re.fullmatch(r"[\x21-\x7e]{0,512}", found["NEON_API_KEY"]):
        raise SettingsError("NEON_API_KEY is not a key of Neon's API")
    for name in ("NEON_PROJECT_ID", "NEON_ENDPOINT_ID"):
        if not re.fullmatch(r"[a-z0-9-]{0,60}", found[name]):
            raise SettingsError(f"{name} must be lower-case letters, digits and hyphens, as Neon's console shows it")
    url = variables.get("NEON_API_URL", "") or "https://console.neon.tech/api/v2"
    if not re.fullmatch(rf"(https://[A-Za-z0-9.-]+|http://({_LOOPBACK}))(:[0-9]{{1,5}})?(/[A-Za-z0-9._~/-]*)?", url):
        raise SettingsError(
            "NEON_API_URL must be https://host/path; plain http exposes the key and is allowed on this machine only"
        )
    return {**{name.lower(): value for name, value in found.items()}, "neon_api_url": url}


def _whole(variables: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = variables.get(name, "") or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise SettingsError(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def _one_of(variables: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = variables.get(name, "")
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(filter(None, allowed))}")
    return value


def settings() -> Settings:
    """Return the settings of this execution environment. Raises SettingsError if they cannot be parsed."""
    return environment.current.made(_parse)


def _parse() -> Settings:
    return Settings.parse(environment.current.variables)


def log_settings() -> LogSettings:
    """Return the log's settings in the environment variables."""
    return LogSettings.parse(environment.current.variables)


def credentials() -> Credentials:
    """Return the current AWS credentials. They change if SnapStart restores the environment from a snapshot."""
    variables = environment.current.variables
    return Credentials(
        access_key_id=variables.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=variables.get("AWS_SESSION_TOKEN", ""),
        uri=variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", ""),
        token=variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""),
    )


def first_existing(paths: tuple[str, ...]) -> str | None:
    """Return the first existing file of SSL_CERT_FILE, if it is set, and `paths`. Return None if no file exists."""
    named = environment.current.variables.get("SSL_CERT_FILE", "")
    return next((path for path in (named, *paths) if path and os.path.isfile(path)), None)
