"""What pip installs: one name, `axiograph`, with all that it needs, whatever lies beside it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.packages import PACKAGES, ROOT, packaged

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this repository, built in a copy, so that nothing is left here."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, source / package, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel unpacked, as pip leaves it."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_axiograph_is_the_only_name_at_the_top(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
    assert names == {"axiograph", f"axiograph-{metadata.version('axiograph')}.dist-info"}


def test_every_file_of_the_packages_is_in_it_as_a_file(wheel):
    notes = {file for file in packaged("*.md").values() if (file.parent / "__init__.py").exists()}
    files = {path.as_posix(): file for path, file in packaged().items() if file not in notes}
    assert {"axiograph/py.typed", "axiograph/engine/prompting/templates/default.j2"} <= set(files)
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        assert {name for name in entries if ".dist-info/" not in name} == set(files)
        for name, file in files.items():
            assert not stat.S_ISLNK(entries[name].external_attr >> 16)
            assert archive.read(name) == file.read_bytes(), name


@pytest.mark.parametrize("packages", [True, False])
@pytest.mark.parametrize(
    "command",
    [
        [
            "-c",
            "import axiograph, axiograph.engine.errors, axiograph.cluster.site; print(axiograph.__file__)",
        ],
        ["-m", "axiograph.cli", "--help"],
    ],
)
def test_it_works_beside_folders_that_are_called_like_its_own(installed, tmp_path, command, packages):
    for name in ("engine", "cluster", "discovery", "steering"):
        (tmp_path / name).mkdir()
        if packages:
            (tmp_path / name / "__init__.py").write_text(
                "raise ImportError('somebody else, of the same name')\n"
            )
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if command[0] == "-c":
        assert Path(done.stdout.strip()).is_relative_to(installed)


def test_version_and_help(installed, tmp_path):
    def axiograph(option):
        command = [sys.executable, "-m", "axiograph.cli", option]
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert axiograph("--version").strip() == f"axiograph {metadata.version('axiograph')}"
    assert "Usage: " in axiograph("-h") == axiograph("--help")
