"""The tables of the stage `effects`, of the own and of the reference graph, as the sections need them."""

from __future__ import annotations

from typing import Any

import polars as pl

from cluster.report.artefacts import REFERENCE, Artefacts
from cluster.report.chart import RELATION_COLOURS

RELATIONS = tuple(RELATION_COLOURS)
OWN = "own graph"
BY = {"graph": "by the graph", "replicates": "by frequency"}


def sources(found: Artefacts) -> dict[str, str | None]:
    """Name → which effects, for the graphs that changes were tested against."""
    graphs: dict[str, str | None] = {}
    if found.effects("pooled") is not None:
        graphs[OWN] = None
    if found.effects("pooled", REFERENCE) is not None:
        graphs["reference graph"] = REFERENCE
    return graphs


def pooled(found: Artefacts, graphs: dict[str, str | None], scope: str) -> pl.DataFrame:
    """The rows of this scope over all graphs, with `source` and the intervals that are shown."""
    parts = []
    for name, against in graphs.items():
        table = found.effects("pooled", against)
        assert table is not None  # sources() has looked
        parts.append(table.filter(pl.col("scope") == scope).with_columns(graph=pl.lit(name)))
    table = pl.concat(parts)
    by = pl.col("weights").replace_strict(BY, return_dtype=pl.String)
    return table.with_columns(
        source=pl.col("graph") + pl.lit(", ") + by, **shown_ends("share"), **size_ends()
    )


def shown_ends(measure: str) -> dict[str, pl.Expr]:
    """The interval that is shown: over roles, or over roles and graphs for the weights by frequency."""
    wide = pl.col("weights") == "replicates"
    return {
        f"shown_{end}": pl.when(wide).then(f"{measure}_graphs_{end}").otherwise(f"{measure}_{end}")
        for end in ("low", "high")
    }


def size_ends() -> dict[str, pl.Expr]:
    """As `shown_ends`, of the size."""
    return {f"size_{name}": expression for name, expression in shown_ends("size").items()}


def relation_shape(alt: Any) -> Any:
    """With the scale of the colours, so that both share a legend."""
    return alt.Shape(
        "relation:N",
        title="others",
        scale=alt.Scale(domain=list(RELATIONS), range=["circle", "square", "triangle-up"]),
        legend=alt.Legend(orient="top"),
    )
