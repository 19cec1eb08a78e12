"""Bundles: a study with the files that it names and the code that runs it, in one small folder.

The folder is a job's working directory on another machine. Data of the run, which may be large, stay where
they are; of the environment nothing is packed, so that no credential can be.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

import cluster
import discovery
import engine
import steering
from engine.errors import InputError
from engine.inputs import load_inputs
from engine.study import Study, load_study

PACKAGES = (engine, steering, discovery, cluster)
STUDY = "study.yaml"
FILES = "files"
LARGE = 100 * 2**20  # a model or an SAE of more bytes stays where it is


@dataclass
class Bundle:
    """`out`: where the run goes, as the study says it; `left`: what is too large to travel and must lie at
    the same path on the cluster."""

    folder: Path
    name: str
    out: str
    left: list[Path] = field(default_factory=list)
    files: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def pack(study_file: Path, folder: Path, out: str | None = None) -> Bundle:
    """Pack the study into `folder`, which is empty. InputError where the study or a file of it is wrong."""
    study = load_study(study_file)
    load_inputs(study)  # every file that it names is read: what is wrong is said here, not on the cluster
    bundle = Bundle(folder, study.name, str(out or study.out))
    packed = _packed(study, bundle)
    data = packed.model_dump(mode="json", by_alias=True) | {"out": bundle.out}
    (folder / STUDY).write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for package in PACKAGES:
        source = Path(package.__path__[0])
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return bundle


def _packed(value: Any, bundle: Bundle) -> Any:
    """`value` with every path of a file in it copied into the bundle, and relative to that."""
    if isinstance(value, Study):
        # Where the run goes is no file to pack.
        names = [name for name in type(value).model_fields if name != "out"]
        return value.model_copy(update={name: _packed(getattr(value, name), bundle) for name in names})
    if isinstance(value, BaseModel):
        names = list(type(value).model_fields)
        return value.model_copy(update={name: _packed(getattr(value, name), bundle) for name in names})
    if isinstance(value, tuple):
        return tuple(_packed(item, bundle) for item in value)
    return _copied(value, bundle) if isinstance(value, Path) else value


def _copied(path: Path, bundle: Bundle) -> Path:
    if not path.exists():
        raise InputError("study", f"the file {path}", "none", "Mend the path in the study.")
    if _size(path) > LARGE:
        bundle.left.append(path)
        return path
    # Numbered, so that files of one name from several folders do not meet.
    target = Path(FILES) / str(bundle.files) / path.name
    bundle.files += 1
    place = bundle.folder / target
    if path.is_dir():
        shutil.copytree(path, place)
    else:
        place.parent.mkdir(parents=True)
        shutil.copy2(path, place)
    return target


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [inside for inside in path.rglob("*") if inside.is_file()]
    return sum(file.stat().st_size for file in files)
