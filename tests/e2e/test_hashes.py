"""The layer's build takes the packages whose hashes requirements.txt has, and no others."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.settings import ROOT
from tests.e2e.sam_bundle import python313
from tests.pins import Pin


def wheel(folder: Path, name: str, text: str) -> Path:
    """Write version 1.0 of a package that holds `text`."""
    path, about = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    contents = {
        f"{name}/__init__.py": text,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents[f"{about}/RECORD"] = "".join(f"{each},,\n" for each in (*contents, f"{about}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in contents.items():
            archive.writestr(zipfile.ZipInfo(each), content)
    return path


class Layer:
    """A copy of the layer with two small packages in place of the real ones, and the only index that its build asks."""

    def __init__(self, folder: Path) -> None:
        self.built, self._index, self._layers = folder / "built", folder / "index", folder / "layers"
        self._index.mkdir()
        shutil.copytree(ROOT / "layers", self._layers, ignore=shutil.ignore_patterns("__pycache__"))
        pins = []
        for name in ("psycopg", "psycopg_binary"):
            digest = hashlib.sha256(self.serve(name, "").read_bytes()).hexdigest()
            pins.append(Pin(f"{name.replace('_', '-')}==1.0", (f"sha256:{digest}",)))
        self.pin(pins[0], pins[1])
        self.pins = pins

    def serve(self, name: str, text: str) -> Path:
        """Offer a wheel that holds `text` as version 1.0."""
        return wheel(self._index, name, text)

    def pin(self, *pins: Pin) -> None:
        """Write requirements.txt."""
        (self._layers / "robot_brain" / "requirements.txt").write_text("".join(f"{pin}\n" for pin in pins))

    def build(self) -> "subprocess.CompletedProcess[str]":
        """Run the layer's Makefile as `sam build` does."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self._index)}
        environment |= {"PIP_PYTHON": sys.executable, "PYTHON313": str(python313()), "ARTIFACTS_DIR": str(self.built)}
        return subprocess.run(
            ["make", "build-RobotBrainLayer"],
            cwd=self._layers / "robot_brain",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return Layer(tmp_path)


def test_the_layer_is_built_of_the_files_whose_hashes_are_pinned(layer: Layer) -> None:
    done = layer.build()
    assert done.returncode == 0, done.stderr
    for name in ("psycopg", "psycopg_binary"):
        assert (layer.built / "python" / name / "version.py").read_text().endswith('\n\n__version__ = "1.0"\n')


def test_the_layer_is_not_built_of_another_file_with_the_name_of_a_pinned_one(layer: Layer) -> None:
    layer.serve("psycopg", "steal = True\n")
    done = layer.build()
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert not layer.built.exists()


@pytest.mark.parametrize("count", [1, 2])
def test_the_layer_is_not_built_if_packages_are_pinned_without_hashes(layer: Layer, count: int) -> None:
    # pip itself checks hashes as soon as one line has some, so all lines without one are the harder case.
    bare = [Pin(pin.requirement, ()) for pin in layer.pins[:count]]
    layer.pin(*bare, *layer.pins[count:])
    done = layer.build()
    assert done.returncode != 0
    assert "Hashes are required in --require-hashes mode" in done.stderr
    assert not layer.built.exists()
