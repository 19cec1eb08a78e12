"""What the stage `discover` left in a directory, read back: its graphs, their replicates, its settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph, load_strengths
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.interventions.findings import (
    COEFFICIENTS,
    LEFT_OUT,
    PREDICTION,
    TOTALS,
    load_coefficients,
)
from axiograph.discovery.interventions.left_out import LeftOutGraphs
from axiograph.discovery.interventions.prediction import Prediction
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.engine.errors import InputError

SCHEMA = "axiograph-discovery/2"
_EARLIER = "axiograph-discovery/1"  # graph.json was the search on all roles, consensus.json the consensus


class GraphChoice(StrEnum):
    """Which graph of a discovery: the consensus of the replicates at the study's threshold, which is the
    graph; the search on all roles; the replicates at a data-driven threshold."""

    GRAPH = "graph"
    ALL_ROLES = "all_roles"
    AVERAGED = "averaged"


@dataclass(frozen=True)
class StoredDiscovery:
    """The directory that `Discovery.save` wrote into."""

    directory: Path

    @classmethod
    def find(cls, path: Path) -> StoredDiscovery:
        """In `path` itself or, where that is a run, in its folder graph. InputError where there is none."""
        for directory in (path / "graph", path):
            if (directory / "graph.json").is_file():
                return cls(directory)
        remedy = f"Run `axiograph discover {path}` first, or give the file of a graph."
        raise InputError(str(path), "a run or a folder with graph.json", "no such graph", remedy)

    def graph(self, choice: GraphChoice = GraphChoice.GRAPH) -> CausalGraph:
        """The graph as it was saved. InputError where it is missing or no graph."""
        return load_graph(self.file(choice))

    def file(self, choice: GraphChoice = GraphChoice.GRAPH) -> Path:
        """Where the graph is, or would be: in a discovery of an earlier version under another name."""
        if self.is_earlier:
            stem = {GraphChoice.GRAPH: "consensus", GraphChoice.ALL_ROLES: "graph"}.get(choice, choice)
            return self.directory / f"{stem}.json"
        return self.directory / f"{choice}.json"

    def strengths(self, choice: GraphChoice = GraphChoice.GRAPH) -> pl.DataFrame | None:
        """Sign and strength of its edges (discovery.graph.strengths); None where they were not stored, as by
        earlier versions. InputError as of `graph`."""
        return load_strengths(self.file(choice))

    def has(self, choice: GraphChoice) -> bool:
        """Whether there is such a graph."""
        return self.file(choice).is_file()

    @property
    def is_earlier(self) -> bool:
        """Whether a version up to 0.1 wrote it, in which the graph of all roles came first."""
        return self.settings.get("schema") == _EARLIER and (self.directory / "consensus.json").is_file()

    def consensus(self, threshold: float) -> CausalGraph:
        """The consensus at another threshold than the saved one's. InputError without replicates and for a
        threshold outside (0, 1]."""
        if self.counts is None:
            raise InputError(
                f"{self.directory}, --threshold",
                "replicates.npz beside graph.json",
                "none",
                "Run the discovery again, or leave out the threshold.",
            )
        return self.counts.consensus(threshold)

    @cached_property
    def replicates(self) -> PackedGraphs | None:
        """Every replicate's graph; None where they were not kept. InputError for a damaged file."""
        path = self.directory / "replicates.npz"
        return PackedGraphs.load(path) if path.is_file() else None

    @cached_property
    def prediction(self) -> Prediction | None:
        """How well the graph says what levers do that it has not seen; None for one of roles alone.
        InputError for a damaged file."""
        table = self._table(PREDICTION, "the predictions of a discovery")
        return None if table is None else Prediction(table)

    @cached_property
    def total_effects(self) -> pl.DataFrame | None:
        """What every value does to every other (discovery.interventions.totals); None for a graph of roles
        alone. InputError for a damaged file."""
        return self._table(TOTALS, "the total effects of a discovery")

    @cached_property
    def coefficients(self) -> tuple[tuple[str, ...], FloatArray] | None:
        """(names, [U, n, n]) of the replicates of a graph of roles and experiments; None for one of roles
        alone. InputError for a damaged file."""
        path = self.directory / COEFFICIENTS
        return load_coefficients(path) if path.is_file() else None

    @cached_property
    def left_out(self) -> LeftOutGraphs | None:
        """The graphs that levers of a graph of roles and experiments are judged by; None for one of roles
        alone. InputError where they are missing or damaged."""
        tried = self.settings.get("experiments")
        if tried is None:
            return None
        path = self.directory / LEFT_OUT
        if not path.is_file() or not isinstance(tried.get("lever_of"), dict):
            raise InputError(
                str(path), "graphs that leave each lever out", "none", "Run the discovery again."
            )
        return LeftOutGraphs.load(path, tried["lever_of"])

    def _table(self, name: str, expected: str) -> pl.DataFrame | None:
        path = self.directory / name
        if not path.is_file():
            return None
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(str(path), expected, f"{error}", "Discover again.") from error

    @cached_property
    def counts(self) -> EdgeCounts | None:
        """Of the replicates."""
        return None if self.replicates is None else EdgeCounts.of(self.replicates)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """discovery.json; empty where it is missing. InputError where it is damaged."""
        path = self.directory / "discovery.json"
        if not path.is_file():
            return {}
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                str(path), "the settings of a discovery", f"{error}", "Discover again."
            ) from error
        return document if isinstance(document, dict) else {}
