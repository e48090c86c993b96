"""What `make run` prints once it is ready: addresses, folders, and commands to copy."""

import shlex

from local.settings import Settings

TURN = '{"robot_personality": "guide", "user_message": "Hello!", "robot_response": "Hello. Where to?"}'


def greeting(settings: Settings, url: str, issuer: str | None, seconds: float) -> str:
    """Return the text for the API at `url` that took `seconds` to start. `issuer` is the token issuer's URL or None."""
    lines = []
    if settings.runtime == "loop":
        lines.append("The functions run in local/runtime_loop.py (awslambdaric has no wheel here, or you chose it).")
    place = "your database" if settings.own_database else f"{settings.state}/"
    lines.append(f"Robot Brain is ready on {url} ({seconds:.1f} s). Ctrl-C stops it, data stays in {place}.")
    lines.append(f"The functions' logs are in {settings.state}/logs/.")
    if issuer is None:
        lines.append(
            "This API needs no credentials. A deployed one needs signatures or tokens, except for GET /health."
        )
    else:
        lines.append(f"This API needs a token of the issuer {issuer}, except for GET /health.")
    lines.append(f"\n{commands(settings, url, issuer)}\n")
    return "\n".join(lines)


def commands(settings: Settings, url: str, issuer: str | None) -> str:
    """Return commands to copy, which write a turn to the API at `url` and read it back."""
    token = bearer = ""
    if issuer is not None:
        state = "" if str(settings.state) == ".local" else f" STATE={shlex.quote(str(settings.state))}"
        token = f"  TOKEN=$(make -s token SUB=ann{state})\n"
        bearer = ' -H "Authorization: Bearer $TOKEN"'
    return f"""\
{token}  curl {url}/sessions/hello/messages{bearer} -H 'Content-Type: application/json' -H 'Idempotency-Key: hello-0' \\
    -d '{TURN}'
  curl {url}/sessions/hello{bearer}"""
