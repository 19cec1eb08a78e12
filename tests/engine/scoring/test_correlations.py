"""Correlations of values by hand, against numpy, and their intervals in simulated studies."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from axiograph.engine.scoring.correlations import correlation_table


def frames(table, alphas, lows=None):
    names = list("ABCDEF")[: table.shape[1]]
    columns = {name: table[:, k] for k, name in enumerate(names)}
    profiles = pl.DataFrame(
        {"role": [f"r{k}" for k in range(len(table))], "condition": "baseline", "split": "train"} | columns,
        nan_to_null=True,
    )
    other = profiles.with_columns(pl.lit("hint").alias("condition"), *(-pl.col(name) for name in names[:1]))
    lows = alphas if lows is None else lows
    reliability = pl.DataFrame({"value": names, "alpha": alphas, "low": lows}, strict=False)
    return pl.concat([profiles, other]), reliability


def test_pairs_with_intervals_and_without_error():
    table = np.random.default_rng(1).normal(size=(50, 3))
    table[:, 1] += table[:, 0]
    r = np.corrcoef(table.T)
    result = correlation_table(*frames(table, [0.8, 0.9, None]))
    assert result.select("a", "b").rows() == [("A", "B"), ("A", "C"), ("B", "C")]
    first, second, _ = result.iter_rows(named=True)
    assert first["roles"] == 50 and first["r"] == pytest.approx(r[0, 1])
    ends = np.tanh(np.arctanh(r[0, 1]) + np.array([-1.96, 1.96]) / np.sqrt(47))
    assert [first["low"], first["high"]] == pytest.approx(ends)
    assert first["disattenuated"] == pytest.approx(r[0, 1] / np.sqrt(0.72)) and first["remark"] is None
    assert second["disattenuated"] is None and second["remark"] == "not told from noise: C"
    drawn = correlation_table(*frames(table, [0.8, 0.9, None]), asked_all=False)
    assert drawn["disattenuated"].null_count() == 3 and "some of the items" in drawn["remark"][0]
    assert drawn["r"].to_list() == result["r"].to_list()


def test_more_than_1_without_error_is_no_number():
    x = np.linspace(-1, 1, 20)
    table = np.stack([x, x + 0.1 * np.cos(40 * x), -x], axis=1)
    result = correlation_table(*frames(table, [0.5, 0.5, 0.5]))
    assert result["disattenuated"].null_count() == 3
    assert [remark[:8] for remark in result["remark"]] == ["above 1:", "below −1", "below −1"]
    assert result["r"][1] == pytest.approx(-1)


def test_gaps_are_left_out_pair_by_pair():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(30, 3))
    table[:, 2] = 0.5
    table[:10, 0] = np.nan
    rows = correlation_table(*frames(table, [0.8] * 3)).rows(named=True)
    assert rows[0]["roles"] == 20
    assert rows[0]["r"] == pytest.approx(np.corrcoef(table[10:, :2].T)[0, 1])
    assert rows[1]["r"] is rows[1]["low"] is rows[1]["disattenuated"] is None
    assert rows[1]["remark"].startswith("fewer than 3 roles")
    few = correlation_table(*frames(table[10:13, :2], [0.8] * 2)).row(0, named=True)
    assert few["r"] is not None and few["low"] is None


def test_without_error_finds_the_correlation_of_what_was_planted():
    """Values that correlate at .6, with alphas of .5: as scored .3."""
    rng = np.random.default_rng(3)
    true = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=20_000)
    scored = true + rng.normal(size=true.shape)
    row = correlation_table(*frames(scored, [0.5, 0.5])).row(0, named=True)
    assert row["r"] == pytest.approx(0.3, abs=0.02)
    assert row["disattenuated"] == pytest.approx(0.6, abs=0.04)


def test_intervals_hold_the_truth_of_few_yes_or_no_answers():
    """Means of three answers each: 300 studies of 40 roles; 91 % is three standard errors below 95."""
    rng = np.random.default_rng(4)

    def scores(roles):
        true = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=roles)
        return np.sign(true[:, :, None] + 0.7 * rng.normal(size=(roles, 2, 3))).mean(axis=2)

    truth = np.corrcoef(scores(300_000).T)[0, 1]
    rows = [correlation_table(*frames(scores(40), [0.8, 0.8])).row(0, named=True) for _ in range(300)]
    held = np.mean([row["low"] <= truth <= row["high"] for row in rows])
    assert 0.91 <= held <= 0.985
