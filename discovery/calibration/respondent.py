"""The truth behind the built-in respondent: its graph, its total effects, the values of its roles; and how
far measured effects of steering agree with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.errors import InputError

ASSETS = Path(str(resources.files("axiograph.engine"))) / "assets" / "respondent"


@dataclass(frozen=True, eq=False)
class Planted:
    """`total` [n, n]: what one unit added to the equation of value j does to value i, at [i, j].

    `graph`: the CPDAG of the planted model; `dag`: all of its arrows. `features`: value → SAE feature whose
    direction adds `shift_per_strength` × strength to the value's equation. `slope`: log-odds of yes against
    no per unit of value. `thresholds`: item → the value at which yes and no are equally likely.
    `loadings`: field → option → [n] exogenous terms, which `noise_sd` [n] scales."""

    names: tuple[str, ...]
    graph: CausalGraph
    dag: CausalGraph
    total: FloatArray
    features: dict[str, int]
    shift_per_strength: float
    slope: float
    thresholds: dict[str, float]
    noise_sd: FloatArray
    loadings: dict[str, dict[str, FloatArray]]

    @classmethod
    def load(cls, folder: Path = ASSETS) -> Planted:
        """From truth.json in `folder`. InputError where it is missing or is no such file."""
        path = folder / "truth.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            lines = [(a, b) for a, b in data["undirected_in_cpdag"]]
            open_pairs = {frozenset(pair) for pair in lines}
            edges = [(edge["cause"], edge["effect"]) for edge in data["edges"]]
            arrows = [edge for edge in edges if frozenset(edge) not in open_pairs]
            return cls(
                names=tuple(data["values"]),
                graph=CausalGraph.from_edges(data["values"], arrows, lines),
                dag=CausalGraph.from_edges(data["values"], edges, []),
                total=np.array(data["total_effects"]),
                features=dict(data["features"]),
                shift_per_strength=float(data["shift_per_strength"]),
                slope=float(data["slope"]),
                thresholds=dict(data["thresholds"]),
                noise_sd=np.array(data["noise_sd"]),
                loadings={
                    field: {option: np.array(terms) for option, terms in options.items()}
                    for field, options in data["loadings"].items()
                },
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                str(path), "the truth of the built-in respondent", f"'{error}'", "Install axiograph again."
            ) from error

    def values(self, texts: Sequence[str]) -> FloatArray:
        """[roles, n]: the planted values of roles given by their texts "Field: option; Field: option".

        InputError for a field or option that the respondent does not know."""
        exogenous = np.zeros((len(texts), len(self.names)))
        for row, text in zip(exogenous, texts, strict=True):
            for part in text.split("; "):
                field, _, option = part.partition(": ")
                terms = self.loadings.get(field, {}).get(option)
                if terms is None:
                    raise InputError(
                        "role of the built-in respondent",
                        "its own fields and options (role_fields.yaml)",
                        f"{part!r}",
                        "Generate the roles from its role_fields.yaml.",
                    )
                row += terms
        return np.asarray(exogenous * self.noise_sd @ self.total.T)


def over_names(graph: CausalGraph, names: Sequence[str]) -> CausalGraph:
    """`graph` over all `names`, in this order: values that it left out have no edge."""
    edges = [(graph.names[i], kind, graph.names[j]) for i, kind, j in graph.edges()]
    return CausalGraph.from_kinds(names, edges, graph.kind)


def planted_effects(
    planted: Planted,
    changes: pl.DataFrame,
    conditions: Mapping[str, tuple[str, float]],
    baseline: pl.DataFrame,
    values: FloatArray,
) -> pl.DataFrame:
    """A row per steered condition and value: steered (the value), feature, strength, condition, value,
    planted (what shift × strength does to it in total, in units of the value), measured (the mean difference
    in these units), difference (in units of the score), p_adjusted and changed, as in `changes`.

    `conditions`: name → steered value and strength. Scores become values by how much a score rises per unit
    of the planted value over roles: least squares of `baseline` (a row per role) on `values` [roles, n]."""
    rise = score_per_value(planted, baseline, values)
    number = {name: k for k, name in enumerate(planted.names)}
    rows = []
    for change in changes.iter_rows(named=True):
        if change["condition"] not in conditions:
            continue
        steered, strength = conditions[change["condition"]]
        k = number[change["value"]]
        difference = change["mean_difference"]
        rows.append(
            {
                "steered": steered,
                "feature": planted.features[steered],
                "strength": float(strength),
                "condition": change["condition"],
                "value": change["value"],
                "planted": planted.shift_per_strength * strength * float(planted.total[k, number[steered]]),
                "measured": None if difference is None else difference / float(rise[k]),
                "difference": difference,
                "p_adjusted": change["p_adjusted"],
                "changed": change["changed"],
            }
        )
    kinds = dict.fromkeys(("strength", "planted", "measured", "difference", "p_adjusted"), pl.Float64)
    names = ("steered", "condition", "value")
    schema = kinds | dict.fromkeys(names, pl.String) | {"feature": pl.Int64, "changed": pl.Boolean}
    table = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    order = pl.Enum(list(planted.names))
    return table.sort(pl.col("steered").cast(order), "strength", pl.col("value").cast(order))


def score_per_value(planted: Planted, baseline: pl.DataFrame, values: FloatArray) -> FloatArray:
    """[n]: by how much each score rises per unit of its planted value, by least squares over the roles."""
    slopes = []
    for k, name in enumerate(planted.names):
        scores = baseline[name].to_numpy()
        scored = ~np.isnan(scores)
        slopes.append(np.polyfit(values[scored, k], scores[scored], 1)[0])
    return np.array(slopes)


@dataclass(frozen=True)
class Agreement:
    """How measured effects agree with the planted ones over `cells`: their correlation, their ratio by least
    squares (1: as large as planted), and, over the cells where nothing is planted, the mean and the largest
    size in units of the value. `hits` of `moved` cells with a planted effect changed by the test, `alarms` of
    `still` without. None where there is nothing to compare."""

    cells: int
    correlation: float | None
    ratio: float | None
    still_mean: float | None
    still_largest: float | None
    moved: int
    hits: int
    still: int
    alarms: int


def agreement(table: pl.DataFrame) -> Agreement:
    """Of the rows of `planted_effects` with a strength that is not 0."""
    used = table.filter((pl.col("strength") != 0) & pl.col("measured").is_not_null())
    planted, measured = used["planted"].to_numpy(), used["measured"].to_numpy()
    changed = used["changed"].fill_null(False).to_numpy()
    moved = np.abs(planted) > 1e-12
    still = np.abs(measured[~moved])
    varies = len(used) > 1 and float(np.std(planted)) > 0 and float(np.std(measured)) > 0
    return Agreement(
        cells=len(used),
        correlation=float(np.corrcoef(planted, measured)[0, 1]) if varies else None,
        ratio=float(planted @ measured / (planted @ planted)) if moved.any() else None,
        still_mean=float(still.mean()) if still.size else None,
        still_largest=float(still.max()) if still.size else None,
        moved=int(moved.sum()),
        hits=int(changed[moved].sum()),
        still=int((~moved).sum()),
        alarms=int(changed[~moved].sum()),
    )


def planted_totals(planted: Planted, totals: pl.DataFrame, deviations: FloatArray) -> pl.DataFrame:
    """`totals` (discovery.interventions.totals) with the `planted` total effect of every pair, in standard
    deviations: `deviations` [n] of the planted values over the roles."""
    place = {name: k for k, name in enumerate(planted.names)}
    source, target = (np.array([place[name] for name in totals[key]]) for key in ("source", "target"))
    truth = planted.total[target, source] * deviations[source] / deviations[target]
    return totals.with_columns(planted=pl.Series(truth))


def total_effects(table: pl.DataFrame) -> pl.DataFrame:
    """A row per steered value and value: planted and measured total effect of one unit, and in how many of
    the strengths the value changed. Measured: least squares through 0 over the strengths."""
    used = table.filter(pl.col("strength") != 0)
    on_itself = pl.col("planted").filter(pl.col("value") == pl.col("steered")).first()
    units = used.with_columns(units=on_itself.over("condition"))  # the total effect on itself is 1
    size = (pl.col("units") ** 2).sum()
    return units.group_by("steered", "feature", "value", maintain_order=True).agg(
        planted=(pl.col("planted") * pl.col("units")).sum() / size,
        measured=(pl.col("measured") * pl.col("units")).sum() / size,
        changed=pl.col("changed").fill_null(False).sum(),
        strengths=pl.len(),
    )
