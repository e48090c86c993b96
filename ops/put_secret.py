"""Write DATABASE_URL into a secret of AWS Secrets Manager: the one place of the commands that calls AWS.

boto3 is not among what the commands install, so this file runs in a process of its own with the Python of .venv-sam:

    .venv-sam/bin/python -m ops.put_secret < {"arn": …, "url": … or null}

The URL comes over standard input, because every user of the machine can read the arguments of a process. Without a URL
it only checks that the secret can be read and has a text that can be replaced. The status is 1, with a line on standard
error that quotes neither the secret nor the URL, if that fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ops.errors import MigrationError

_PYTHON = Path(__file__).resolve().parent.parent / ".venv-sam" / "bin" / "python"
_SECONDS = 120


def check_secret(arn: str) -> None:
    """Raise MigrationError, with the reason, if the secret `arn` cannot be read or has no text."""
    _run(arn, None)


def put_secret(arn: str, url: str) -> None:
    """Write `url` into the secret. In JSON it becomes the member DATABASE_URL, and all other members stay.

    Raises MigrationError, with the reason, if that fails.
    """
    _run(arn, url)


def _run(arn: str, url: str | None) -> None:
    if not _PYTHON.exists():
        raise MigrationError("SECRET= needs the packages of .venv-sam: run it as make app-password SECRET=…")
    try:
        done = subprocess.run(
            [_PYTHON, "-m", "ops.put_secret"],
            cwd=Path(__file__).resolve().parent.parent,
            input=json.dumps({"arn": arn, "url": url}),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        # The exception's text would quote nothing secret, but its attributes hold the input.
        raise MigrationError(f"AWS Secrets Manager did not answer within {_SECONDS} s") from None
    if done.returncode != 0:
        raise MigrationError(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the secret was not written"
        )


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
    parts = str(order["arn"]).split(":")
    if len(parts) < 7 or parts[2] != "secretsmanager":
        print("SECRET= must be the ARN of a secret in AWS Secrets Manager", file=sys.stderr)
        return 1
    try:
        client = boto3.client("secretsmanager", region_name=parts[3])
        text = client.get_secret_value(SecretId=order["arn"]).get("SecretString")
        if text is None:
            print("the secret is binary: store a text", file=sys.stderr)
            return 1
        new = replaced(text, order["url"] or "")
        if order["url"] is not None:
            client.put_secret_value(SecretId=order["arn"], SecretString=new)
    except ClientError as error:
        print(f"AWS Secrets Manager: {error.response['Error'].get('Code')} in {error.operation_name}", file=sys.stderr)
        return 1
    except BotoCoreError as error:
        print(f"AWS Secrets Manager: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except (ValueError, TypeError):
        print("the secret begins with { and is not a JSON object", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
