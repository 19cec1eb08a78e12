"""The paper's graph and tables from its published answers, compared cell by cell with the published ones."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import write_graph
from axiograph.discovery.graph.figure import draw_graph
from axiograph.discovery.paper.answers import PublishedAnswers, read_answers
from axiograph.discovery.paper.procedures import (
    closure,
    directed_edges,
    feature_changes,
    pooled_graph,
    role_changes,
    steering_counts,
    table1,
    table2_rows,
    transitive_reduction,
)
from axiograph.discovery.paper.published_tables import (
    Artefact,
    Counts,
    ExpectedComparison,
    ExpectedGraph,
    Table,
    compare_edges,
    compare_tables,
    feature_name,
    flat,
    number_cell,
    read_document,
    read_table,
    text_cell,
)
from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import write_text

ROLE = "Mary Holt"
REPLICATION_FILE = "replication.json"
SCHEMA = "axiograph-replication/1"


@dataclass(frozen=True)
class ReplicationResult:
    """What was computed, and how it compares with the `expected_*` files of the directory.

    `features`: those whose rows were pooled; `graph`: PC's, before the reduction; `reduced_edges`: of its
    transitive reduction; `steering`: side → counts, None without the published comparison; `artefacts`: one
    for each `expected_*` file; `notes`: what was left out, a sentence each."""

    features: tuple[int, ...]
    graph: CausalGraph
    reduced_edges: list[tuple[str, str]]
    table1: Table
    table2: Table
    steering: dict[str, Counts] | None
    artefacts: list[Artefact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reference_edges: list[tuple[str, str]] | None = None
    directory: Path = Path()
    role: str = ROLE

    @property
    def ok(self) -> bool:
        """True where no compared cell differs."""
        return all(artefact.equal == artefact.total for artefact in self.artefacts)

    def document(self) -> dict[str, Any]:
        """What it was made from, its reduced graph and the reference graph, and how it compares, as JSON
        types."""
        names = ("axiograph", "causal-learn", "polars", "numpy")
        return {
            "schema": SCHEMA,
            "directory": str(self.directory),
            "features": list(self.features),
            "role": self.role,
            "values": list(self.graph.names),
            "reduced_edges": [list(edge) for edge in self.reduced_edges],
            "reference_edges": None
            if self.reference_edges is None
            else [list(e) for e in self.reference_edges],
            "artefacts": [asdict(artefact) for artefact in self.artefacts],
            "notes": list(self.notes),
            "versions": {"python": platform.python_version()}
            | {name: metadata.version(name) for name in names},
        }

    def summary(self) -> str:
        """Equal/total for each artefact, the differences and the notes, as text."""
        lines = [f"features: {', '.join(map(str, self.features))}"]
        for artefact in self.artefacts:
            line = f"{artefact.name:<20} {artefact.equal}/{artefact.total} cells equal"
            if artefact.max_difference is not None:
                line += f" (largest difference {artefact.max_difference:.3g})"
            lines += [line, *(f"  {text}" for text in artefact.differences)]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)]) + "\n"


def replicate(
    directory: Path, features: list[int] | None = None, out: Path | None = None, *, role: str = ROLE
) -> ReplicationResult:
    """Reproduce the paper's graph, Table 1, Table 2 and steering comparison from published answers.

    `directory`: `answers_train.csv`, `answers_test.csv` and, each where present, `expected_graph.json`
    (also the reference graph), `expected_table1.csv`, `expected_table2.csv` and
    `expected_steering_comparison.json` (also which feature was chosen for which value; it needs
    `compare_positive.csv`, `compare_negative.csv`). `features`: those to use; None for every feature that
    both files have. `role`: whose rows make Table 2 "by features". `out`: where results are written.

    Raises InputError for missing or malformed files and unknown features; errors of PC as it does."""
    train = read_answers(directory / "answers_train.csv")
    test = read_answers(directory / "answers_test.csv").reordered(train.values)
    notes: list[str] = []
    steered = _features(train, test, features, notes)
    expected = _Expected.read(directory)
    graph = pooled_graph(train, steered)
    edges = directed_edges(graph)
    reduced = [(train.values[i], train.values[j]) for i, j in transitive_reduction(edges, len(train.values))]
    reference = _reference_edges(directory, expected.graph, train.values, notes)
    first = _table1(train, test, steered)
    second = _table2(test, steered, role, edges, reference, notes)
    steering = None if expected.comparison is None else _steering(directory, test, expected.comparison)
    artefacts = expected.compare(reduced, first, second, steering, notes)
    result = ReplicationResult(
        features=tuple(steered),
        graph=graph,
        reduced_edges=reduced,
        table1=first,
        table2=second,
        steering=steering,
        artefacts=artefacts,
        notes=notes,
        reference_edges=None
        if reference is None
        else [(train.values[i], train.values[j]) for i, j in reference],
        directory=directory,
        role=role,
    )
    if out is not None:
        _write(result, out)
    return result


def _features(
    train: PublishedAnswers, test: PublishedAnswers, features: Sequence[int] | None, notes: list[str]
) -> list[int]:
    in_both = [f for f in train.features() if f in test.features()]
    if features is None:
        lone = sorted({*train.features(), *test.features()} - set(in_both))
        if lone:
            notes.append(f"features in one of the two answer files only, left out: {lone}")
        chosen = in_both
    else:
        chosen = list(dict.fromkeys(features))
    if not chosen:
        raise InputError("features", "at least one steered feature", "none", "Name features of the answers.")
    for answers in (train, test):
        unknown = [f for f in chosen if f not in answers.features()]
        if unknown:
            raise InputError(
                f"{answers.path}, features",
                f"some of {sorted(answers.features())}",
                f"{unknown}",
                "Correct them.",
            )
    return chosen


def _reference_edges(
    directory: Path, expected: ExpectedGraph | None, values: Sequence[str], notes: list[str]
) -> list[tuple[int, int]] | None:
    edges = None if expected is None else expected.human_reference_edges
    if edges is None:
        notes.append("no reference graph (human_reference_edges of expected_graph.json): Table 2 without it")
        return None
    unknown = sorted({name for edge in edges for name in edge} - set(values))
    if unknown:
        where = f"{directory / 'expected_graph.json'}, human_reference_edges"
        raise InputError(where, "names of values of the answers", f"{unknown}", "Check the file.")
    return [(values.index(a), values.index(b)) for a, b in edges]


def _table1(train: PublishedAnswers, test: PublishedAnswers, features: Sequence[int]) -> Table:
    rows = table1(train, test, sorted(features))
    return {str(feature): dict(zip(train.values, row, strict=True)) for feature, row in rows.items()}


def _table2(
    test: PublishedAnswers,
    features: Sequence[int],
    role: str,
    edges: list[tuple[int, int]],
    reference: list[tuple[int, int]] | None,
    notes: list[str],
) -> Table:
    """Rows named as in the published table: by roles (prompt) and by features (sae), for the model's own
    graph (ours) and the reference graph (refs)."""
    by_features = feature_changes(test, role, features)
    if by_features is None:
        notes.append(f"role {role!r} has no unsteered row in {test.path.name}: Table 2 without 'by features'")
    table: Table = {}
    for source, changes in (("prompt", role_changes(test)), ("sae", by_features)):
        for graph, arrows in (("ours", edges), ("refs", reference)):
            if changes is None or arrows is None:
                continue
            for name, row in table2_rows(changes, closure(arrows, len(test.values))).items():
                key = f"mean_scorechange__{source}_{graph}_{name}"
                table[key] = dict(zip(test.values, row, strict=True))
    return table


def _steering(directory: Path, test: PublishedAnswers, comparison: ExpectedComparison) -> dict[str, Counts]:
    where = str(directory / "expected_steering_comparison.json")
    result: dict[str, Counts] = {}
    for side, targets in comparison.features.items():
        unknown = [v for v in targets if v not in test.values]
        unknown += [str(f) for f in targets.values() if f not in test.features()]
        if unknown:
            raise InputError(
                where, "values and features of answers_test.csv", f"{unknown}", "Check the file."
            )
        prompt = read_answers(directory / f"compare_{side}.csv").reordered(test.values)
        result[side] = {
            "sae": steering_counts(test, test, targets),
            "hard_prompt": steering_counts(test, prompt, dict.fromkeys(targets)),
        }
    return result


@dataclass(frozen=True)
class _Expected:
    """The published artefacts that the directory holds; None for those it does not."""

    graph: ExpectedGraph | None
    table1: Table | None
    table2: Table | None
    comparison: ExpectedComparison | None

    @classmethod
    def read(cls, directory: Path) -> _Expected:
        return cls(
            graph=read_document(directory / "expected_graph.json", ExpectedGraph),
            table1=read_table(directory / "expected_table1.csv", feature_name, text_cell),
            table2=read_table(directory / "expected_table2.csv", str, number_cell),
            comparison=read_document(directory / "expected_steering_comparison.json", ExpectedComparison),
        )

    def compare(
        self,
        reduced: list[tuple[str, str]],
        first: Table,
        second: Table,
        steering: dict[str, Counts] | None,
        notes: list[str],
    ) -> list[Artefact]:
        artefacts = []
        if self.graph is not None:
            artefacts.append(compare_edges(self.graph.reduced_edges, reduced))
        for name, expected, computed in (("Table 1", self.table1, first), ("Table 2", self.table2, second)):
            if expected is not None:
                artefacts.append(compare_tables(name, expected, computed))
                more = [row for row in computed if row not in expected]
                if more:
                    notes.append(f"{name}: rows not in the published table, compared with nothing: {more}")
        if self.comparison is not None and steering is not None:
            computed = {side: flat(counts) for side, counts in steering.items()}
            artefacts.append(compare_tables("steering comparison", self.comparison.table(), computed))
        if not artefacts:
            notes.append("no expected_* file in the directory: nothing was compared")
        return artefacts


def _write(result: ReplicationResult, out: Path) -> None:
    names = result.graph.names
    write_graph(result.graph, out, "pooled_graph")
    reduced = CausalGraph.from_edges(names, result.reduced_edges)
    draw_graph(reduced, out / "reduced_graph.png", title="Pooled answers, transitive reduction (paper mode)")
    write_text(
        out / "reduced_edges.json", json.dumps(result.reduced_edges, indent=1, ensure_ascii=False) + "\n"
    )
    for name, table in (("table1", result.table1), ("table2", result.table2)):
        write_text(out / f"{name}.csv", _csv(table, names))
    if result.steering is not None:
        write_text(out / "steering_comparison.json", json.dumps(result.steering, indent=1) + "\n")
    write_text(out / "summary.txt", result.summary())
    write_text(out / REPLICATION_FILE, json.dumps(result.document(), indent=1, ensure_ascii=False) + "\n")


def _csv(table: Table, columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *columns])
    for row, cells in table.items():
        writer.writerow([row, *(cells[column] for column in columns)])
    return text.getvalue()
