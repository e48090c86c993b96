"""A file with the heads of the audit trail's chains: for each tenant the place and the hash of its last entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ops.errors import MigrationError

_NEXT_STEP = "Use a file that SAVE= has written, or leave HEADS= out to verify without kept heads."


class Head(NamedTuple):
    """The place of an entry in its tenant's chain, counted from 1, and its hash.

    `breaks` has the breaks of the chain up to this entry that an operator has noted, as `audit-verify` names them.
    """

    n: int
    hash: bytes
    breaks: tuple[str, ...] = ()


Heads = Mapping[str, Head]


def read_heads(path: Path) -> Heads:
    """Read what `write_heads` has written. Raises MigrationError if the file is missing or is not such a file."""
    heads: dict[str, Head] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise MigrationError(f"Cannot read the kept heads of {path}: {reason}. {_NEXT_STEP}") from error
    for number, line in enumerate(lines, start=1):
        try:
            tenant, head = _parsed(line)
        except (ValueError, TypeError, LookupError) as error:
            raise MigrationError(f"{path}, line {number}: this is no head. {_NEXT_STEP}") from error
        if tenant in heads:
            raise MigrationError(f"{path}, line {number}: the tenant {tenant!r} is there twice. {_NEXT_STEP}")
        heads[tenant] = head
    if not heads:
        # Otherwise a file that was emptied would hide what it is kept for.
        raise MigrationError(f"{path} has no head. {_NEXT_STEP}")
    return heads


def _parsed(line: str) -> tuple[str, Head]:
    row = json.loads(line)
    tenant, n, breaks = row["tenant"], row["n"], row.get("breaks", [])
    if not (isinstance(tenant, str) and isinstance(n, int) and isinstance(breaks, list)):
        raise TypeError(line)
    return tenant, Head(n, bytes.fromhex(row["hash"]), tuple(map(str, breaks)))


def refuse_existing(path: Path) -> None:
    """Raise MigrationError if there is such a file, because kept heads must never be replaced."""
    if path.exists():
        raise MigrationError(f"{path} exists, and kept heads are not replaced. Give SAVE= the name of a new file.")


def write_heads(path: Path, heads: Heads) -> None:
    """Write a new file with a line for each tenant. Raises MigrationError if it exists, or if that fails."""
    refuse_existing(path)
    lines = [
        json.dumps(
            {"tenant": tenant, "n": head.n, "hash": head.hash.hex()}
            | ({"breaks": list(head.breaks)} if head.breaks else {})
        )
        for tenant, head in sorted(heads.items())
    ]
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise MigrationError(
            f"Cannot write the heads to {path}: {error.strerror}. Check SAVE= and its folder."
        ) from error
