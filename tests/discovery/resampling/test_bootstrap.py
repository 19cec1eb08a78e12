import numpy as np
import polars as pl
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.intervals import wilson
from axiograph.discovery.pc.search import LearnedGraph, pc
from axiograph.discovery.resampling.rows import Resample
from axiograph.engine.errors import InputError, RunError
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.sem import exact_data, weights_of

RNG = np.random.default_rng(0)
NAMES = ("a", "b", "c")
DATA = RNG.normal(size=(20, 3))


def scripted(answers):
    """An engine that gives the next of `answers`: a graph, a list of constant names, or an error."""
    queue = iter(answers)

    def engine(data, names, alpha):
        answer = next(queue)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return engine


def graph(directed=(), undirected=(), names="abc"):
    return LearnedGraph(CausalGraph.from_edges(names, directed, undirected), ())


def run(answers, **settings):
    settings = {"replicates": len(answers), "null_replicates": 0} | settings
    return bootstrapped(DATA, NAMES, full=CausalGraph.empty("abc"), function=scripted(answers), **settings)


def row(table: pl.DataFrame, a: str, b: str) -> dict:
    return table.filter((pl.col("a") == a) & (pl.col("b") == b)).row(0, named=True)


FAILURE = RunError("PC", "columns that are not collinear", "collinear columns: a, b", "Leave one out.")


