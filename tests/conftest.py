"""Fixtures that every package's tests may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Before torch is imported anywhere: test processes run side by side, a core each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def study_assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model with an SAE, a questionnaire and role fields (tests/studies.py)."""
    from tests import studies

    return studies.assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny_model(shape, kind) is the folder of a tiny random model, made when it is first asked for."""
    from tests import tiny

    made: dict[tuple[str, str], Path] = {}

    def make(shape: str = "llama", kind: str = "bpe") -> Path:
        if (shape, kind) not in made:
            made[shape, kind] = tiny.save_model(tmp_path_factory.mktemp(f"{shape}-{kind}"), shape, kind)
        return made[shape, kind]

    return make


@pytest.fixture(scope="session")
def paper_data() -> Path:
    """The folder of the paper's published data, or a visible skip where it is not at hand."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "paper"
    folder = Path(os.environ.get("AXIOGRAPH_PAPER_DATA", default))
    if not (folder / "value_orientation.csv").is_file():
        pytest.skip(f"published data of the paper not found in {folder}; set AXIOGRAPH_PAPER_DATA")
    return folder
