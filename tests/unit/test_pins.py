"""The requirements files pin every package with its hashes, and pip always checks them."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.pins import ROOT, Pin, PinError, complete, files, lines_of, pins_of
from tests.support.servers.binaries import MissingBinaryError, skip_without

FILES = files()
RUN = [ROOT / "layers/robot_brain/requirements.txt", ROOT / "local/requirements.txt"]
# Files whose packages are installed into one environment, and the folder of that environment.
SETS = [([*RUN, ROOT / "tests/requirements.txt"], ".venv"), ([ROOT / "tests/requirements-sam.txt"], ".venv-sam")]
TOGETHER = [SETS[0][0], *([path] for path in FILES if path not in SETS[0][0])]
HASH = "sha256:" + "0" * 63


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_each_package_of_a_requirements_file_has_a_version_and_hashes(path: Path) -> None:
    pins = pins_of(path)
    assert pins
    assert [pin.requirement for pin in pins if str(Requirement(pin.requirement).specifier) != f"=={pin.version}"] == []
    assert [pin.requirement for pin in pins if not pin.hashes] == []
    assert [each for pin in pins for each in pin.hashes if not re.fullmatch(r"sha256:[0-9a-f]{64}", each)] == []
    for hashes in (pin.hashes for pin in pins):
        assert list(hashes) == sorted(set(hashes))


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_requirements_file_names_no_index_and_no_address(path: Path) -> None:
    others = [line for line in lines_of(path.read_text()) if not isinstance(line, Pin)]
    assert [line for line in others if line.startswith("-") and not re.fullmatch(r"-r [\w./-]+", line)] == []
    assert re.findall(r".*(?:://|--index|--extra-index|--find-links|--trusted-host| @ ).*", path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_requirements_file_is_written_as_the_command_writes_it(path: Path) -> None:
    listed = {pin.name: pin.hashes for pin in pins_of(path)}
    assert complete(path.read_text(), listed) == path.read_text()


@pytest.mark.parametrize("together", TOGETHER, ids=lambda paths: "+".join(names(paths)))
def test_no_package_is_pinned_twice_among_files_that_are_installed_together(together: list[Path]) -> None:
    count = Counter(pin.name for path in together for pin in pins_of(path))
    assert [name for name, times in count.items() if times > 1] == []


def environment(python: str, system: str, machine: str) -> dict[str, str]:
    there = {name: str(value) for name, value in default_environment().items()}
    there["python_version"], there["python_full_version"] = python, f"{python}.0"
    there["sys_platform"], there["platform_system"] = system, system.title()
    there["platform_machine"], there["os_name"] = machine, "posix"
    return there


ENVIRONMENTS = [
    environment(python, system, machine)
    for python in ("3.11", "3.12", "3.13", "3.14")
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64"))
]


@pytest.mark.parametrize(("together", "folder"), SETS, ids=[folder for _, folder in SETS])
def test_each_package_that_a_pinned_one_needs_on_linux_or_macos_is_pinned_too(
    together: list[Path], folder: str
) -> None:
    skip_without(lambda: _packages(ROOT / folder))
    pinned = {pin.name: Requirement(pin.requirement) for path in together for pin in pins_of(path)}
    needs = _needs(ROOT / folder)
    for there in ENVIRONMENTS:
        for name, requirement in pinned.items():
            if requirement.marker and not requirement.marker.evaluate(there):
                continue
            for needed in needs[name]:
                extras = {"", *requirement.extras}
                if needed.marker and not any(needed.marker.evaluate(there | {"extra": each}) for each in extras):
                    continue
                other = Pin(f"{needed.name}==0", ()).name
                assert other in pinned, f"{name} needs {needed} with {there['python_version']}, {there['sys_platform']}"
                version = str(pinned[other].specifier).removeprefix("==")
                assert needed.specifier.contains(version, prereleases=True), f"{name} needs {needed}"


@pytest.mark.parametrize(("together", "folder"), SETS, ids=[folder for _, folder in SETS])
def test_a_set_in_which_a_package_needs_an_extra_of_another_is_installed_without_resolving(
    together: list[Path], folder: str
) -> None:
    """With --require-hashes a pip before 23.1, such as Debian 12's, refuses an extra that no line of the file names."""
    skip_without(lambda: _packages(ROOT / folder))
    pinned = {pin.name: Requirement(pin.requirement) for path in together for pin in pins_of(path)}
    needs = _needs(ROOT / folder)
    extra = []
    for name, requirement in pinned.items():
        for needed in filter(lambda each: each.extras, needs[name]):
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in ("", *requirement.extras)):
                other = pinned[Pin(f"{needed.name}==0", ()).name]
                extra += [f"{name} needs {needed}"] if needed.extras - other.extras else []
    [install] = re.findall(rf"PIP_INSTALL\).*{together[-1].relative_to(ROOT)}.*", (ROOT / "Makefile").read_text())
    assert extra == [] or "--no-deps" in install, extra


