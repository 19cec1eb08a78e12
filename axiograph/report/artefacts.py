"""What a directory holds that a report can show: a run, a discovery, a replication, comparisons."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from axiograph.cluster.stages.reference import COMPARISON
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.discovery.paper.replication import REPLICATION_FILE
from axiograph.discovery.stored import StoredDiscovery
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, run_at
from axiograph.report import earlier

Quality = Literal["answering", "acquiescence_means", "reliability_intervals"]


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

    def table(self, name: str) -> dict[str, dict[str, str]]:
        """Cells of NAME.csv by row and value; empty where it is missing."""
        path = self.path / f"{name}.csv"
        if not path.is_file():
            return {}
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}

    def signs(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Counts of Table 1 and the similarity of training and test roles (discovery.effects.contrast)."""
        files = [self.path / f"{name}.parquet" for name in ("sign_counts", "sign_similarity")]
        if all(file.is_file() for file in files):
            return _parquet(files[0]), _parquet(files[1])
        return earlier.replicated_signs(self.table("table1"), self.values)


@dataclass(frozen=True)
class Artefacts:
    """What the directory `path` holds; None or empty for what is missing. `where`: what a person calls it."""

    path: Path
    where: str
    run: RunDir | None
    discovery: StoredDiscovery | None
    replication: StoredReplication | None
    comparisons: tuple[StoredComparison, ...]

    @classmethod
    def find(cls, directory: RunDir | Path | str) -> Artefacts:
        """What a directory, or the address of a run, holds. InputError where there is nothing to report."""
        at = directory if isinstance(directory, RunDir) else run_at(directory)
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

    def quality(self, name: Quality) -> pl.DataFrame:
        """A table of cluster.stages.quality; InputError where the run has no scores."""
        assert self.run is not None
        stored = self.scores(name)
        return earlier.score_table(self.run, name) if stored is None else stored

    def role_spread(self, doses: pl.DataFrame) -> pl.DataFrame:
        """cluster.stages.doses.role_spread; `doses`: of the stage `effects`."""
        assert self.run is not None
        stored = self.effects("role_spread")
        roles = str(self.effects_settings().get("roles") or "all")
        return earlier.spread_table(self.run, doses, roles) if stored is None else stored

    def against_hints(self, counts: pl.DataFrame) -> pl.DataFrame:
        """discovery.effects.hints.steering_against_hints; `counts`: sign_counts of the stage `effects`."""
        assert self.run is not None
        stored = self.effects("steering_against_hints")
        return earlier.hint_table(self.run, counts) if stored is None else stored

    def effects(self, name: str, against: str | None = None) -> pl.DataFrame | None:
        """A table of the stage `effects`; `against`: REFERENCE for those against the reference graph."""
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
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError(f"a {type(document).__name__}")
    except (OSError, ValueError) as error:
        raise RunError(
            shown or str(path), "a JSON document of axiograph", f"'{error}'", "Run that stage again."
        ) from error
    return document


def _parquet(path: Path, shown: str = "") -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        damage = str(error).splitlines()[0]
        raise RunError(
            shown or str(path), "a complete table", damage, "Run the stage that wrote it again."
        ) from error
