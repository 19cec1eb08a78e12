"""What `axiograph plan` foretells: counts, and for every kind of workers blocks such as a run asks.

The foretold time against that of the run is in docs/plan.md: a test cannot assert it on a machine that others
use.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from axiograph.cluster.sampling import estimate as estimating
from axiograph.cluster.sampling.estimate import Estimate, Timing, estimate, stored_ids
from axiograph.cluster.sampling.loop import install_plan, rows_per_table
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.loading import load_study
from axiograph.engine.workers.worker import REQUEST_SCHEMA
from axiograph.texts.run import estimate_text
from tests import studies
from tests.cluster.sampling.test_kinds import near


@pytest.fixture
def prepared(study_assets, tmp_path):
    """A study whose unsteered roles go to vLLM."""
    model = studies.study(study_assets)["model"] | {"backend": "auto"}
    study = load_study(studies.write(tmp_path, study_assets, model=model))
    return prepare(study, create_run(tmp_path / "run"), near=near, mixed=True)


@pytest.fixture
def asked(monkeypatch):
    """What the timing is given, by kind: (ids of each block, how many requests are left)."""
    asked = {}

    def record(kind, tokenise, blocks, left, budget_s):
        asked[kind.name] = [block["request_id"].to_pylist() for block in blocks], left
        assert tokenise(blocks[0]).schema == REQUEST_SCHEMA
        return Timing(kind.name, kind.recipe.backend, left, 1, 1, 0.0, 1.0, None, 1.0)

    monkeypatch.setattr(estimating, "measure_kind", record)
    return asked


def run_blocks(prepared, todo):
    """By kind, the ids of each table as cluster.sampling.executors.InTurn hands them to its worker."""
    requests = Requests(prepared.request_builder, todo, rows_per_table(prepared))
    return {
        kind.name: [table["request_id"].to_pylist() for table in requests.of_roles(kind.answers)]
        for kind in prepared.kinds()
    }


def test_the_blocks_of_every_kind_are_those_of_the_run(prepared, asked, tmp_path):
    found = estimate(prepared, 30)
    todo = install_plan(prepared, create_run(tmp_path / "run"))
    expected = run_blocks(prepared, todo)
    assert set(asked) == set(expected) == {"plain", "steered"}
    for name, (blocks, left) in asked.items():
        assert sorted(blocks) == sorted(expected[name])
        assert blocks == sorted(blocks)  # by their first ids, which are hashes
        assert left == sum(map(len, blocks))
    assert (found.requests, found.left) == (todo.left, todo.left) == (840, 840)
    assert {own.backend for own in found.timings} == {"vllm", "hf"}


def test_of_many_blocks_a_choice_by_hash_that_does_not_change_the_count(prepared, asked, monkeypatch):
    estimate(prepared, 30)
    every = dict(asked)
    monkeypatch.setattr(estimating, "MAX_BLOCKS", 2)
    estimate(prepared, 30)
    for name, (blocks, left) in asked.items():
        assert len(every[name][0]) > 2
        assert blocks == every[name][0][:2] and left == every[name][1]


def test_what_is_stored_is_neither_asked_nor_counted(prepared, asked, tmp_path):
    estimate(prepared, 30)
    kept = asked["steered"]
    plain = [identifier for block in asked.pop("plain")[0] for identifier in block]
    found = estimate(prepared, 30, estimating.IdSet(estimating.pa.array(plain, estimating.pa.binary(16))))
    assert set(asked) == {"steered"} and asked["steered"] == kept
    assert (found.left, found.orphans) == (840 - len(plain), 0)
    assert stored_ids(SimpleNamespace(manifest_file=tmp_path / "none")) is None


def test_nothing_is_timed_when_nothing_is_asked_for(prepared, asked):
    assert estimate(prepared, 0).timings == () and not asked


def text(*timings, free=None):
    found = Estimate(3, 2, 5, 1, 30, 30, 30, 0, 900, timings)
    return estimate_text(found, free, "run").splitlines()


FAST = Timing("plain", "vllm", 20_000, 4096, 16, 12.0, 200.0, 20.0, 50.0)
SLOW = Timing("steered", "hf", 10_000, 2048, 8, 3.0, 400.0, 40.0, 50.0)


def test_the_text_adds_the_kinds_up_and_shows_what_each_was_made_from():
    lines = text(FAST, SLOW)
    assert lines[3:] == [
        "disk            at most 1.5 MB, at run",
        "time            about 10 min ± 10 % to ask here, starts included",
        "  on vllm        20,000 requests, 100/s, a start of 12 s; by 4,096 answered now in 16 whole blocks "
        "of neighbours",
        "  on hf          10,000 requests, 25/s, a start of 3 s; by 2,048 answered now in 8 whole blocks "
        "of neighbours",
    ]
    assert len(text()) == 3


def test_the_text_says_when_the_time_is_a_guess_or_a_bound():
    unsure = text(FAST, replace(SLOW, error_s=None, blocks=1))
    assert "±" not in unsure[4] and "about" in unsure[4] and "too few" in unsure[-1]
    slow = text(replace(SLOW, error_s=None, blocks=0, answered=8))
    assert "at most 7 min" in slow[4] and "--calibrate SECONDS" in slow[5]
    assert "too few" not in " ".join(slow)
    assert "too small" in text(FAST, free=10)[-1]