def _packages(environment: Path) -> Path:
    for folder in environment.glob("lib/python3.*/site-packages"):
        return folder
    raise MissingBinaryError(f"{environment.name} is not installed: make test without PYTEST= installs it")


def _needs(environment: Path) -> dict[str, list[Requirement]]:
    installed = distributions(path=[str(_packages(environment))])
    return {Pin(f"{each.name}==0", ()).name: [Requirement(line) for line in each.requires or []] for each in installed}


def test_every_pip_install_of_the_project_requires_hashes() -> None:
    listed = subprocess.run(["git", "grep", "-lE", r"\bpip\b"], cwd=ROOT, capture_output=True, text=True, check=True)
    installs = []
    for name in listed.stdout.splitlines():
        # Documents have commands for a reader's own environment. Some tests read the commands of others.
        readers = ("examples/test_sign.py", "unit/test_make.py", "unit/test_pins.py")
        if not name.endswith((".md", ".sql", ".txt", *readers)):
            text = re.sub(r"\\\n", " ", (ROOT / name).read_text())
            installs += [(name, line) for line in text.splitlines() if re.search(r"\bpip\b\W+install\b", line)]
    assert {name for name, _ in installs} == {
        ".ci/run",
        "Makefile",
        "layers/robot_brain/Makefile",
        "tests/bench/cold_artifacts.py",
        "tests/clients/__main__.py",
    }
    assert [(name, line) for name, line in installs if "--require-hashes" not in line] == []


def test_hashes_are_added_below_the_lines_that_have_none_and_all_else_stays() -> None:
    text = (
        f'# A comment.\n-r other.txt\nA_b[c]==1.0; sys_platform == "linux" \\\n    --hash={HASH}1\n\n# Another.\nd==2\n'
    )
    listed = {"a-b": (f"{HASH}2", f"{HASH}1"), "d": (f"{HASH}3",)}
    assert complete(text, listed) == text.replace(f"{HASH}1\n", f"{HASH}1 \\\n    --hash={HASH}2\n").replace(
        "d==2\n", f"d==2 \\\n    --hash={HASH}3\n"
    )
    assert complete(complete(text, listed), listed) == complete(text, listed)


def test_an_index_that_lists_another_file_in_place_of_a_known_one_is_not_believed() -> None:
    with pytest.raises(PinError, match=f"^a==1: the index lists no file with {HASH}1. If you changed the version"):
        complete(f"a==1 \\\n    --hash={HASH}1\n", {"a": (f"{HASH}2",)})


def test_a_version_that_the_index_does_not_have_is_refused() -> None:
    with pytest.raises(PinError, match=r"^a==1: the index lists no file with this version\. "):
        complete("a==1\n", {})


@pytest.mark.parametrize("line", ["a", "a>=1", "a @ https://example.com/a.whl"])
def test_a_line_without_an_exact_version_is_refused(line: str) -> None:
    [pin] = lines_of(line)
    assert isinstance(pin, Pin)
    with pytest.raises(PinError, match="write name==version"):
        _ = pin.version


def test_without_uv_the_command_says_once_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "git").symlink_to(shutil.which("git") or "git")
    done = subprocess.run(
        [sys.executable, "-m", "tests.pins"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("pipx install uv") == 1
    assert len(done.stderr.splitlines()) == 1
