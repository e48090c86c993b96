"""Write the hashes of every pinned package into the requirements files: `python -m tests.pins`, with uv on PATH.

Write a new version's line without hashes. An index never changes a file, and never uses its name again. So if the index
no longer lists a hash that is already in the file, the index is not believed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PIN = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>[\w.]+)")


class PinError(Exception):
    """A requirements file cannot be completed."""


class UvMissingError(PinError):
    """uv is not on PATH. Install it, for example by `pipx install uv`, and run this again."""

    def __init__(self) -> None:
        """Take the docstring as the message."""
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Pin:
    """One package of a requirements file: its requirement with extras and marker, and its hashes `sha256:...`."""

    requirement: str
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the normalized name. Raises PinError if the line pins no version."""
        return re.sub(r"[-_.]+", "-", self._part("name")).lower()

    @property
    def version(self) -> str:
        """Return the version. Raises PinError if the line pins none."""
        return self._part("version")

    def __str__(self) -> str:
        """Return the lines of the requirements file, one hash a line."""
        return " \\\n    ".join([self.requirement, *(f"--hash={each}" for each in self.hashes)])

    def _part(self, group: str) -> str:
        found = _PIN.match(self.requirement)
        if not found:
            raise PinError(f"{self.requirement}: write name==version")
        return found[group]


def lines_of(text: str) -> list[Pin | str]:
    """Return the packages of a requirements file, and every other line as it is: comments, empty lines and options."""
    lines: list[Pin | str] = []
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line)
        other = not line.strip() or line.startswith(("#", "-"))
        lines.append(line if other else Pin(requirement.strip(), tuple(hashes)))
    return lines


def pins_of(path: Path) -> list[Pin]:
    """Return the packages that a requirements file pins, without those of the files that it includes."""
    return [line for line in lines_of(path.read_text()) if isinstance(line, Pin)]


def files() -> list[Path]:
    """Return the requirements files of the project."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*requirements*.txt"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in names]


def complete(text: str, listed: Mapping[str, tuple[str, ...]]) -> str:
    """Return a requirements file with all hashes of `listed`, which has those of the index for each name.

    Raises PinError if the index lists no file of a package, or no longer lists a file whose hash is in `text`.
    """
    lines = []
    for line in lines_of(text):
        if isinstance(line, Pin):
            hashes = listed.get(line.name, ())
            lost = set(line.hashes) - set(hashes)
            if lost or not hashes:
                raise PinError(
                    f"{line.requirement}: the index lists no file with {', '.join(sorted(lost)) or 'this version'}. "
                    "If you changed the version, delete the line's old hashes. Otherwise do not trust the index."
                )
            line = Pin(line.requirement, tuple(sorted(hashes)))
        lines.append(str(line))
    return "\n".join(lines) + "\n"


def ask_index(pins: list[Pin]) -> dict[str, tuple[str, ...]]:
    """Return the hashes of every file that the index lists for each pin. Raises PinError if uv is missing or fails."""
    uv = shutil.which("uv")
    if uv is None:
        raise UvMissingError
    # Only name and version: uv shall leave out no package whose marker is false here.
    wanted = "".join(f"{pin.name}=={pin.version}\n" for pin in pins)
    command = [uv, "pip", "compile", "-", "--no-deps", "--universal", "--python-version", "3.13", "--generate-hashes"]
    command += [
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--no-config",
        "--no-cache",
    ]
    done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PinError(done.stderr)
    return {line.name: line.hashes for line in lines_of(done.stdout) if isinstance(line, Pin)}


def main() -> int:
    """Complete each file that can be completed. Return 1 if one cannot, and say why."""
    failed = 0
    for path in files():
        text = path.read_text()
        try:
            path.write_text(complete(text, ask_index(pins_of(path))))
        except UvMissingError as error:
            print(error, file=sys.stderr)
            return 1
        except PinError as error:
            print(f"{path.relative_to(ROOT)}: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
