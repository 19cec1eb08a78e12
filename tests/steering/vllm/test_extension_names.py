"""vLLM imports worker extensions by name, in processes of its own: a wrong name would show only there."""

import importlib

import pytest

from axiograph.engine.vllm.extension import FiniteLogits
from axiograph.engine.vllm.worker import VllmWorker
from axiograph.steering.vllm.extension import SteeringExtension
from axiograph.steering.vllm.worker import SteeredVllmWorker


@pytest.mark.parametrize(
    ("worker", "extension"), [(VllmWorker, FiniteLogits), (SteeredVllmWorker, SteeringExtension)]
)
def test_the_name_that_a_worker_gives_leads_to_its_extension(worker, extension):
    module, _, name = worker.extension.rpartition(".")
    assert getattr(importlib.import_module(module), name) is extension