def test_masses_are_kept_apart_hand_worked():
    answers = [
        graph([("a", "b")]),
        graph([("a", "b")]),
        graph([("b", "a")]),
        graph([], [("a", "b")]),
        graph(),
    ]
    found = row(run(answers).edges.table(), "a", "b")
    expected = {
        "adjacent": 0.8, "forward": 0.4, "backward": 0.2, "undirected": 0.2, "bidirected": 0.0, "absent": 0.2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_failed_replicates_are_counted_with_their_reason_and_say_nothing_of_edges():
    result = run([graph([("a", "b")]), FAILURE, FAILURE])
    assert result.replicates.failed == {"collinear columns: a, b": 2}
    assert (result.replicates.asked, result.replicates.used) == (3, 1)
    found = row(result.edges.table(), "a", "b")
    assert (found["replicates"], found["adjacent"], found["absent"]) == (1, 1.0, 0.0)


def test_frequencies_are_over_replicates_that_hold_both_columns():
    without_c = LearnedGraph(CausalGraph.from_edges("ab", [("a", "b")]), ("c",))
    result = run([graph([("a", "c")]), without_c, without_c])
    table = result.edges.table()
    assert (row(table, "a", "c")["replicates"], row(table, "a", "c")["forward"]) == (1, 1.0)
    assert (row(table, "a", "b")["replicates"], row(table, "a", "b")["forward"]) == (3, 2 / 3)
    assert result.replicates.constant == {"c": 2}


def test_pair_that_was_never_together_is_null_not_zero():
    without_c = LearnedGraph(CausalGraph.empty("ab"), ("c",))
    found = row(run([without_c]).edges.table(), "b", "c")
    assert found["replicates"] == 0
    assert found["adjacent"] is None
    assert found["absent"] is None
    assert found["adjacent_mc_low"] is None


def test_all_replicates_failed():
    result = run([FAILURE])
    assert result.inflation.replicates is None
    assert result.edges.consensus(0.5).n_edges == 0
    assert result.edges.table()["adjacent"].null_count() == 3


def test_consensus_hand_worked():
    ab, ba, line = graph([("a", "b")]), graph([("b", "a")]), graph([], [("a", "b")])
    assert run([ab, ab, ba, graph()]).edges.consensus(0.5) == CausalGraph.from_edges("abc", [("a", "b")])
    assert run([ab, ba]).edges.consensus(0.5) == CausalGraph.from_edges("abc", [], [("a", "b")])
    assert run([ba, ba, line]).edges.consensus(0.5) == CausalGraph.from_edges("abc", [("b", "a")])
    assert run([ab, graph(), graph()]).edges.consensus(0.5).n_edges == 0
    assert run([ab, graph()]).edges.consensus(0.5).n_edges == 1


def test_wilson_interval_hand_worked():
    # 1 of 10 with z = 2: centre (0.1 + 0.2) / 1.4, half width 2 / 1.4 · √(0.009 + 0.01).
    low, high = wilson(np.array([1, 0]), np.array([10, 0]), z=2.0)
    assert low[0] == pytest.approx(0.3 / 1.4 - 2 / 1.4 * np.sqrt(0.019))
    assert high[0] == pytest.approx(0.3 / 1.4 + 2 / 1.4 * np.sqrt(0.019))
    assert np.isnan([low[1], high[1]]).all()


def test_real_edges_are_frequent_and_absent_ones_are_not():
    data = exact_data(weights_of("abc", "ac", "bc"), rows=400)
    result = bootstrapped(
        data, NAMES, full=pc(data, NAMES).graph, replicates=30, alpha=0.01, null_replicates=5
    )
    table = result.edges.table()
    assert row(table, "a", "c")["forward"] > 0.8
    assert row(table, "b", "c")["forward"] > 0.8
    assert row(table, "a", "b")["absent"] > 0.8
    assert result.edges.consensus(0.5) == CausalGraph.from_edges("abc", [("a", "c"), ("b", "c")])
    assert result.inflation.full == 2
    assert result.inflation.null_full < 1 < result.inflation.replicates


def test_replacement_inflates_and_half_of_roles_does_not():
    data = RNG.normal(size=(60, 10))
    names = tuple("abcdefghij")
    full = pc(data, names).graph
    half, copied = (
        bootstrapped(data, names, full=full, replicates=40, resample=r, null_replicates=10).inflation
        for r in (Resample.HALF_OF_ROLES, Resample.ROLES_WITH_REPLACEMENT)
    )
    assert copied.null_replicates > 1.5 * copied.null_full
    assert half.null_replicates < 1.5 * half.null_full + 1
    assert copied.replicates > half.replicates


@pytest.mark.parametrize("resample", list(Resample))
def test_the_number_of_workers_changes_nothing(resample):
    data = RNG.normal(size=(30, 4)) @ RNG.normal(size=(4, 4))
    data[:29, 3] = 0.0  # constant in some replicates
    settings = {"replicates": 20, "null_replicates": 9, "resample": resample, "seed": 7}
    results = [
        bootstrapped(data, "abcd", full=pc(data, "abcd").graph, jobs=n_jobs, **settings) for n_jobs in (1, 2)
    ]
    one, two = results
    assert one.edges.table().equals(two.edges.table())
    assert (one.replicates, one.inflation) == (two.replicates, two.inflation)
    assert one.replicates.constant["d"] > 0


def test_a_replicate_does_not_depend_on_how_many_there_are():
    seen: list[np.ndarray] = []

    def engine(data, names, alpha):
        seen.append(data)
        return graph()

    for count in (3, 11):
        settings = {"replicates": count, "null_replicates": 0, "seed": 5}
        bootstrapped(DATA, NAMES, full=CausalGraph.empty("abc"), function=engine, **settings)
    for first, second in zip(seen[:3], seen[3:6], strict=True):
        assert np.array_equal(first, second)


def test_progress_ends_at_the_total():
    calls: list[tuple[int, int]] = []
    answers = [graph()] * (20 + 3 * 3)  # permuted, a replicate of it, flipped
    run(answers, replicates=20, null_replicates=3, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (23, 23)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"replicates": 0}, "at least 1"),
        ({"alpha": 2.0}, "alpha"),
        ({"resample": "thirds"}, "half_of_roles, roles_with_replacement"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(InputError, match=says):
        run([graph()], **settings)


def test_too_few_roles_for_half():
    with pytest.raises(InputError, match="at least 5 roles in a replicate, found 4 of 8"):
        bootstrapped(DATA[:8], NAMES, full=CausalGraph.empty("abc"), replicates=1)
    with pytest.raises(InputError, match="threshold"):
        run([graph()]).edges.consensus(0)
