"""The result of `sam build`: the right wheels, all bytecode, a small size, and the same bytes every time."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.sam_bundle import FUNCTIONS, SamBundle, build_bundle, host_architecture, python313
from tests.support.deployed_template import layer_pins

LIMIT_BYTES = 60 * 1024 * 1024
ELF_MACHINES = {"x86_64": 62, "arm64": 183}
UNCHECKED_HASH = 0b01

# Imports a handler as Lambda does. Prints which files of the bundle Python compiled, and all files that it imported.
IMPORT_HANDLER = """
import importlib, importlib.machinery, json, sys
handler, *folders = sys.argv[1:]
sys.path[:0] = folders
compiled = []
source_to_code = importlib.machinery.SourceFileLoader.source_to_code
def note(self, data, path, **options):
    compiled.append(path)
    return source_to_code(self, data, path, **options)
importlib.machinery.SourceFileLoader.source_to_code = note
module = importlib.import_module(handler)
assert callable(module.handler)
files = [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
json.dump({"compiled": compiled, "imported": files}, sys.stdout)
"""


def digest(folder: Path) -> dict[str, str]:
    """Return the name of each file in `folder` with the digest of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def machines(folder: Path) -> set[int]:
    """Return the machine numbers in the ELF headers of all shared objects in `folder`."""
    found = set()
    for path in folder.rglob("*"):
        content = path.read_bytes()[:20] if path.is_file() else b""
        if content.startswith(b"\x7fELF"):
            found.add(int.from_bytes(content[18:20], "little"))
        else:
            assert ".so" not in path.suffixes, path
    return found


def import_handler(build: Path, function: str, handler: str) -> dict[str, list[str]]:
    """Import the handler from the built folders with Python 3.13. Return the files that it compiled and imported.

    Python may not write bytecode here.
    """
    folders = [str(build / function), str(build / "RobotBrainLayer" / "python")]
    done = subprocess.run(
        [str(python313()), "-B", "-I", "-c", IMPORT_HANDLER, handler, *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, list[str]] = yaml.safe_load(done.stdout)
    return {key: [path for path in paths if path.startswith(str(build))] for key, paths in printed.items()}


def handlers(build: Path) -> dict[str, str]:
    """Return the module of each function's handler, as the built template says."""
    resources = yaml.safe_load((build / "template.yaml").read_text())["Resources"]
    return {name: resources[name]["Properties"]["Handler"].removesuffix(".handler") for name in FUNCTIONS}


def test_nothing_is_compiled_at_a_cold_start(sam_bundle: SamBundle, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(sam_bundle.build, build)
    for path in [build, *build.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = digest(build)
    for function, handler in handlers(build).items():
        files = import_handler(build, function, handler)
        assert any("/robot_brain/" in path for path in files["imported"])
        # /health needs no database, so its function does not import the driver.
        assert any("/psycopg_binary/" in path for path in files["imported"]) == (handler != "health")
        assert files["compiled"] == []
    assert digest(build) == before


def test_a_cold_start_with_a_missing_bytecode_file_compiles_the_source(sam_bundle: SamBundle, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(sam_bundle.build, build)
    shutil.rmtree(build / "RobotBrainLayer" / "python" / "robot_brain" / "__pycache__")
    files = import_handler(build, "HealthFunction", "health")
    assert any("/robot_brain/" in path for path in files["compiled"])


@pytest.mark.parametrize("folder", ["RobotBrainLayer", *FUNCTIONS])
def test_every_source_has_bytecode_that_is_never_checked(sam_bundle: SamBundle, folder: str) -> None:
    root = sam_bundle.build / folder
    sources = list(root.rglob("*.py"))
    assert sources
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == UNCHECKED_HASH, source
    extra = [path for path in root.rglob("*.pyc") if ".cpython-313." not in path.name]
    assert extra == []


def test_tracebacks_name_files_by_their_paths_in_lambda(sam_bundle: SamBundle) -> None:
    script = "import marshal, sys; print(marshal.loads(open(sys.argv[1], 'rb').read()[16:]).co_filename)"
    for built, there in (
        ("WriteMessageFunction/__pycache__/write_message", "/var/task/write_message.py"),
        ("RobotBrainLayer/python/robot_brain/__pycache__/settings", "/opt/python/robot_brain/settings.py"),
    ):
        compiled = sam_bundle.build / f"{built}.cpython-313.pyc"
        done = subprocess.run(
            [str(python313()), "-c", script, str(compiled)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == there


def test_psycopg_knows_its_version_without_importlib_metadata(sam_bundle: SamBundle) -> None:
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import psycopg, psycopg_binary;"
        "print(json.dumps([psycopg.__version__, psycopg_binary.__version__, 'importlib.metadata' in sys.modules]))"
    )
    folder = str(sam_bundle.build / "RobotBrainLayer" / "python")
    done = subprocess.run(
        [str(python313()), "-I", "-S", "-c", script, folder], capture_output=True, text=True, check=False
    )
    pins = dict(line.split("==") for line in layer_pins())
    assert json.loads(done.stdout) == [pins["psycopg"], pins["psycopg-binary"], False], done.stderr


def test_the_layer_has_only_shared_objects_of_its_own_architecture(
    sam_bundle: SamBundle, arm_bundle: SamBundle
) -> None:
    assert machines(sam_bundle.build / "RobotBrainLayer") == {ELF_MACHINES[host_architecture()]}
    assert machines(arm_bundle.build / "RobotBrainLayer") == {ELF_MACHINES["arm64"]}


def test_the_built_template_has_the_choices_of_its_build(sam_bundle: SamBundle, arm_bundle: SamBundle) -> None:
    for built, choices in ((sam_bundle, (host_architecture(), False, "iam")), (arm_bundle, ("arm64", True, "jwt"))):
        template = yaml.safe_load((built.build / "template.yaml").read_text())
        function = template["Globals"]["Function"]
        write = template["Resources"]["WriteMessageFunction"]["Properties"]["Environment"]["Variables"]
        assert (*function["Architectures"], "SnapStart" in function, write["AUTH"]) == choices


def test_the_layer_is_below_60_mib_and_ships_the_license_of_each_package(
    sam_bundle: SamBundle, arm_bundle: SamBundle
) -> None:
    for built in (sam_bundle, arm_bundle):
        files = [path for path in (built.build / "RobotBrainLayer").rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < LIMIT_BYTES
        assert not [path for path in files if path.suffix == ".pyi"]
        packages = {path.parent.name for path in files if path.name == "METADATA"}
        licensed = {path.relative_to(built.build).parts[2] for path in files if "LICENSE" in path.name.upper()}
        assert len(packages) == len(layer_pins())
        assert packages <= licensed


def test_the_layer_ships_what_is_compiled_from_the_contract_and_not_the_contract(sam_bundle: SamBundle) -> None:
    layer = sam_bundle.build / "RobotBrainLayer" / "python"
    for name in ("patch", "user", "write"):
        assert (layer / "robot_brain" / "bodies" / f"{name}_schemas.py").is_file()
    assert not (layer / "contract").exists()
    assert not list(layer.rglob("openapi.json"))


def test_every_user_may_read_the_built_files(sam_bundle: SamBundle) -> None:
    # Lambda runs as another user than the builder. It must be able to read the files also if the umask was 077.
    for path in sam_bundle.build.rglob("*"):
        if path.name != "template.yaml":
            assert path.stat().st_mode & 0o055 == (0o055 if path.is_dir() else path.stat().st_mode & 0o011 | 0o044)


def test_the_same_sources_give_the_same_bytes(sam_bundle: SamBundle, tmp_path: Path) -> None:
    again = build_bundle(tmp_path / "again", host_architecture(), "off", project=sam_bundle.folder)
    assert digest(again.build) == digest(sam_bundle.build)
    mtimes = {path.stat().st_mtime for path in again.build.rglob("*") if path.parent != again.build}
    assert len(mtimes) == 1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"ARCHITECTURE": "mips"}, "ARCHITECTURE=mips is neither x86_64 nor arm64"),
        ({"PYTHON313": "/not/there"}, "PYTHON313=/not/there is not Python 3.13"),
        ({"PYTHON313": "", "PATH": "/not", "HOME": "/not", "PYENV_ROOT": "/not"}, "set PYTHON313=/path/to/python3.13"),
    ],
)
def test_a_layer_with_a_wrong_architecture_or_python_is_not_built(
    sam_bundle: SamBundle, tmp_path: Path, choice: dict[str, str], message: str
) -> None:
    make = shutil.which("make")
    assert make is not None
    environment = choice | {"ARTIFACTS_DIR": str(tmp_path)}
    done = sam_bundle.run([make, "-C", "layers/robot_brain", "build-RobotBrainLayer"], environment)
    assert done.returncode != 0
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
