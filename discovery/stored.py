"""What the stage `discover` left in a directory, read back: its graphs, their replicates, its settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.engine.errors import InputError


class GraphChoice(StrEnum):
    """Which graph of a discovery: of all roles, or one made of the replicates."""

    GRAPH = "graph"
    CONSENSUS = "consensus"
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
        return load_graph(self.directory / f"{choice}.json")

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
