"""What a directory holds that a report can show: a run, a discovery, a replication, comparisons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.cluster.stages.reference import COMPARISON
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.discovery.paper.replication import REPLICATION_FILE
from axiograph.discovery.stored import StoredDiscovery
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, run_at

"""How folders with comparisons begin; they lie in the directory itself, beside graph and effects."""


@dataclass(frozen=True)
class StoredComparison:
    """What `axiograph compare --out` left in `path`."""

    path: Path

    @cached_property
    def document(self) -> dict[str, Any]:
        """comparison.json."""
        return read_json(self.path / "comparison.json")

    @cached_property
    def edges(self) -> pl.DataFrame:
        """discovery.comparison.edges.edge_table."""
        return _parquet(self.path / "edges.parquet")

    @property
    def names(self) -> tuple[str, str]:
        """What the two graphs are called."""
        return self.document["graph"]["name"], self.document["reference_graph"]["name"]

    def graphs(self) -> tuple[CausalGraph, CausalGraph]:
        """Both graphs over the values that they share."""
        return self._graph("graph"), self._graph("reference")

    def _graph(self, side: str) -> CausalGraph:
        kind = GraphKind(self.document["graph" if side == "graph" else "reference_graph"]["kind"])
        rows = self.edges.select("a", f"{side}_edge", "b").iter_rows()
        edges = [(a, EdgeKind(mark), b) for a, mark, b in rows if mark != EdgeKind.NONE]
        return CausalGraph.from_kinds(self.document["values"], edges, kind)


@dataclass(frozen=True)
class StoredReplication:
    """What `axiograph replicate` left in `path`."""

    path: Path

    @cached_property
    def document(self) -> dict[str, Any]:
        """replication.json: see ReplicationResult.document."""
        return read_json(self.path / REPLICATION_FILE)

    @property
    def values(self) -> list[str]:
        return list(self.document["values"])

    @cached_property
    def graph(self) -> CausalGraph:
        """Of the pooled rows, before the reduction."""
        return load_graph(self.path / "pooled_graph.json")


@dataclass(frozen=True)
class Artefacts:
    """`path` and what is in it; None or empty for what is not. `where`: what a person calls the directory."""

    path: Path
    where: str
    run: RunDir | None
    discovery: StoredDiscovery | None
    replication: StoredReplication | None
    comparisons: tuple[StoredComparison, ...]

    @classmethod
    def find(cls, place: RunDir | Path | str) -> Artefacts:
        """What a directory, or the address of a run, holds. InputError where there is nothing to report."""
        at = place if isinstance(place, RunDir) else run_at(place)
        path, run = at.path, at if at.manifest_file.is_file() else None
        graphs = [folder for folder in (path / "graph", path) if (folder / "graph.json").is_file()]
        replication = StoredReplication(path) if (path / REPLICATION_FILE).is_file() else None
        folders = [path, *sorted(path.glob(f"{COMPARISON}*"))]
        compared = tuple(StoredComparison(f) for f in folders if (f / "comparison.json").is_file())
        if not (run or graphs or replication or compared):
            raise InputError(
                f"directory {at.where}",
                "what run, demo, discover, compare --out or replicate leave",
                "none of it" if path.is_dir() else "no such directory",
                "Give the directory that the command named.",
            )
        if run is not None:
            run.manifest()
        return cls(path, at.where, run, StoredDiscovery(graphs[0]) if graphs else None, replication, compared)

    def scores(self, name: str) -> pl.DataFrame | None:
        """A table of the stage `score`."""
        return None if self.run is None else self._optional(self.run.scores / f"{name}.parquet")

    def effects(self, name: str, against: str | None = None) -> pl.DataFrame | None:
        """A table of the stage `effects`; `against` REFERENCE for those against the reference graph."""
        folder = self._effects_folder(against)
        return None if folder is None else self._optional(folder / f"{name}.parquet")

    def effects_settings(self, against: str | None = None) -> dict[str, Any]:
        """effects.json; empty where the stage has not run."""
        folder = self._effects_folder(against)
        path = None if folder is None else folder / "effects.json"
        return read_json(path, self.shown(path)) if path is not None and path.is_file() else {}

    def shown(self, path: Path) -> str:
        """Where a file is for a person: its address where the run is in an object store."""
        return str(path) if self.run is None else self.run.shown(path)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Of the run; empty without one."""
        return {} if self.run is None else self.run.manifest()

    @property
    def model(self) -> str:
        """The model's name; of a folder its last two parts, as the whole path is in the manifest."""
        name = str(self.manifest["model"]["name"])
        return "/".join(Path(name).parts[-2:]) if Path(name).is_absolute() else name

    def _optional(self, path: Path) -> pl.DataFrame | None:
        return _parquet(path, self.shown(path)) if path.is_file() else None

    def _effects_folder(self, against: str | None) -> Path | None:
        if self.run is None:
            return None
        return self.run.effects if against is None else self.run.path / f"effects-{against}"


def read_json(path: Path, shown: str = "") -> dict[str, Any]:
    """RunError where it is damaged, which names it as `shown`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
    except (OSError, ValueError) as error:
        raise RunError(
            shown or str(path), "a JSON document of axiograph", f"'{error}'", "Run that stage again."
        ) from error
    return found


def _parquet(path: Path, shown: str = "") -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        found = str(error).splitlines()[0]
        raise RunError(
            shown or str(path), "a complete table", found, "Run the stage that wrote it again."
        ) from error
