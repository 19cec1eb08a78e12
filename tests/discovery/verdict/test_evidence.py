"""What a verdict rests on: the tests against chance, and whether roles differ in how extreme they answer."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.discover import discover
from axiograph.discovery.resampling.score_table import Strength
from axiograph.discovery.verdict.evidence import p_of
from axiograph.discovery.verdict.judgement import Level, judge
from axiograph.discovery.verdict.moments import co_kurtosis
from axiograph.engine.study.schema import DiscoverySpec


def table(data: np.ndarray) -> pl.DataFrame:
    columns = {f"v{k}": data[:, k] for k in range(data.shape[1])}
    return pl.DataFrame({"role": [f"r{i}" for i in range(len(data))]} | columns)


def found(data: np.ndarray, **settings: object):
    spec = DiscoverySpec(algorithm="pc", replicates=100, **settings)
    return discover(table(data), spec, null_replicates=99)


def test_p_counts_the_observed_table_among_the_null():
    null = [Strength(edges, 0.5) for edges in (0, 1, 3, 5)]
    assert p_of(Strength(3, 0.5), null) == pytest.approx(3 / 5)
    assert p_of(Strength(3, 0.6), null) == pytest.approx(2 / 5)  # as many edges, in less related scores
    assert p_of(Strength(9, 0.0), [Strength(0, 9.0)] * 99) == pytest.approx(0.01)
    assert p_of(Strength(9, 0.0), []) is None


def test_independent_values_are_no_graph():
    verdicts = [
        judge(found(np.random.default_rng(seed).standard_normal((60, 8))).evidence, "pc") for seed in range(8)
    ]
    assert sum(verdict.level is Level.NOTHING for verdict in verdicts) >= 6  # p ≤ .05 in one of twenty
    assert "No graph was found" in verdicts[0].headline or verdicts[0].level is not Level.NOTHING


def test_a_planted_graph_is_one():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200))
    data = np.column_stack([a, b, a + b + 0.5 * rng.standard_normal(200), rng.standard_normal(200)])
    verdict = judge(found(data).evidence, "pc")
    assert verdict.level is Level.GRAPH and "2 with a direction" in verdict.headline


def test_extreme_roles_alone_are_no_graph():
    # Independent values, but some roles answer everything strongly: shuffled columns do not know of that.
    rng = np.random.default_rng(1)
    data = rng.standard_normal((100, 12)) * np.exp(0.8 * rng.standard_normal((100, 1)))
    evidence = found(data).evidence
    assert evidence.p_permuted <= 0.05 < evidence.p_flipped
    verdict = judge(evidence, "pc")
    assert verdict.level is Level.NOTHING
    assert any("extreme" in sentence for sentence in verdict.because)
    assert any("co-kurtosis" in sentence for sentence in verdict.cautions)


@pytest.mark.parametrize("missing", ["em", "pairwise"])
def test_extreme_roles_are_seen_through_gaps(missing):
    rng = np.random.default_rng(1)
    data = rng.standard_normal((100, 8)) * np.exp(0.9 * rng.standard_normal((100, 1)))
    data[rng.random(data.shape) < 0.03] = np.nan
    rows = table(data).with_columns(pl.all().exclude("role").fill_nan(None))
    spec = DiscoverySpec(algorithm="pc", replicates=20, missing=missing)
    evidence = discover(rows, spec, null_replicates=39).evidence
    assert evidence.p_flipped > 0.05 and evidence.co_kurtosis > 1


def test_co_kurtosis_of_known_laws():
    rng = np.random.default_rng(2)
    normal = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 200_000)
    assert abs(co_kurtosis(normal)) < 0.05
    skewed = rng.exponential(size=(200_000, 2))  # independent: 0 whatever the form
    assert abs(co_kurtosis(skewed)) < 0.1
    # A common factor s with E s² = 1, E s⁴ = 2: E z² w² = 2.
    mixed = rng.standard_normal((200_000, 2)) * np.where(rng.random(200_000) < 0.5, 2**0.5, 0.0)[:, None]
    assert co_kurtosis(mixed) == pytest.approx(1.0, abs=0.05)
    assert co_kurtosis(normal[:, :1]) is None


def test_missing_scores_do_not_count_in_co_kurtosis():
    rng = np.random.default_rng(3)
    data = rng.standard_normal((5000, 3))
    data[rng.random(data.shape) < 0.2] = np.nan
    assert abs(co_kurtosis(data)) < 0.1


@pytest.mark.parametrize("algorithm", ["pc", "boss"])
def test_nothing_is_found_in_the_papers_unsteered_answers(paper_data, algorithm):
    answers = pl.read_csv(paper_data / "gemma" / "answers_train.csv").filter(pl.col("steer_dim").is_null())
    values = [
        name
        for name in answers.columns
        if not name.endswith("scstd") and name not in ("steer_dim", "player_name", "stds")
    ]
    profiles = answers.select(pl.col("player_name").fill_null("").alias("role"), *values)
    spec = DiscoverySpec(algorithm=algorithm, replicates=100)
    evidence = discover(profiles, spec, null_replicates=99).evidence
    assert (evidence.roles, evidence.values) == (101, 17)
    verdict = judge(evidence, algorithm)
    assert verdict.level is Level.NOTHING
    assert verdict.headline == "No graph was found: the answers show no more edges than chance makes."
