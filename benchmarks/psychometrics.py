"""How often intervals of correlations of values hold, by Fisher's z and by roles drawn again, and how many
factors parallel analysis keeps of values that hang together: `python benchmarks/psychometrics.py`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

from axiograph.engine.scoring.correlations import correlation_table
from axiograph.engine.scoring.factors import find_factors

STUDIES, DRAWS, NOISE = 600, 400, 0.7


def value_scores(rng: np.random.Generator, roles: int, r: float, graded: bool) -> np.ndarray:
    """[roles, 2]: means of three items for each of two values that correlate at `r`."""
    true = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=roles)
    raw = true[:, :, None] + NOISE * rng.normal(size=(roles, 2, 3))
    return (np.clip(np.round(raw), -2, 2) / 2 if graded else np.sign(raw)).mean(axis=2)


def drawn_again(rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
    """The percentile interval of roles drawn again."""
    roles = len(scores)
    weights = rng.multinomial(roles, np.full(roles, 1 / roles), size=DRAWS) / roles
    means, squares = weights @ scores, weights @ scores**2
    products = weights @ scores.prod(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (products - means.prod(axis=1)) / np.sqrt((squares - means**2).prod(axis=1))
    return np.nanpercentile(r, [2.5, 97.5])


def by_fisher(scores: np.ndarray) -> tuple[float, float]:
    """The interval that axiograph stores."""
    table = pl.DataFrame({"role": range(len(scores)), "a": scores[:, 0], "b": scores[:, 1]})
    table = table.with_columns(condition=pl.lit("baseline"), split=pl.lit("train"))
    reliability = pl.DataFrame({"value": ["a", "b"], "alpha": [0.8, 0.8], "low": [0.7, 0.7]})
    row = correlation_table(table, reliability).row(0, named=True)
    return row["low"], row["high"]


def coverage(rng: np.random.Generator) -> None:
    print("| items | r of the values | r of the scores | roles | Fisher's z | roles drawn again |")
    print("|---|---|---|---|---|---|")
    for graded in (False, True):
        for r in (0.0, 0.5, 0.9):
            truth = np.corrcoef(value_scores(rng, 500_000, r, graded).T)[0, 1]
            for roles in (20, 60, 200):
                held = np.zeros(2)
                for _ in range(STUDIES):
                    scores = value_scores(rng, roles, r, graded)
                    ends = by_fisher(scores), drawn_again(rng, scores)
                    held += [low is not None and low <= truth <= high for low, high in ends]
                kind = "graded" if graded else "yes or no"
                fisher, again = held / STUDIES
                print(f"| {kind} | {r} | {truth:.2f} | {roles} | {fisher:.1%} | {again:.1%} |", flush=True)


def factors() -> None:
    values = ("a", "b", "c")
    print(
        "\n| roles | r of the values | studies by factors kept (of 3 values, 4 items each) |\n|---|---|---|"
    )
    for roles in (60, 200, 600):
        for r in (0.0, 0.3, 0.5, 0.7, 0.9):
            kept: Counter[int | None] = Counter()
            for seed in range(20):
                rng = np.random.default_rng(seed)
                true = rng.multivariate_normal(np.zeros(3), (1 - r) * np.eye(3) + r, size=roles)
                raw = np.repeat(true, 4, axis=1) + NOISE * rng.normal(size=(roles, 12))
                table = np.clip(np.round(raw), -2, 2) / 2
                rows = [
                    (values[k // 4], f"i{k:02d}", f"r{n}", table[n, k])
                    for n in range(roles)
                    for k in range(12)
                ]
                frame = pl.DataFrame(rows, schema=["value", "item_id", "role", "score"], orient="row")
                kept[find_factors(frame, values).kept] += 1
            shown = ", ".join(f"{n} × {k}" for k, n in sorted(kept.items(), key=str))
            print(f"| {roles} | {r} | {shown} |", flush=True)


if __name__ == "__main__":
    coverage(np.random.default_rng(1))
    factors()
