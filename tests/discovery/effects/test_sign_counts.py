"""The paper's Table 1: counts by hand, and the published ones with their published similarities."""

from __future__ import annotations

import polars as pl
import pytest

from axiograph.discovery.effects.contrast import sign_similarity, sign_table
from axiograph.discovery.paper.answers import read_answers
from axiograph.discovery.paper.published_tables import feature_name, read_table, text_cell

BASELINE = "baseline"


def profiles(rows):
    return pl.DataFrame(
        rows,
        schema={"role": pl.String, "condition": pl.String, "split": pl.String, "Joy": pl.Float64},
        orient="row",
    )


def test_counts_and_similarity_by_hand():
    rows = [(role, BASELINE, "train", 0.0) for role in "abc"] + [
        (role, BASELINE, "test", 0.0) for role in "de"
    ]
    rows += [("a", "f1:+2", "train", 1.0), ("b", "f1:+2", "train", 1.0), ("c", "f1:+2", "train", -0.5)]
    rows += [("d", "f1:+2", "test", 0.25), ("e", "f1:+2", "test", 0.0), ("a", "f1:+4", "train", None)]
    found = sign_table(profiles(rows), ["Joy"], BASELINE)
    assert found.row(0) == ("f1:+2", "Joy", 2, 1, 0, 1, 0, 1, pytest.approx(2 / (5**0.5 * 2**0.5)))
    # No role has a score under it: unknown, and not a count of 0.
    assert found.row(1) == ("f1:+4", "Joy", *[None] * 7)
    together = sign_similarity(found)
    assert together.row(0) == ("f1:+2", 1, pytest.approx(2 / 10**0.5), pytest.approx(2 / 10**0.5))
    assert together.row(1) == ("f1:+4", 0, None, None)


# Of the published Table 1 for Gemma-2B-IT, where cells carry the similarity with two digits.
PUBLISHED = {
    1025: (
        [
            0.97,
            0.96,
            0.98,
            0.99,
            1.00,
            1.00,
            0.85,
            0.97,
            0.73,
            0.98,
            0.96,
            0.99,
            0.91,
            0.98,
            1.00,
            0.81,
            0.99,
        ],
        0.94,
    ),
    1312: (
        [
            0.96,
            0.96,
            0.99,
            0.41,
            0.99,
            0.80,
            0.95,
            0.91,
            0.67,
            0.65,
            0.90,
            0.23,
            0.45,
            0.10,
            0.87,
            0.94,
            0.89,
        ],
        0.75,
    ),
    4752: (
        [
            0.97,
            0.64,
            0.38,
            1.00,
            0.88,
            0.69,
            0.73,
            0.76,
            0.87,
            0.86,
            1.00,
            0.99,
            0.99,
            0.93,
            0.92,
            0.91,
            0.85,
        ],
        0.84,
    ),
}


def test_published_counts_and_similarities(paper_data):
    folder = paper_data / "gemma"
    parts = []
    for split in ("train", "test"):
        answers = read_answers(folder / f"answers_{split}.csv")
        kept = [k for k, f in enumerate(answers.feature) if f is None or f in PUBLISHED]
        parts.append(
            pl.DataFrame(
                {
                    "role": [answers.role[k] or "" for k in kept],
                    "condition": [
                        BASELINE if answers.feature[k] is None else f"f{answers.feature[k]}" for k in kept
                    ],
                    "split": split,
                    **{name: answers.scores[kept, j] for j, name in enumerate(answers.values)},
                }
            )
        )
    names = list(answers.values)
    found = sign_table(pl.concat(parts, how="diagonal"), names, BASELINE)
    together = sign_similarity(found)
    expected = read_table(folder / "expected_table1.csv", feature_name, text_cell)
    for feature, (similarities, mean) in PUBLISHED.items():
        own = found.filter(pl.col("condition") == f"f{feature}").sort(pl.col("value").cast(pl.Enum(names)))
        for row, published in zip(own.iter_rows(), similarities, strict=True):
            assert "/".join(map(str, row[2:8])) == expected[str(feature)][row[1]]
            assert row[8] == pytest.approx(published, abs=0.0051)
        row = together.row(by_predicate=pl.col("condition") == f"f{feature}")
        assert row[1] == 17 and row[2] == pytest.approx(mean, abs=0.0051)
