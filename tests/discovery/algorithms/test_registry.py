import pickle
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from axiograph.discovery.algorithms.registry import (
    ALGORITHMS,
    algorithm,
    estimated_seconds,
    remarks,
    search_function,
)
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.pc.search import pc, pc_causal_learn
from axiograph.discovery.resampling.rows import Resample, draw_many
from axiograph.discovery.resampling.score_table import Search
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import AlgorithmSpec, DiscoverySpec
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.sem import exact_data, weights_of

RNG = np.random.default_rng(0)
COLLIDER = exact_data(weights_of("abc", "ac", "bc"), rows=300)
DATA = RNG.normal(size=(60, 4)) @ np.triu(RNG.normal(size=(4, 4)))
every = pytest.mark.parametrize("name", ALGORITHMS)


def test_the_names_and_what_they_are():
    assert search_function("pc") is pc
    assert search_function("pc_causal_learn") is pc_causal_learn
    assert [name for name, one in ALGORITHMS.items() if one.kind is GraphKind.PAG] == ["fci"]
    with pytest.raises(InputError, match=r"one of pc, boss, pc_causal_learn, fci.*'lingam'"):
        search_function("lingam")


@every
def test_collider_is_found_with_the_marks_of_its_kind(name):
    found = search_function(name)(COLLIDER, "abc", 0.01)
    kind = algorithm(name).kind
    arrow = "o->" if kind is GraphKind.PAG else "-->"
    assert found.graph == CausalGraph.from_kinds("abc", [("a", arrow, "c"), ("b", arrow, "c")], kind)


@every
def test_constant_columns_are_named_and_collinear_ones_fail(name):
    data = np.c_[DATA, np.full(60, 0.3)]
    found = search_function(name)(data, "abcde")
    assert found.constant == ("e",)
    assert found.graph == search_function(name)(DATA, "abcd").graph
    with pytest.raises(RunError, match=r"collinear columns: .*e"):
        search_function(name)(np.c_[DATA, DATA[:, 0] - DATA[:, 1]], "abcde")


@every
def test_same_data_same_graph_also_in_another_process(name):
    one = search_function(name)
    again = pickle.loads(pickle.dumps(one))
    assert again(DATA, "abcd").graph == one(DATA, "abcd").graph


@every
def test_fewer_independent_rows_and_given_correlations(name):
    run, taken = search_function(name), algorithm(name).takes_correlation
    repeated = np.tile(DATA, (3, 1))
    if not taken:
        with pytest.raises(InputError, match=f"algorithm {name}: expected one row a role"):
            run(repeated, "abcd", n=60)
        with pytest.raises(InputError, match="corrected correlations"):
            run(DATA, "abcd", correlation=np.corrcoef(DATA.T))
        return
    assert run(repeated, "abcd", n=60).graph == run(DATA, "abcd").graph
    noise = RNG.normal(size=(60, 4))
    assert run(noise, "abcd", correlation=np.corrcoef(DATA.T)).graph == run(DATA, "abcd").graph
    assert run(DATA, "abcd").graph != run(noise, "abcd").graph


@every
def test_knowledge_is_taken_or_refused_with_the_reason(name):
    knowledge = Knowledge(forbidden=frozenset({("a", "c"), ("c", "a")}))
    if algorithm(name).takes_knowledge:
        assert not search_function(name)(COLLIDER, "abc", knowledge=knowledge).graph.adjacency()[0, 2]
        return
    with pytest.raises(InputError, match=f"algorithm {name}: expected no background knowledge"):
        search_function(name)(COLLIDER, "abc", knowledge=knowledge)
    assert search_function(name)(COLLIDER, "abc", knowledge=Knowledge()).graph.n_edges == 2


