"""Paths and module names in the texts of the repository are those that there are."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = sorted(
    [*ROOT.glob("*.md"), *(p for d in ("docs", "examples", "benchmarks") for p in (ROOT / d).rglob("*.md"))]
)
PATHS = re.compile(
    r"`((?:engine|steering|discovery|cluster|axiograph|tests|benchmarks|examples|docs)/[\w./*-]*)"
)
MODULES = re.compile(r"`(axiograph(?:\.(?!sbatch)\w+)+)")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_exist(path):
    named = set(PATHS.findall(path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not list(ROOT.glob(name.rstrip("/.")))] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_and_what_is_named_of_them_exist(path):
    missing = [
        name for name in sorted(set(MODULES.findall(path.read_text(encoding="utf-8")))) if not exists(name)
    ]
    assert missing == []


def exists(dotted: str) -> bool:
    """Whether the longest part that is a module has the rest as attributes."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False
