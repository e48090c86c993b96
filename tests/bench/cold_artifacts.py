"""What bench-cold runs: the bundle that `make build` makes, and the other contenders, in read-only folders."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from local.settings import ROOT
from local.template import Function, load_template
from tests.e2e.sam_bundle import python313
from tests.pins import Pin, lines_of, pins_of

LAYER_REQUIREMENTS = ROOT / "layers" / "robot_brain" / "requirements.txt"
USUAL_REQUIREMENTS = Path(__file__).with_name("requirements-usual.txt")
CONTENDERS = Path(__file__).with_name("contenders")
OURS = {
    "write": "WriteMessageFunction",
    "read": "ReadSessionFunction",
    "stats": "StatsFunction",
    "health": "HealthFunction",
}
# Lambda's own folders are read-only. Ours are not for root, so Python must not write bytecode.
LIKE_LAMBDA = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}


class NotBuiltError(Exception):
    """A folder holds no bundle: run make build."""


@dataclass(frozen=True)
class Artifacts:
    """A Python 3.13 with awslambdaric, and the contenders' functions by name."""

    python: Path
    functions: dict[str, Function]


def prepare(folder: Path, build: Path, before: Path | None) -> Artifacts:
    """Put the contenders into `folder` and return them. Packages that an earlier run installed there are used again.

    `build` is the result of sam build. `before`, if given, is another one, whose functions are contenders named
    `write before` and so on. Raises NotBuiltError if a build is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python = _runtime(folder / "runtime")
    functions = _contenders(folder)
    for suffix, source in (("", build), (" before", before)):
        if source is not None:
            functions |= {name + suffix: each for name, each in _bundle(source, folder / f"ours{suffix[1:]}").items()}
    functions = {name: replace(each, name=re.sub(r"\W", "-", name)) for name, each in functions.items()}
    return Artifacts(python, functions)


def _bundle(build: Path, copy: Path) -> dict[str, Function]:
    if not (build / "template.yaml").exists():
        raise NotBuiltError(f"{build} holds no bundle: run make build")
    _remove(copy)
    shutil.copytree(build, copy)
    _read_only(copy)
    template = load_template(copy / "template.yaml")
    return {name: template.functions[logical_id] for name, logical_id in OURS.items()}


def _contenders(folder: Path) -> dict[str, Function]:
    pins = [str(pin) for pin in pins_of(LAYER_REQUIREMENTS) if pin.name.startswith(("psycopg", "typing-ext"))]
    floor_layer = _layer(folder / "floor", "\n".join(pins), compiled=True)
    usual_pins = USUAL_REQUIREMENTS.read_text().replace("-r ../../layers/robot_brain/requirements.txt", "")
    usual_layer = _layer(folder / "usual", LAYER_REQUIREMENTS.read_text() + usual_pins, compiled=False)
    code = folder / "code"
    _remove(code)
    for name in ("empty", "floor", "usual"):
        (code / name).mkdir(parents=True)
        shutil.copy(CONTENDERS / f"{name}.py", code / name)
        if name != "usual":
            _compile(code / name)
    _read_only(code)
    floor = {
        f"floor {name}": Function(f"floor {name}", f"floor.{name}", code / "floor", (floor_layer,), 28)
        for name in ("write", "read", "stats")
    }
    usual = Function("usual", "usual.handler", code / "usual", (usual_layer,), 28)
    return {"empty": Function("empty", "empty.handler", code / "empty", (), 28), "usual": usual, **floor}


def _layer(folder: Path, requirements: str, *, compiled: bool) -> Path:
    """Install `requirements` into `folder`, unless they are there. Return the folder."""
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements:
        print(f"Installing the layer of {folder.name} ...", file=sys.stderr)
        _remove(folder)
        folder.mkdir()
        (folder / "wanted.txt").write_text(requirements)
        _pip("--target", str(folder), "--no-deps", "--no-compile", "-r", str(folder / "wanted.txt"))
        if compiled:
            _write_versions(folder, requirements)
            _compile(folder)
        (folder / "wanted.txt").rename(stamp)
        _read_only(folder)
    return folder


def _write_versions(folder: Path, requirements: str) -> None:
    """Write version files as the layer's Makefile does, so that psycopg does not need importlib.metadata."""
    for pin in lines_of(requirements):
        if isinstance(pin, Pin) and pin.name in ("psycopg", "psycopg-binary"):
            (folder / pin.name.replace("-", "_") / "version.py").write_text(f'__version__ = "{pin.version}"\n')


def _runtime(folder: Path) -> Path:
    """Return a Python 3.13 that has only awslambdaric, as Lambda's has."""
    pins = pins_of(ROOT / "local" / "requirements.txt")
    pins = [pin for pin in pins if pin.name.startswith(("awslambdaric", "snapshot", "simplejson"))]
    wanted = "\n".join(str(Pin(pin.requirement.partition(";")[0], pin.hashes)) for pin in pins)
    stamp = folder / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("Installing the runtime ...", file=sys.stderr)
        _remove(folder)
        subprocess.run([python313(), "-m", "venv", "--without-pip", folder], check=True)
        target = next(folder.glob("lib/python*/site-packages"))
        (folder / "wanted.txt").write_text(wanted)
        _pip("--target", str(target), "--no-deps", "-r", str(folder / "wanted.txt"))
        (folder / "wanted.txt").rename(stamp)
    return folder / "bin" / "python"


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--quiet", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--python-version", "3.13"]
    subprocess.run([*command, *arguments], check=True)


def _compile(folder: Path) -> None:
    command = [str(python313()), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)]
    subprocess.run(command, check=True)


def _read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def _remove(folder: Path) -> None:
    if folder.exists():
        for parent, _, _ in os.walk(folder):
            Path(parent).chmod(0o755)
        shutil.rmtree(folder)
