"""Verify the chains of the audit trail, and name what is broken.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops audit-verify [--heads FILE]
        [--save FILE [--force]]

All is read in one transaction with one snapshot, so requests and refreshes go on meanwhile. A role that can change the
tables can also make a whole chain again. So write the heads to a file with --save, keep it elsewhere, and compare with
it by --heads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.audit_chains import Result, verify_chains
from ops.audit_heads import Heads, read_heads, refuse_existing, write_heads
from ops.direct import url_from_environment
from ops.errors import UsageError

# How many breaks of a tenant are printed. A file of heads has all of them.
NAMED = 10


def main(arguments: Sequence[str]) -> int:
    """Verify DIRECT_DATABASE_URL and print what is broken. Return 1 if anything is that the kept heads do not note.

    Raises OperatorError if that fails.
    """
    options = _options(arguments)
    save = Path(options.save) if options.save else None
    kept = read_heads(Path(options.heads)) if options.heads else None
    if save:
        refuse_existing(save)
    results = []
    for result in verify_chains(
        url_from_environment(), kept, _print_progress if sys.stderr.isatty() else lambda _: None
    ):
        results.append(result)
        _print_result(result)
    broken = sum(bool(result.broken) for result in results)
    entries = sum(result.verified for result in results)
    print(
        f"Entries verified: {entries} (chains: {len(results)}). "
        f"Not chained yet: {sum(result.unchained for result in results)}."
    )
    _print_comparison(options.heads, kept, sum(len(result.noted) for result in results))
    if broken:
        unsaved = " The heads were not saved." if save and not options.force else ""
        print(f'Broken chains: {broken}.{unsaved} What to do: docs/audit.md, "After a broken chain".')
    if save and (options.force or not broken):
        _save(save, results)
    return int(broken > 0)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options. Raises UsageError if they do not fit together."""
    parser = argparse.ArgumentParser(prog="python -m ops audit-verify", description="Verify the audit trail.")
    parser.add_argument("--heads", metavar="FILE", help="compare with the heads in this file")
    parser.add_argument("--save", metavar="FILE", help="write the heads to this new file if nothing is broken")
    parser.add_argument("--force", action="store_true", help="with --save: write them anyway, and note what is broken")
    parser.add_argument("--dry-run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("heads", "save"):
        if getattr(options, name) is not None and not getattr(options, name).strip():
            raise UsageError(f"{name.upper()}= is empty. Give it the name of a file, or leave it out.")
    if options.force and not options.save:
        raise UsageError("FORCE=1 notes breaks in the file of SAVE=. Add SAVE=, or leave FORCE=1 out.")
    if options.dry_run:
        raise UsageError("audit-verify never changes the database. Leave DRY_RUN=1 out.")
    return options


def _print_result(result: Result) -> None:
    wrong = result.wrong
    for line in wrong[:NAMED]:
        print(f"{result.tenant!r}: {line}")
    if wrong[NAMED:]:
        print(f"{result.tenant!r}: more breaks: {len(wrong) - NAMED}")
    if result.late:
        place = f"entry {result.first_late}" if result.first_late else "not chained yet"
        print(f"{result.tenant!r}: entries over an hour older than the one before: {result.late}, first: {place}")


def _print_comparison(file: str, kept: Heads | None, noted: int) -> None:
    """Say whether the chains were compared, because a misspelled HEADS= compares nothing."""
    if kept is None:
        print("Not compared with kept heads.")
        return
    print(f"Compared with the heads of {file} (chains: {len(kept)}).{f' Breaks noted there: {noted}.' * (noted > 0)}")


def _save(path: Path, results: Sequence[Result]) -> None:
    heads = {
        result.tenant: result.head._replace(breaks=(*result.noted, *result.breaks))
        for result in results
        if result.head.n
    }
    if not heads:
        # A file without heads would be refused by --heads.
        print("No entry is chained yet, so there are no heads to save.")
        return
    write_heads(path, heads)
    noted = sum(len(head.breaks) for head in heads.values())
    print(f"Saved the heads to {path}.{f' Breaks noted there: {noted}.' * (noted > 0)}")


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr)
