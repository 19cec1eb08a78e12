"""A model that thinks on vLLM and on transformers: the same answers, in every mode."""

from __future__ import annotations

import importlib.util

import pytest

from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.vllm.worker import VllmWorker
from tests import asking
from tests.engine.hf.test_thoughts import respondent

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: pip install -e '.[cpu]'", allow_module_level=True)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["generate", "logprob", "constrained"])
def test_thoughts_end_and_are_read_as_in_transformers(mode):
    """With room that is too small for some of the thoughts."""
    config, requests = respondent(mode, True, count=24, room=9)
    wanted = HfWorker(config)(asking.table(requests)).to_pylist()
    worker = VllmWorker(config, {"max_num_seqs": 16})
    try:
        found = worker(asking.table(requests)).to_pylist()
    finally:
        worker.close()
    said = ("state", "reason", "text", "finish", "answer_ids", "fallback")
    assert [[row[name] for name in said] for row in found] == [[row[name] for name in said] for row in wanted]
    assert 0 < sum(row["state"] == "unfinished" for row in wanted) < len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one["log_odds"] == pytest.approx(other["log_odds"], abs=1e-3)
