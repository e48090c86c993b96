"""Write DATABASE_URL into a secret of AWS Secrets Manager: the one place of the commands that calls AWS.

boto3 is not among what the commands install, so this file runs in a process of its own with the Python of .venv-sam:

    .venv-sam/bin/python -m ops.put_secret < {"arn": …, "url": … or null, "held": … or null}

The URL comes over standard input, because every user of the machine can read the arguments of a process. Without a URL
it prints as JSON what the secret holds in its place. With one it writes, if the secret still holds what `held` says.
The status is 1, with a line on standard error that quotes neither the secret nor the URL, if that fails.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ops.errors import MigrationError

_PYTHON = Path(__file__).resolve().parent.parent / ".venv-sam" / "bin" / "python"
_SECONDS = 120
_ARN = re.compile(r"arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]+:secret:\S+")
_CHECK = (
    "Check the ARN with its region and account, the credentials (for example AWS_PROFILE), and the rights "
    "secretsmanager:GetSecretValue and secretsmanager:PutSecretValue of this secret."
)


def is_arn(text: str) -> bool:
    """Return whether `text` has the form of a secret's ARN."""
    return _ARN.fullmatch(text) is not None


def read_secret(arn: str) -> str:
    """Return the secret's text, or its member DATABASE_URL if it is JSON, or '' if there is no such member.

    Raises MigrationError, with the reason, if the secret cannot be read, or has no text that can be replaced.
    """
    return str(json.loads(_run({"arn": arn, "url": None, "held": None})))


def put_secret(arn: str, url: str, held: str) -> None:
    """Write `url` in place of `held`. In JSON it becomes the member DATABASE_URL, and all other members stay.

    Raises MigrationError, with the reason, if that fails, or if the secret does not hold `held` any more.
    """
    _run({"arn": arn, "url": url, "held": held})


def _run(order: Mapping[str, str | None]) -> str:
    if not _PYTHON.exists():
        raise MigrationError("SECRET= needs the packages of .venv-sam: run it as make app-password SECRET=…")
    try:
        done = subprocess.run(
            [_PYTHON, "-m", "ops.put_secret"],
            cwd=Path(__file__).resolve().parent.parent,
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        # The exception's text would quote nothing secret, but its attributes hold the input.
        raise MigrationError(f"AWS Secrets Manager did not answer within {_SECONDS} s. {_CHECK}") from None
    if done.returncode != 0:
        raise MigrationError(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the secret was not written"
        )
    return done.stdout


def held_url(text: str) -> str:
    """Return what the secret's text holds in the URL's place. Raises ValueError if it begins as JSON and is not."""
    if not text.strip().startswith("{"):
        return text
    return str(json.loads(text).get("DATABASE_URL") or "")


def replaced(text: str, url: str) -> str:
    """Return the secret's text with `url` in place of its URL. Raises ValueError if it is neither a URL nor JSON."""
    if not text.strip().startswith("{"):
        return url
    members = json.loads(text)
    return json.dumps({**members, "DATABASE_URL": url})


def _main() -> int:
    # Imported here: only the Python of .venv-sam has it.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    order = json.load(sys.stdin)
    region = str(order["arn"]).split(":")[3]
    try:
        client = boto3.client("secretsmanager", region_name=region)
        text = client.get_secret_value(SecretId=order["arn"]).get("SecretString")
        if text is None:
            print("the secret is binary: store a text", file=sys.stderr)
            return 1
        held = held_url(text)
        if order["url"] is None:
            print(json.dumps(held))
        elif held != order["held"]:
            print("the secret was changed meanwhile", file=sys.stderr)
            return 1
        else:
            new = replaced(text, order["url"])
            client.put_secret_value(SecretId=order["arn"], SecretString=new)
    except ClientError as error:
        code = error.response["Error"].get("Code")
        print(f"AWS Secrets Manager: {code} in {error.operation_name}. {_CHECK}", file=sys.stderr)
        return 1
    except BotoCoreError as error:
        print(f"AWS Secrets Manager: {type(error).__name__}: {error}. {_CHECK}", file=sys.stderr)
        return 1
    except (ValueError, TypeError):
        print("the secret begins with { and is not a JSON object", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
