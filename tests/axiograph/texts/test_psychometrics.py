"""One short line each of correlations, factors and norms."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl

from axiograph.engine.scoring.factors import find_factors
from axiograph.texts.run import psychometrics_text

LONG = "Need for Cognitive Closure"


def result(**changes):
    pairs = pl.DataFrame(
        [
            (LONG, f"{LONG} 2", -0.62, -0.73, -0.48),
            ("Joy", "Awe", 0.1, -0.1, 0.3),
            ("Joy", LONG, None, None, None),
        ],
        schema=["a", "b", "r", "low", "high"],
        orient="row",
    )
    none = find_factors(
        pl.DataFrame(
            schema={"value": pl.String, "item_id": pl.String, "role": pl.String, "score": pl.Float64}
        ),
        (),
    )
    norms = pl.DataFrame({"difference": [-0.5, None, 1.25]})
    return SimpleNamespace(**({"correlations": pairs, "factors": none, "norms": norms} | changes))


def test_a_line_each_that_fits_80_columns():
    assert psychometrics_text(result()).splitlines() == [
        "Strongest of 2 pairs: Need for Cogni… – Need for Cogni… -0.62 [-0.73, -0.48]",
        "Factors: not known, no scored answer",
        "Norms: roles lie -0.50 to +1.25 SD from people's means (2 norms)",
    ]
    values = pl.DataFrame({"share": [1.0, 0.75]})
    kept = SimpleNamespace(kept=2, items=1200, roles=13600, values=values)
    text = psychometrics_text(result(factors=kept, norms=result().norms.clear()))
    assert text.splitlines()[1:] == [
        "Factors: 2 in 1,200 items, 13,600 roles; 1 of 2 values on one with all items"
    ]
    assert max(map(len, [*text.splitlines(), *psychometrics_text(result()).splitlines()])) <= 80
    one = psychometrics_text(result(norms=result().norms.head(1))).splitlines()[-1]
    assert one == "Norms: roles lie -0.50 SD from people's means (1 norm)"
