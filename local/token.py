"""Print an access token for the running local stack: `python -m local.token`, or `make token SUB=ann`.

The stack must run with AUTH=jwt. Only the token goes to standard output, so that `TOKEN=$(make -s token SUB=ann)`
works. Errors go to standard error, and the exit status is 1.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.issuer import LIFETIME_SECONDS, LONGEST_SECONDS, IssuerError, make_token, read_key
from local.settings import SettingsError
from local.state import State, StateInUseError

HELP = """\
environment:
  SUB                the user of the token, as --sub.
  SCOPE              the scopes, with a space between two: robot-brain/all-users lets the caller see all users.
  CLAIMS             further claims as a JSON object, such as '{"tenant": "acme"}'.
  SECONDS, STATE     the same as the options.
"""


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Print the token and return exit status 0. Return 1, with a message, if no token can be made."""
    parser = argparse.ArgumentParser(
        prog="python -m local.token",
        description="Print an access token for the local stack that runs with AUTH=jwt.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sub", default=environ.get("SUB", ""), help="the user of the token")
    parser.add_argument("--scope", default=environ.get("SCOPE", ""), help="the scopes of the token")
    parser.add_argument("--claims", default=environ.get("CLAIMS", ""), help="further claims as a JSON object")
    parser.add_argument(
        "--seconds",
        default=environ.get("SECONDS") or str(LIFETIME_SECONDS),
        help=f"the time for which the token is valid ({LIFETIME_SECONDS})",
    )
    parser.add_argument("--state", default=environ.get("STATE", ".local"), help="folder of the running stack (.local)")
    options = parser.parse_args(arguments)
    try:
        print(_token(options))
    except (SettingsError, StateInUseError, IssuerError) as error:
        print(f"No token was made: {error}", file=sys.stderr)
        return 1
    return 0


def _token(options: argparse.Namespace) -> str:
    if not options.sub:
        raise SettingsError("SUB is missing; it is the user of the token, as in: make token SUB=ann")
    seconds = options.seconds
    if not (seconds.isascii() and seconds.isdigit() and 1 <= int(seconds) <= LONGEST_SECONDS):
        raise SettingsError(f"SECONDS is {seconds!r}; it must be a number from 1 to {LONGEST_SECONDS}")
    claims = _claims(options.claims)
    if options.scope:
        claims["scope"] = options.scope
    folder = Path(options.state)
    running = State(folder).running() if folder.exists() else None
    if running is None:
        raise SettingsError(f"no local stack uses {folder}: start it with AUTH=jwt make run, or set STATE=<folder>")
    if running.issuer is None:
        raise SettingsError("the local stack runs without AUTH=jwt: stop it, and start it with AUTH=jwt make run")
    return make_token(read_key(folder), running.issuer, options.sub, claims, int(seconds))


def _claims(text: str) -> dict[str, Any]:
    try:
        claims = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"CLAIMS is not JSON: {error}") from error
    if not isinstance(claims, dict):
        raise SettingsError("CLAIMS must be a JSON object")
    return claims


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
