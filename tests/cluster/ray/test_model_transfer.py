"""The model on its way to nodes without the driver's file system."""

from dataclasses import replace

import pytest

from axiograph.cluster.ray import model_transfer as ray_models
from axiograph.cluster.ray.tasks import transferable
from axiograph.engine.errors import RunError
from axiograph.engine.workers.models import ModelSource


@pytest.fixture
def source(tiny_model):
    return ModelSource("tiny", tiny_model(), None, "float32", False)


@pytest.fixture
def elsewhere(source, ray_here, tmp_path, monkeypatch):
    """The travelling model as a node sees it that has nothing at the driver's path."""
    monkeypatch.setattr(ray_models.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(ray_models, "PIECE", 10_000)  # files in several pieces
    here = transferable(source)
    return replace(here, source=replace(source, folder=tmp_path / "not here"))


def test_a_node_that_has_the_model_uses_its_own(source, ray_here):
    assert transferable(source).local() == source


def test_a_node_without_it_gets_a_copy_that_is_the_same_once(elsewhere, source, tmp_path):
    copy = elsewhere.local()
    assert copy.folder.is_relative_to(tmp_path) and copy.digest() == source.digest()
    assert {p.name for p in copy.folder.iterdir()} == {p.name for p in source.folder.iterdir()}
    before = (copy.folder / "config.json").stat().st_mtime_ns
    assert elsewhere.local() == copy
    assert (copy.folder / "config.json").stat().st_mtime_ns == before


def test_another_model_at_the_same_path_is_not_taken_for_it(source, ray_here, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_models.tempfile, "gettempdir", lambda: str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    found = replace(transferable(source), source=replace(source, folder=other)).local()
    assert found.folder != other and found.digest() == source.digest()


def test_a_model_that_changed_on_the_way_is_refused(elsewhere):
    with pytest.raises(RunError, match="changed during the run"):
        replace(elsewhere, digest=bytes(16)).local()
