"""What several sections show of effects in the same way: tables of both graphs, conditions in the order of
the study, and the control by which a reader of a chart chooses one of several sweeps or values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from axiograph.cluster.stages.reference import REFERENCE
from axiograph.engine.study.conditions import BASELINE
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import RELATION_COLOURS

RELATIONS = tuple(RELATION_COLOURS)
STEERING, HINT = "steering", "hint"
BY = {"graph": "by the graph", "replicates": "by frequency"}


def sources(artefacts: Artefacts) -> dict[str, str | None]:
    """Name → which effects, for the graphs that changes were tested against."""
    graphs: dict[str, str | None] = {}
    if artefacts.effects("pooled") is not None:
        graphs["own graph"] = None
    if artefacts.effects("pooled", REFERENCE) is not None:
        graphs["reference graph"] = REFERENCE
    return graphs


def pooled(artefacts: Artefacts, graphs: dict[str, str | None], scope: str) -> pl.DataFrame:
    """The rows of this scope over all graphs, with `source` and the intervals that are shown."""
    parts = []
    for name, against in graphs.items():
        table = artefacts.effects("pooled", against)
        assert table is not None  # sources() has looked
        chosen = table.filter(pl.col("scope") == scope)
        parts.append(chosen.with_columns(graph=pl.lit(name)))
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


def condition_kinds(artefacts: Artefacts) -> dict[str, str]:
    """Condition → steering or hint, in the order of the study, without the baseline."""
    if artefacts.run is None:
        return {}
    conditions = artefacts.run.inputs().conditions
    return {c.name: STEERING if c.is_steered else HINT for c in conditions if c.name != BASELINE}


def in_order(artefacts: Artefacts, names: Iterable[str]) -> list[str]:
    """These conditions in the order of the study."""
    present = set(names)
    return [name for name in condition_kinds(artefacts) if name in present]


def choice(alt: Any, name: str, options: list[str], label: str) -> Any:
    """A list to choose from, the first one chosen; rows are filtered by `only`."""
    return alt.param(
        name=f"chosen_{name}", value=options[0], bind=alt.binding_select(options=options, name=label)
    )


def only(layer: Any, choices: list[Any]) -> Any:
    """The rows of a chart that fit what is chosen."""
    for chosen in choices:
        layer = layer.transform_filter(f"datum['{chosen.name.removeprefix('chosen_')}'] === {chosen.name}")
    return layer


def effect_split(artefacts: Artefacts) -> str | None:
    """The roles on which effects were tested, None for all."""
    roles = artefacts.effects_settings().get("roles")
    return None if roles in (None, "all") else str(roles)
