"""The truth behind the built-in respondent: its graph, its total effects, and the values of its roles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discovery.graph import CausalGraph
from discovery.pc import FloatArray
from engine.errors import InputError

ASSETS = Path(__file__).resolve().parents[1] / "engine" / "assets" / "respondent"


@dataclass(frozen=True, eq=False)
class Planted:
    """`total` [n, n]: what one unit added to the equation of value j does to value i, at [i, j].

    `graph`: the CPDAG of the planted model. `features`: value → SAE feature whose direction adds
    `shift_per_strength` × strength to the value's equation. `slope`: log-odds of yes against no per unit of
    value. `thresholds`: item → the value at which yes and no are equally likely.
    `loadings`: field → option → [n] exogenous terms, which `noise_sd` [n] scales."""

    names: tuple[str, ...]
    graph: CausalGraph
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
