"""The settings of the local commands, from the environment and the command line."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from local.runtime import RuntimeName, default_runtime

ROOT = Path(__file__).resolve().parent.parent
AWS_ACCESS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
)
AUTHS = ("none", "jwt")
ALL_USERS_SCOPE = "robot-brain/all-users"  # the template's default of AllUsersScope
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# As CorsOrigin in template.yaml.
ORIGINS = r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(,https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)*"
LONGEST_SLEEPLESS_SECONDS = 604_800  # a week, the longest that Neon allows
ENVIRONMENT_HELP = """\
environment:
  PORT, STATE, LOG, FREEZE=1   the same as the options.
  SCALE_TO_ZERO                seconds without a request after which the database sleeps, as Neon's does.
  SEARCH=off                   do not search; or the text search configuration of the words, such as english.
  DATABASE_URL                 use this database and start none. It is not migrated without DIRECT_DATABASE_URL.
  DIRECT_DATABASE_URL          migrate this database first. DATABASE_URL must be set as well.
  DATABASE_SECRET_ARN          read DATABASE_URL from Secrets Manager, with the AWS_* credentials set here.
  AUTH=jwt                     ask for tokens, as a deployed API with AUTH=jwt does. A local issuer listens on PORT+1.
  CORS_ORIGIN                  with AUTH=jwt: origins whose pages may call the API, besides those of this machine.
  TENANT_ID, TENANT_FROM, ALL_USERS_SCOPE, DB_*, NEON_*, STATS_*, POWERTOOLS_*
                               passed to the functions, in place of template.yaml's values.
"""


class SettingsError(ValueError):
    """An option or variable has a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """The settings of a local command.

    `functions` are environment variables for the functions. If they name a database, `own_database` is true.
    `search` is the new language of the search, or None to leave it as it is.
    `scale_to_zero` is the seconds after which the embedded database sleeps, or None if it never sleeps. `auth` is `jwt`
    or `none`. `parameters` are those of the template that the local front uses.
    """

    template: Path
    state: Path
    port: int
    freeze: bool
    runtime: RuntimeName
    functions: Mapping[str, str]
    own_database: bool
    direct_url: str | None
    search: str | None
    scale_to_zero: int | None
    auth: str
    parameters: Mapping[str, str]


def parser(prog: str, description: str, environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return a parser with the options that every local command has."""
    made = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=ENVIRONMENT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--state", default=environ.get("STATE", ".local"), help="folder for data and logs (.local)")
    made.add_argument("--log", default=environ.get("LOG"), type=str.upper, help="log level of the functions")
    made.add_argument(
        "--runtime",
        choices=("awslambdaric", "loop"),
        default=default_runtime(),
        help="Lambda's own runtime client, or our own loop for systems without its wheel (macOS)",
    )
    return made


def read_settings(options: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError, which names the variable or option, if a value is wrong."""
    port = str(getattr(options, "port", "0"))
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise SettingsError(f"PORT is {port!r}; it must be a number from 0 (any free port) to 65535")
    if options.log and options.log not in LOG_LEVELS:
        raise SettingsError(f"LOG is {options.log!r}; it must be one of {', '.join(LOG_LEVELS)}")
    # A pasted URL often ends with white space or a line break.
    environ = {name: value.strip() if name.endswith("DATABASE_URL") else value for name, value in environ.items()}
    passed = ("TENANT_ID", "TENANT_FROM", "ALL_USERS_SCOPE", "DATABASE_URL", "DATABASE_SECRET_ARN")
    prefixes = ("DB_", "NEON_", "POWERTOOLS_", "STATS_")
    functions = {
        name: value for name, value in environ.items() if value and (name in passed or name.startswith(prefixes))
    }
    auth = functions["AUTH"] = environ.get("AUTH") or "none"
    if auth not in AUTHS:
        raise SettingsError(f"AUTH is {auth!r}; on one machine it must be jwt or none. Only AWS can check signatures")
    origin = environ.get("CORS_ORIGIN", "")
    if origin and auth != "jwt":
        raise SettingsError("CORS_ORIGIN works only with AUTH=jwt: without it no page may call the local API")
    if origin and not re.fullmatch(ORIGINS, origin):
        raise SettingsError(
            f"CORS_ORIGIN is {origin!r}; it must be origins such as https://app.example.com, with commas between them"
        )
    if options.log:
        functions["POWERTOOLS_LOG_LEVEL"] = options.log
    if "DATABASE_SECRET_ARN" in functions:
        functions.update({name: environ[name] for name in AWS_ACCESS if name in environ})
    own_database = "DATABASE_URL" in functions or "DATABASE_SECRET_ARN" in functions
    direct_url = environ.get("DIRECT_DATABASE_URL") or None
    if direct_url and not own_database:
        raise SettingsError("DIRECT_DATABASE_URL is set, DATABASE_URL is not: set both or neither")
    scale_to_zero = environ.get("SCALE_TO_ZERO", "") or "0"
    if not (scale_to_zero.isascii() and scale_to_zero.isdigit() and int(scale_to_zero) <= LONGEST_SLEEPLESS_SECONDS):
        raise SettingsError(
            f"SCALE_TO_ZERO is {scale_to_zero!r}; it must be whole seconds, at most {LONGEST_SLEEPLESS_SECONDS}, or 0"
        )
    if int(scale_to_zero) and own_database:
        raise SettingsError("SCALE_TO_ZERO works only with the embedded database: unset it, or unset DATABASE_URL")
    return Settings(
        template=ROOT / "template.yaml",
        state=Path(options.state),
        port=int(port),
        freeze=bool(getattr(options, "freeze", False)),
        runtime=cast("RuntimeName", options.runtime),
        functions=functions,
        own_database=own_database,
        direct_url=direct_url,
        search=environ.get("SEARCH") or None,
        scale_to_zero=int(scale_to_zero) or None,
        auth=auth,
        parameters={"CorsOrigin": origin} if origin else {},
    )
