"""A small model's products use one core, unless somebody says otherwise."""

import pytest
import torch
from torch import nn

from engine import threads
from engine.threads import limit_threads


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
