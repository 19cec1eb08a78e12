"""Fixtures that every package's tests may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.object_store import ObjectStore

# Before torch is imported anywhere: test processes run side by side, a core each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Types and linters first: meanwhile the other process compiles the loops that both need."""
    items.sort(key=lambda item: item.path.name != "test_checks.py")


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


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """torch_threads(n) lets PyTorch, and the loops compiled here, use n threads until the test ends."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def paper_data() -> Path:
    """The folder of the paper's published data, or a visible skip where it is not at hand."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "paper"
    folder = Path(os.environ.get("AXIOGRAPH_PAPER_DATA", default))
    if not (folder / "value_orientation.csv").is_file():
        pytest.skip(f"published data of the paper not found in {folder}; set AXIOGRAPH_PAPER_DATA")
    return folder


@pytest.fixture(scope="module")
def object_store() -> Iterator[ObjectStore]:
    """A local S3 server (tests/object_store.py), whose modules are gone after the module that used it.

    vLLM's start looks at everything in every loaded module, and Flask's placeholders refuse that."""
    from tests.object_store import MODULES, ObjectStore

    server = ObjectStore()
    yield server
    server.stop()
    for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
        del sys.modules[name]


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket (s3://…) that this process and its children may use."""
    from tests.object_store import ENVIRONMENT

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store.url)
    with object_store.bucket() as address:
        yield address


@pytest.fixture
def axiograph(monkeypatch, capfd):
    """Calls the command line in this process; returns (exit code, stdout, stderr)."""
    from axiograph.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["axiograph", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def finished(study_assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run (`run`) and its study; tests that change it copy it first."""
    from axiograph.cli import main
    from tests import studies

    folder = tmp_path_factory.mktemp("finished")
    study = studies.write(folder, study_assets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["axiograph", "run", str(study), "--jobs", "1"])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    return folder
