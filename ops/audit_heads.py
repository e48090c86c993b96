"""A file with the heads of the audit trail's chains: for each tenant the place and the hash of its last entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ops.errors import MigrationError


class Head(NamedTuple):
    """The place of an entry in its tenant's chain, counted from 1, and its hash."""

    n: int
    hash: bytes


Heads = Mapping[str, Head]


def read_heads(path: Path) -> Heads:
    """Read what `write_heads` has written. Raises MigrationError if the file is missing or is not such a file."""
    heads: dict[str, Head] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            tenant, head = row["tenant"], Head(int(row["n"]), bytes.fromhex(row["hash"]))
            if tenant in heads:
                raise MigrationError(f"{path} has the tenant {tenant!r} more than once.")
            heads[tenant] = head
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise MigrationError(f"Cannot read the kept heads: {type(error).__name__}: {error}") from error
    if not heads:
        # Otherwise a file that was emptied would hide what it is kept for.
        raise MigrationError(f"{path} has no head. Remove HEADS= to verify without kept heads.")
    return heads


def write_heads(path: Path, heads: Heads) -> None:
    """Write a line for each tenant. A failure leaves the old file. Raises MigrationError if that fails."""
    lines = [
        json.dumps({"tenant": tenant, "n": head.n, "hash": head.hash.hex()}) for tenant, head in sorted(heads.items())
    ]
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise MigrationError(f"Cannot write the heads: {error}") from error