@every
def test_settings_reach_the_algorithm_and_others_are_refused(name):
    changed = {
        "max_conditioning": 0,
        "penalty": 40.0,
        "starts": 9,
        "colliders": "max_p",
        "max_parents": 1,
        "search": "dp",
    }
    changed |= {"bins": "as_answered", "levels": 7}
    for setting, value in changed.items():
        settings = AlgorithmSpec(**{setting: value})
        if setting in algorithm(name).settings:
            assert getattr(search_function(name, settings), setting) == value
        else:
            with pytest.raises(InputError, match=f"discovery setting {setting}"):
                search_function(name, settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_conditioning": -1},
        {"penalty": 0.0},
        {"penalty": float("nan")},
        {"starts": 0},
        {"max_parents": 0},
        {"search": "greedy"},
        {"bins": "equal"},
        {"levels": 1},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        AlgorithmSpec(**wrong)


def test_settings_are_read_from_a_study():
    read = AlgorithmSpec.model_validate
    assert read({"levels": 4, "bins": "width"}) == AlgorithmSpec(levels=4, bins="width")
    for wrong in ({"level": 4}, {"bins": "equal"}, {"levels": "many"}):
        with pytest.raises(ValidationError):
            read(wrong)


def test_what_decides_is_said():
    settings = AlgorithmSpec()
    assert algorithm("fci").level(0.05, settings) == "alpha 0.05"
    assert algorithm("ges").level(0.05, settings) == "2 × BIC (alpha is not used)"
    assert algorithm("boss").level(0.05, AlgorithmSpec(penalty=1.5)) == "1.5 × BIC (alpha is not used)"
    assert algorithm("exact").level(0.05, settings) == "BIC (alpha is not used)"


def test_sparse_tables_are_said():
    settings = AlgorithmSpec(levels=3)
    few, many = RNG.normal(size=(30, 3)), RNG.normal(size=(3000, 3))
    (sentence,) = remarks("pc_chisq", settings, few)
    # Thirds of 30 rows: 10 × 10 / 30 = 3.3 expected in every cell; 30 / 27 and 30 / 81 rows a cell.
    assert "3 of 3 pairs" in sentence
    assert "1.1 rows on average, given two 0.4" in sentence
    assert remarks("pc_chisq", settings, many) == []
    assert remarks("pc", settings, few) == []
    assert "same score" in remarks("exact", settings, few)[0]


@every
def test_estimates_grow_with_the_work(name):
    small, wide, long = (estimated_seconds(name, *size) for size in ((10, 100), (20, 100), (20, 800)))
    assert 0 < small < wide <= long


def test_kernel_tests_are_known_to_take_hours():
    assert estimated_seconds("pc", 17, 1000) < 0.001
    assert estimated_seconds("pc_kci", 17, 1000) > 1800


@every
def test_replicates_are_of_the_kind_of_the_algorithm(name):
    run, kind = search_function(name), algorithm(name).kind
    full, on_half = run(DATA, "abcd").graph, Search(run).on_half().function
    found = bootstrapped(DATA, "abcd", full=full, function=run, replicates=3, null_replicates=1)
    assert found.replicates.used == 3
    assert found.kind is found.edges.consensus(0.5).kind is kind
    assert ("circle_circle" in found.edges.table().columns) == (kind is GraphKind.PAG)
    for k, rows in enumerate(draw_many(60, Resample.HALF_OF_ROLES, 0, range(3))):
        assert found.graphs.graph(k) == on_half(DATA[rows], "abcd").graph


def test_processes_change_nothing():
    run = search_function("fci")
    full = run(DATA, "abcd").graph
    one, two = (
        bootstrapped(DATA, "abcd", full=full, function=run, replicates=16, null_replicates=2, jobs=k)
        for k in (1, 2)
    )
    assert one.replicates.used == 16
    assert np.array_equal(one.graphs.edges, two.graphs.edges)
    assert one.edges.table().equals(two.edges.table())
    assert one.inflation == two.inflation


def test_importing_them_does_not_import_causal_learn():
    code = (
        "import sys, axiograph.discovery.algorithms.registry\n"
        "print([m for m in ('causallearn', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_stored_penalty_of_an_earlier_run_is_read_as_what_it_was():
    stored = {"max_conditioning": None, "penalty": 0.5, "max_parents": None}
    stored |= {"search": "astar", "bins": "quantile", "levels": 3}
    then = DiscoverySpec.model_validate({"algorithm": "ges", "settings": stored | {"penalty": 0.7}})
    assert then.settings.penalty == 1.4
    assert DiscoverySpec.model_validate({"algorithm": "pc", "settings": stored}).settings == AlgorithmSpec()
    now = DiscoverySpec.model_validate({"algorithm": "ges", "settings": {"penalty": 0.7}})
    assert now.settings.penalty == 0.7
    assert DiscoverySpec.model_validate(now.model_dump()) == now
