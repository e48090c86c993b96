"""Run one event through one function, as `sam local invoke` does: `python -m local.invoke FUNCTION EVENT`.

FUNCTION is the logical id or the name of the function's file. EVENT is a file with JSON, or `-` for standard input.
The response goes to standard output, the function's log to standard error. The exit status is 1 if the function failed.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from local.emulator import Emulator
from local.outcome import Outcome
from local.provision import used_database
from local.runtime import Launch
from local.serve import CLEAR_ERRORS
from local.settings import SettingsError, parser, read_settings
from local.template import Function, load_template

USAGE = (
    "Name a function and a file with an event, as in: "
    "make invoke FUNCTION=WriteMessageFunction EVENT=events/write_message.json"
)


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run the event and return the exit status: 0, 1 if the function failed, 2 if it could not be run."""
    options = parser("python -m local.invoke", "Run one event through one function and print its response.", environ)
    options.add_argument("function", nargs="?", metavar="FUNCTION", help="WriteMessageFunction or write_message")
    options.add_argument("event", nargs="?", metavar="EVENT", help="a file with the event as JSON, - is standard input")
    parsed = options.parse_args(arguments)
    if parsed.event is None:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        settings = read_settings(parsed, environ)
        function = load_template(settings.template).function(parsed.function)
        event = _read_event(parsed.event)
        with used_database(settings) as app_url:
            if app_url is None and not settings.own_database:
                raise SettingsError("the local stack runs with DATABASE_URL set: set the same value for this command")
            database = {} if app_url is None else {"DATABASE_URL": app_url}
            launch = Launch(runtime=settings.runtime, settings={**settings.functions, **database})
            outcome = asyncio.run(_invoke(function, event, launch))
    except CLEAR_ERRORS as error:
        print(f"{parsed.function} cannot be invoked: {error}", file=sys.stderr)
        return 2
    print(outcome.payload.decode("utf-8", "backslashreplace"))
    return 1 if outcome.error else 0


async def _invoke(function: Function, event: bytes, launch: Launch) -> Outcome:
    async with Emulator(
        {function.name: function},
        launch=launch,
        open_log=lambda name: os.fdopen(os.dup(2), "wb", buffering=0),
    ) as emulator:
        return await emulator.invoke(function.name, event)


def _read_event(name: str) -> bytes:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        json.loads(content)
    except OSError as error:
        raise SettingsError(f"{name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SettingsError(f"{name} is not JSON: {error}") from error
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
