"""The files of the packages, as they lie in the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("axiograph", "cluster", "steering", "discovery", "engine")


def files_of(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """Files below the folder; nothing behind a link, and no bytecode."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from files_of(path, pattern)
        elif path.match(pattern):
            yield path


def packaged(pattern: str = "*") -> dict[Path, Path]:
    """Files of all packages by their path in an installation (axiograph/…)."""
    files = {}
    for package in PACKAGES:
        for file in files_of(ROOT / package, pattern):
            path = file.relative_to(ROOT)
            files[path if package == "axiograph" else Path("axiograph") / path] = file
    return files


def modules() -> dict[str, Path]:
    """Every module by its name."""
    return {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): file
        for path, file in packaged("*.py").items()
    }
