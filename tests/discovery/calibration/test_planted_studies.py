"""Calibration on small designs: hand-worked bins and shares, limits with a known answer, determinism."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.calibration.noise import ItemNoise, Items, fit_noise, fit_steering_noise, load_noise
from axiograph.discovery.calibration.planted_studies import calibrate, default_graphs
from axiograph.discovery.calibration.respondent import Planted
from axiograph.discovery.calibration.simulation import Analysis, Design, Questioning, cpdag_of, random_model
from axiograph.discovery.calibration.summary import (
    arrow_row,
    best_graph,
    bin_of,
    bin_rows,
    binned,
    clustered,
    effect_rates,
    false_discoveries,
    mean_and_error,
    mean_share,
)
from axiograph.discovery.calibration.trial import SimulatedStudy, sweep_sizes
from axiograph.discovery.numerics.intervals import wilson
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import DiscoverySpec
from tests.discovery.sem import cpdag_of as cpdag_by_definition

CLEAR = ItemNoise(slope=3.0)


def analysis(**settings) -> Analysis:
    return Analysis(DiscoverySpec(**settings))


SOME = ItemNoise(3.0, 0.15, 0.05, 0.1, 0.5, 0.02, 0.01, 0.05, 0.2)


def test_bins_by_hand():
    frequencies = np.array([0.0, 0.05, 0.1, 0.3, 0.35, 0.95, 1.0, np.nan])
    true = np.array([False, True, False, True, True, True, False, True])
    table = binned(frequencies, true)
    assert table["bin"].to_list() == [0, 1, 3, 9]
    assert table["pairs"].to_list() == [2, 1, 2, 2]
    assert table["true"].to_list() == [1, 0, 2, 1]
    assert table["sum"].to_list() == pytest.approx([0.05, 0.1, 0.65, 1.95])


@given(st.integers(1, 2000), st.data())
def test_a_share_of_replicates_falls_into_the_bin_of_its_exact_value(replicates, data):
    count = data.draw(st.integers(0, replicates))
    exact = min(10 * count // replicates, 9)
    assert bin_of(np.array([count / replicates]))[0] == exact


def test_clustered_share_by_hand():
    # Graphs 3 of 4, 1 of 4: p = 0.5, residuals 1 and −1, ratio variance 2 (1 + 1) / 64 = 1/16;
    # independent pairs have 0.25 / 8 = 1/32, so that the design effect is 2 and 4 pairs count.
    share, low, high = clustered(np.array([3, 1]), np.array([4, 4]))
    expected = wilson(np.array(2.0), np.array(4.0))
    assert share == 0.5
    assert (low, high) == pytest.approx([float(end) for end in expected])


def test_a_share_of_all_or_none_keeps_the_interval_of_independent_pairs():
    _, low, high = clustered(np.array([5, 5]), np.array([5, 5]))
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(float(wilson(np.array(10.0), np.array(10.0))[0]))
    assert clustered(np.array([0]), np.array([0])) == (None, None, None)


def test_mean_and_error():
    assert mean_and_error(np.array([1.0, 3.0, np.nan])) == (2.0, pytest.approx(1.0))
    assert mean_and_error(np.array([2.0])) == (2.0, None)
    assert mean_and_error(np.array([np.nan])) == (None, None)


def test_bin_rows_join_the_graphs():
    table = pl.DataFrame(
        {"graph": [0, 1, 1], "kind": "adjacent", "bin": [9, 9, 0], "pairs": [2, 2, 5], "true": [2, 1, 0],
         "sum": [1.9, 2.0, 0.1]}
    )  # fmt: skip
    last, first = bin_rows(table, "adjacent")[9], bin_rows(table, "adjacent")[0]
    assert (last["pairs"], last["true"], last["mean_frequency"]) == (4, 0.75, pytest.approx(0.975))
    assert last["true_low"] < 0.75 < last["true_high"] < 1
    assert (first["pairs"], first["true"]) == (5, 0.0)
    assert bin_rows(table, "adjacent")[4]["true"] is None


def test_rates_of_effects_by_hand():
    rows = [
        # graph, truth, relation, n, changed
        (0, "steered", "steered", 2, 2),
        (0, "moved", "expected", 3, 3),
        (0, "moved", "unexpected", 1, 1),
        (0, "slightly", "possible", 2, 1),
        (0, "still", "unexpected", 10, 1),
    ]
    table = pl.DataFrame(rows, schema=["graph", "truth", "relation", "n", "changed"], orient="row")
    share = {name: (row["of"], row["share"]) for name, row in effect_rates(table).items()}
    assert share == {
        "power": (8, 0.875),
        "power_steered": (2, 1.0),
        "power_strong": (4, 1.0),
        "power_slight": (2, 0.5),
        "false_alarm": (10, 0.1),
        "changed_of_expected": (3, 1.0),
        "changed_of_possible": (2, 0.5),
        "changed_of_unexpected": (11, pytest.approx(2 / 11)),
        "descendants_expected": (6, 0.5),
        "descendants_possible": (6, pytest.approx(1 / 3)),
        "descendants_unexpected": (6, pytest.approx(1 / 6)),
        "unexpected_changes_wrong": (2, 0.5),
    }


def test_false_discoveries_by_hand():
    rows = [
        (0, "moved", 2, 2), (0, "still", 10, 2),  # half of four
        (1, "moved", 2, 1), (1, "still", 10, 0),
        (2, "moved", 2, 0), (2, "still", 10, 0),  # nothing is found: nothing false is
        (3, "still", 10, 1),  # all of one
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=["graph", "truth", "n", "changed"], orient="row")
    found = false_discoveries(table)
    assert (found["false_discovery_rate"]["of"], found["false_discovery_rate"]["share"]) == (4, 0.375)
    # Shares 0.5, 0, 0, 1: standard deviation 0.4787, t of 3 degrees of freedom 3.182.
    assert found["false_discovery_rate"]["high"] == 1.0
    assert found["false_discovery_rate"]["low"] == 0.0
    assert found["any_false"]["share"] == 0.5
    assert mean_share(np.array([0.2, 0.3, 0.4])) == pytest.approx(
        (0.3, 0.3 - 4.3027 / 30**0.5 / 10**0.5, 0.3 + 4.3027 / 30**0.5 / 10**0.5), abs=1e-4
    )
    assert mean_share(np.zeros(20))[2] == pytest.approx(float(wilson(np.array(0.0), np.array(20.0))[1]))
    assert mean_share(np.array([])) == (None, None, None)


def test_arrows_by_hand():
    rows = [(0, 9, 4, 4, 0, 0), (0, 6, 5, 0, 5, 0), (1, 7, 4, 2, 1, 1)]
    table = pl.DataFrame(rows, schema=["graph", "bin", "arrows", "right", "reversed", "none"], orient="row")
    found = arrow_row(table)
    assert found["n"] == 8  # those of frequency 0.6 are no sure ones
    shares = [found[name]["share"] for name in ("right", "reversed", "none")]
    assert shares == [0.75, 0.125, 0.125]


def test_best_graph_is_the_one_nearest_to_the_truth():
    def rows(which, missing):
        counts = {"reference_edges": 9, "differing_marks": 0, "failed": None}
        return [
            {"graph": g, "which": which, "graph_edges": 9 - k, "shared_edges": 9 - k} | counts
            for g, k in enumerate(missing)
        ]

    def best(graph, all_roles, averaged):
        parts = {"graph": graph, "all_roles": all_roles, "averaged": averaged}
        table = [row for which, missing in parts.items() for row in rows(which, missing)]
        return best_graph(pl.DataFrame(table, schema_overrides={"failed": pl.String}))

    assert best((3, 4, 3, 4), (1, 2, 1, 1), (2, 3, 2, 2)) == "all_roles"
    assert best((3, 4, 3, 4), (2, 3, 2, 3), (0, 0, 1, 1)) == "averaged"
    assert best((3, 4, 3, 4), (0, 7, 0, 6), (4, 5, 4, 4)) == "graph"  # no more than chance


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(0, 10**6))
def test_cpdag_is_that_of_the_definition(n, seed):
    rng = np.random.default_rng(seed)
    dag = np.triu(rng.random((n, n)) < 0.6, 1)
    order = rng.permutation(n)
    dag = dag[np.ix_(order, order)]
    assert cpdag_of(dag, tuple(f"v{k}" for k in range(n))) == cpdag_by_definition(dag)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10**6))
def test_planted_values_have_variance_one_and_the_total_effects_of_their_paths(n, seed):
    model = random_model(np.random.default_rng(seed), n)
    covariance = model.total.T @ np.diag(model.noise_sd**2) @ model.total
    assert np.diag(covariance) == pytest.approx(np.ones(n))
    reach = model.descendants
    assert not np.any(np.abs(model.total)[~reach & ~np.eye(n, dtype=bool)] > 1e-12)


def test_first_roles_do_not_depend_on_how_many_follow():
    design = Design.of(3, 5, 20, share=0.6, temperature=0.8, repeats=2)
    model = random_model(np.random.default_rng(1), 3)
    values = model.draw(np.random.default_rng(2), 20)
    assert np.array_equal(values[:7], model.draw(np.random.default_rng(2), 7))
    asking = Questioning(design, SOME, 4, (0,), 0)
    many, few = (asking.ask(values[:k], design.asked_train, "item") for k in (20, 7))
    assert np.array_equal(many.scores[:7], few.scores, equal_nan=True)
    assert np.array_equal(many.parts[:7], few.parts, equal_nan=True)


def test_clear_answers_are_the_signs_of_value_minus_threshold():
    design = Design.of(1, 4, 1)
    asking = Questioning(design, CLEAR, 0, (0,), 0)
    # Middles of four equal parts of ±24/11: −1.636, −0.545, 0.545, 1.636.
    values = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    scores = asking.ask(values, design.asked_train).scores[:, 0]
    assert scores.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_a_share_of_the_items_and_missing_answers_are_missing():
    design = Design.of(2, 10, 50, share=0.5)
    values = np.zeros((50, 2))
    answers = Questioning(design, CLEAR, 0, (0,), 0).ask(values, design.asked_train, "item")
    assert np.all((~np.isnan(answers.parts[:, :10])).sum(axis=1) == 5)
    nothing = Questioning(design, ItemNoise(3.0, missing_rate=1.0), 0, (0,), 0)
    assert np.isnan(nothing.ask(values, design.asked_train).scores).all()


def test_twelve_items_have_the_thresholds_of_the_respondent():
    """Spread over less, every simulated answer would tell more about a value than the respondent's do."""
    own = Planted.load().thresholds
    design = Design.of(1, 12, 1)
    found = Questioning(design, CLEAR, 0, (0,), 0)._thresholds(0)
    first = sorted(threshold for item, threshold in own.items() if item.startswith("security-"))
    assert sorted(found) == pytest.approx(first, abs=1e-6)


