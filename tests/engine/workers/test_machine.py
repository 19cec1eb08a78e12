"""A small model's products use one core, unless somebody says otherwise."""

from pathlib import Path

import pytest
import torch
from torch import nn

from axiograph import engine
from axiograph.engine.workers import machine as threads
from axiograph.engine.workers.machine import limit_threads, limit_threads_for, parameters_in
from axiograph.engine.workers.models import ModelSource, load_model


class Model(nn.Linear):
    device = torch.device("cpu")


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_small_model_gets_one(two_threads):
    limit_threads(Model(8, 8))
    assert torch.get_num_threads() == 1


def test_a_large_one_and_a_stated_number_are_left_alone(two_threads, monkeypatch):
    monkeypatch.setattr(threads, "FEWEST_PARAMETERS", 10)
    limit_threads(Model(8, 8))
    assert torch.get_num_threads() == 2
    monkeypatch.undo()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    limit_threads(Model(8, 8))
    assert torch.get_num_threads() == 2


def test_the_size_of_a_model_is_read_off_its_files(tmp_path, two_threads):
    folder = Path(engine.__file__).parent / "assets" / "respondent" / "model"
    own = load_model(ModelSource("respondent", folder, None, "float32", False), "cpu")
    assert parameters_in(folder) == sum(weight.numel() for weight in own.parameters())
    torch.set_num_threads(2)
    limit_threads_for(parameters_in(tmp_path), "cpu")
    assert torch.get_num_threads() == 2, "nothing is known of a folder without weights"
    limit_threads_for(parameters_in(folder), "cpu")
    assert torch.get_num_threads() == 1