def test_sampled_repeats_scatter_and_a_narrow_nucleus_does_not():
    values = np.full((2000, 1), 0.2)
    wide = Design.of(1, 1, 1, temperature=1.0, repeats=3)
    scores = Questioning(wide, CLEAR, 0, (0,), 0).ask(values, wide.asked_train).scores
    chance = 1 / (1 + np.exp(-0.6))
    assert scores.mean() == pytest.approx(2 * chance - 1, abs=5 * 2 * np.sqrt(chance * (1 - chance) / 6000))
    narrow = Design.of(1, 1, 1, temperature=1.0, top_p=0.6, repeats=3)
    assert np.all(Questioning(narrow, CLEAR, 0, (0,), 0).ask(values, narrow.asked_train).scores == 1)


def test_noise_that_was_put_in_is_measured():
    rng = np.random.default_rng(0)
    roles, n, each = 3000, 6, 12
    true = ItemNoise(2.8, 0.2, 0.1, 0.3, 0.6)
    owner, agreement = np.repeat(np.arange(n), each), np.tile([1, -1], n * each // 2)
    threshold = np.tile(np.linspace(-1.5, 1.5, each), n)
    values = rng.normal(size=(roles, n))
    own = values + true.value_sd * rng.normal(size=values.shape)
    moved = threshold + true.item_sd * rng.normal(size=threshold.shape)
    odds = agreement * true.slope * (own[:, owner] - moved)
    odds += true.acquiescence_sd * rng.normal(size=(roles, 1)) + true.residual_sd * rng.normal(
        size=odds.shape
    )
    found = fit_noise(odds, values, Items(agreement, owner, threshold))
    assert found.slope == pytest.approx(true.slope, rel=0.02)
    assert found.value_sd == pytest.approx(true.value_sd, rel=0.05)
    assert found.item_sd == pytest.approx(true.item_sd, rel=0.35)  # 72 items
    assert found.acquiescence_sd == pytest.approx(true.acquiescence_sd, rel=0.05)
    assert found.residual_sd == pytest.approx(true.residual_sd, rel=0.02)


def test_steering_noise_that_was_put_in_is_measured():
    rng = np.random.default_rng(1)
    conditions, roles, n, each, slope = 40, 60, 6, 12, 3.0
    owner, agreement = np.repeat(np.arange(n), each), np.tile([1, -1], n * each // 2)
    planted = rng.normal(size=(conditions, n))
    bias = 0.1 * rng.normal(size=(conditions, 1, n))
    moved = 0.8 * planted[:, None] + bias + 0.2 * rng.normal(size=(conditions, roles, n))
    odds = agreement * slope * moved[:, :, owner] + 0.5 * rng.normal(size=(conditions, roles, n * each))
    items = Items(agreement, owner, np.zeros(n * each))
    found = fit_steering_noise(odds, planted, items, slope)
    assert found.gain == pytest.approx(0.8, rel=0.05)
    assert found.bias_sd == pytest.approx(0.1, rel=0.2)
    assert found.value_sd == pytest.approx(0.2, rel=0.05)
    assert found.residual_sd == pytest.approx(0.5, rel=0.05)


@pytest.fixture(scope="module")
def small():
    design = Design.of(5, 6, 120, 12, conditions=6)
    return calibrate(SimulatedStudy(design, SOME, analysis(replicates=40), seed=3), 4)


def test_same_result_for_any_number_of_jobs(small):
    again = calibrate(small.study, 4, jobs=2)
    assert again.document() == small.document()
    for name in ("graphs", "frequencies", "arrows", "effects"):
        assert getattr(again, name).equals(getattr(small, name))


def test_a_graph_does_not_depend_on_how_many_follow(small):
    fewer = calibrate(small.study, 2)
    assert fewer.graphs.equals(small.graphs.filter(pl.col("graph") < 2))
    other = calibrate(replace(small.study, seed=4), 2)
    assert not other.graphs.equals(fewer.graphs)


def test_counts_hold_together(small):
    pairs = small.frequencies.group_by("graph", "kind").agg(pl.col("pairs").sum())
    assert set(pairs.filter(pl.col("kind") == "adjacent")["pairs"]) == {10}
    assert set(pairs.filter(pl.col("kind") != "adjacent")["pairs"]) == {20}
    edges = small.frequencies.filter(pl.col("kind") == "adjacent").group_by("graph").agg(pl.col("true").sum())
    planted = small.graphs.filter(pl.col("which") == "graph").select("graph", "reference_edges")
    joined = edges.join(planted, on="graph")
    assert joined["true"].to_list() == joined["reference_edges"].to_list()
    assert small.effects.group_by("graph").agg(pl.col("n").sum())["n"].to_list() == [30] * 4
    assert (small.effects["changed"] <= small.effects["n"]).all()


def test_written_files_hold_the_result(small, tmp_path):
    paths = small.save(tmp_path)
    assert all(path.stat().st_size for path in paths)
    document = json.loads((tmp_path / "calibration.json").read_text())
    assert document["planted_graphs"] == 4 and document["design"]["values"] == 5
    assert document["recommendation"] == small.summary["recommendation"]
    assert pl.read_parquet(tmp_path / "calibration_effects.parquet").equals(small.effects)


def test_perfect_measurement_of_very_many_roles_finds_the_planted_graphs():
    # 100 items measure a value nearly exactly; alpha so small that no true independence fails.
    design = Design.of(5, 100, 14_000, 40, mode="logprob", conditions=5)
    settings = analysis(alpha=1e-4, replicates=20)
    found = calibrate(SimulatedStudy(design, ItemNoise(slope=0.5), settings, (), edges_per_value=0.6), 6)
    expected = found.summary["expected"][0]
    assert expected["skeleton_recall"] == 1.0
    assert expected["skeleton_f1"] > 0.97
    high, rates = found.summary["high"][0], found.summary["effects"]
    assert high["true"] > 0.95
    assert rates["power_steered"]["share"] == rates["power_strong"]["share"] == 1.0
    assert rates["descendants_unexpected"]["share"] < 0.2


def test_all_noise_finds_edges_at_the_rate_of_alpha_and_no_effects():
    noise = ItemNoise(slope=1.0, value_sd=1000.0, steering_value_sd=1000.0)
    design = Design.of(6, 12, 200, 30, mode="logprob", conditions=12)
    found = calibrate(SimulatedStudy(design, noise, analysis(algorithm="pc", alpha=0.05, replicates=20)), 20)
    counts = found.graphs.filter(pl.col("which") == "all_roles")
    share, *_ = clustered(counts["graph_edges"].to_numpy(), np.full(20, 15))
    assert 0.01 < share < 0.08  # tests at 0.05; an edge that stays has more chances to go
    true = found.summary["frequencies"][0]
    truth = counts["reference_edges"].sum() / (20 * 15)
    assert true["true_low"] < truth < true["true_high"]  # frequencies say nothing of the truth
    rates = found.summary["effects"]
    assert rates["false_alarm"]["share"] < 0.05 and rates["power_strong"]["share"] < 0.1


@pytest.mark.parametrize(
    "tested, roles", [("train", {"train": 60, "test": 0}), ("all", {"train": 60, "test": 9})]
)
def test_effects_may_be_tested_on_training_roles(tested, roles):
    design = Design.of(4, 8, 60, 9, conditions=4, tested=tested)
    assert design.effect_roles == roles
    found = calibrate(SimulatedStudy(design, SOME, analysis(replicates=5)), 2)
    assert found.effects["n"].sum() == 2 * 4 * 4
    assert found.summary["effects"]["power_steered"]["share"] == 1.0
    assert Design.of(4, 8, 60, 9, steered="test", tested="train").effect_roles == {"train": 0, "test": 0}


def test_without_steering_there_are_no_effects():
    found = calibrate(SimulatedStudy(Design.of(4, 4, 40), SOME, analysis(replicates=5)), 2)
    assert found.effects.is_empty() and found.contrast_p == [None, None]
    assert found.summary["effects"]["false_alarm"] == {"of": 0, "share": None, "low": None, "high": None}


def test_correction_by_items_and_pairwise_scores_go_to_discovery():
    design = Design.of(4, 4, 60)
    plain = calibrate(SimulatedStudy(design, SOME, analysis(replicates=5)), 3)
    corrected = calibrate(SimulatedStudy(design, SOME, analysis(replicates=5, correction="items")), 3)
    assert not plain.graphs.equals(corrected.graphs)
    gaps = ItemNoise(3.0, missing_rate=0.5)  # an eighth of the scores is missing
    few = Design.of(4, 3, 160)
    apart = [
        calibrate(SimulatedStudy(few, gaps, analysis(replicates=5, missing=missing)), 3).graphs
        for missing in ("pairwise", "listwise")
    ]
    assert not apart[0].equals(apart[1])


def test_default_number_of_graphs_falls_with_the_size():
    small, large = (SimulatedStudy(Design.of(n, 8, 200, 30, conditions=8), SOME) for n in (8, 224))
    assert default_graphs(small) == 100
    assert 6 <= default_graphs(large) < 100


def test_sweep_sizes():
    assert sweep_sizes(200) == (50, 100, 200, 400, 800, 1600)
    assert sweep_sizes(30) == (20, 30, 60, 120, 240)


@pytest.mark.parametrize(
    "design, settings, words",
    [
        (Design.of(1, 4, 100), analysis(), "2 values"),
        (Design.of(3, 4, 8), analysis(), "10 training roles"),
        (Design.of(3, 4, 100), analysis(correction="repeats"), "sampling.repeats"),
        (Design.of(3, 4, 100), analysis(algorithm="fci"), "algorithm pc"),
    ],
)
def test_what_cannot_be_calibrated_is_said(design, settings, words):
    with pytest.raises(InputError) as error:
        calibrate(SimulatedStudy(design, SOME, settings), 2)
    assert words in str(error.value)


def test_nothing_found_anywhere_is_an_error():
    with pytest.raises(RunError) as error:
        noise = ItemNoise(3.0, missing_rate=1.0)
        calibrate(SimulatedStudy(Design.of(3, 2, 40), noise, analysis(replicates=5)), 2)
    assert "for some planted graphs" in str(error.value)


def test_a_value_without_items_in_one_part_is_refused():
    with pytest.raises(InputError, match="test roles"):
        Design((1, 1), (0, 1), (True, True), (True, False), 20, 20)


def test_noise_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "noise.json").write_text('{"noise": {"slope": "steep"}}')
    with pytest.raises(InputError, match=r"noise\.json"):
        load_noise(tmp_path / "noise.json")
    with pytest.raises(InputError, match="slope above 0"):
        ItemNoise(slope=0.0)
