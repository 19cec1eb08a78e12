"""Paper mode (DESIGN 15): the procedures of Kang et al. (Findings of ACL 2025), to the digit.

They differ from axiograph's own on purpose: rows of all conditions are pooled, an undirected edge counts
as both directions, any non-zero change is a change. Never the default; see `discovery.paper.replication`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from axiograph.discovery.effects.contrast import response_shares, sign_counts
from axiograph.discovery.graph.causal_graph import CausalGraph, reachability
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import InputError

_ANY = 0.0  # the paper counts any difference of two scores, without a tolerance
_KEYS = ("steer_dim", "player_name")
_IGNORED = ("steer_dim", "player_name", "stds", "scstds")


@dataclass(frozen=True)
class Answers:
    """Published answers: `feature[k]` (None: unsteered) and `role[k]` (None: no role) of row k of `scores`
    [n_rows, n_values]; at most one row per feature and role."""

    path: Path
    feature: tuple[int | None, ...]
    role: tuple[str | None, ...]
    values: tuple[str, ...]
    scores: FloatArray

    def rows(self, feature: int | None) -> dict[str | None, FloatArray]:
        """Role → scores [n_values] under a feature, in file order."""
        return {r: s for f, r, s in zip(self.feature, self.role, self.scores, strict=True) if f == feature}

    def features(self) -> list[int]:
        """The steered features, in file order."""
        return [f for f in dict.fromkeys(self.feature) if f is not None]

    def reordered(self, values: tuple[str, ...]) -> Answers:
        """The same answers with the value columns in the order of `values`; InputError if they differ."""
        if sorted(values) != sorted(self.values):
            differing = ", ".join(sorted(set(values) ^ set(self.values)))
            raise InputError(str(self.path), "the same values in every file", f"{differing}", "Check DIR.")
        order = [self.values.index(value) for value in values]
        return replace(self, values=values, scores=self.scores[:, order])

    def keeping(self, features: Sequence[int]) -> FloatArray:
        """[n_rows, n_values]: the unsteered rows and those of `features`, pooled in file order."""
        kept = [k for k, f in enumerate(self.feature) if f is None or f in features]
        return self.scores[kept]


def read_answers(path: Path) -> Answers:
    """Read a CSV of `steer_dim, player_name`, a column per value; `:scstd` and `stds` columns are ignored.

    Raises InputError for a missing or unreadable file, missing columns, a score that is not a finite
    number, a feature that is not an integer, and two rows of one feature and role."""
    try:
        table = pl.read_csv(path, infer_schema=False)
    except OSError as error:
        raise InputError(
            str(path), "a file of published answers", f"{error.strerror or 'no such file'}", "Check DIR."
        ) from error
    except pl.exceptions.PolarsError as error:
        raise InputError(str(path), "a CSV table", str(error).splitlines()[0], "Check the file.") from error
    missing = [name for name in _KEYS if name not in table.columns]
    values = [name for name in table.columns if name not in _IGNORED and not name.endswith(":scstd")]
    if missing or not values:
        found = f"no {' and no '.join(missing)}" if missing else "no value column"
        raise InputError(str(path), "columns steer_dim, player_name and values", found, "Check the file.")
    feature = tuple(_feature(path, k, text) for k, text in enumerate(table["steer_dim"]))
    role = tuple(table["player_name"])
    _check_unique(path, feature, role)
    return Answers(path, feature, role, tuple(values), _scores(path, table, values))


def directed_edges(graph: CausalGraph) -> list[tuple[int, int]]:
    """The paper's directed graph of a CPDAG: → is kept, — and ↔ become both directions.

    For i < j in column order, as (i, j) before (j, i)."""
    forward = graph.directed_mask()
    both = graph.undirected_mask() | graph.bidirected_mask()
    edges = []
    for i, j in np.argwhere(np.triu(graph.adjacency())).tolist():
        edges += [(i, j)] if forward[i, j] or both[i, j] else []
        edges += [(j, i)] if forward[j, i] or both[i, j] else []
    return edges


def transitive_reduction(edges: Sequence[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """Drop edges that change no reachability, in the paper's order, until none can be dropped.

    With cycles the result depends on the order: an edge that is kept moves to the end of the list."""
    kept = list(edges)
    whole = closure(kept, n)
    dropped = True
    while dropped:
        dropped = False
        for edge in list(kept):
            kept.remove(edge)
            if np.array_equal(closure(kept, n), whole):
                dropped = True
            else:
                kept.append(edge)
    return kept


def closure(edges: Sequence[tuple[int, int]], n: int) -> BoolArray:
    """[n, n]: where a path leads from i to j."""
    mask = np.zeros((n, n), dtype=bool)
    for i, j in edges:
        mask[i, j] = True
    return reachability(mask)


def pooled_graph(answers: Answers, features: Sequence[int], alpha: float = 0.05) -> CausalGraph:
    """causal-learn's PC on unsteered and steered rows pooled. Constant values get no edge.

    Raises as `discovery.pc.search.pc` does."""
    found = pc(answers.keeping(features), answers.values, alpha)
    names = found.graph.names
    edges = [(names[i], names[j]) for i, j in found.graph.directed_edges()]
    lines = [(names[i], names[j]) for i, j in found.graph.undirected_edges()]
    double = [(names[i], names[j]) for i, j in found.graph.bidirected_edges()]
    return CausalGraph.from_edges(answers.values, edges, lines, double)


def table1(train: Answers, test: Answers, features: Sequence[int]) -> dict[int, list[str]]:
    """Table 1: per feature and value `up/down/same` over train roles, then over test roles.

    A role counts where it has both an unsteered and a steered row."""
    table = {}
    for feature in features:
        counts = [c for answers in (train, test) for c in sign_counts(steered_change(answers, feature), _ANY)]
        table[feature] = ["/".join(str(c[k]) for c in counts) for k in range(len(train.values))]
    return table


def steering_counts(test: Answers, steered: Answers, targets: Mapping[str, int | None]) -> dict[str, int]:
    """How many (role, value) pairs went `up`, `down` or stayed the `same`.

    `targets`: value → the feature whose rows of `steered` are compared with the unsteered rows of `test`;
    None for its unsteered rows (the hard prompt's)."""
    totals = dict.fromkeys(("up", "down", "same"), 0)
    for value, feature in targets.items():
        k = test.values.index(value)
        change = paired_change(test.rows(None), steered.rows(feature), len(test.values))
        for name, count in zip(totals, sign_counts(change[:, [k]], _ANY), strict=True):
            totals[name] += int(count[0])
    return totals


def steered_change(answers: Answers, feature: int) -> FloatArray:
    """[n_roles, n_values]: scores under the feature − unsteered scores, of the roles that have both."""
    return paired_change(answers.rows(None), answers.rows(feature), len(answers.values))


def paired_change(
    before: dict[str | None, FloatArray], after: dict[str | None, FloatArray], n_values: int
) -> FloatArray:
    """[n_roles, n_values]: after − before for the roles in both."""
    rows = [after[role] - scores for role, scores in before.items() if role in after]
    return np.array(rows).reshape(-1, n_values)


def role_changes(test: Answers) -> FloatArray:
    """[n_roles, n_values]: unsteered scores of the rows with a role − those of the first of them."""
    rows = [scores for role, scores in test.rows(None).items() if role is not None]
    if not rows:
        raise InputError(str(test.path), "unsteered rows with a role", "none", "Check the file.")
    return np.array(rows) - rows[0]


def feature_changes(test: Answers, role: str, features: Sequence[int]) -> FloatArray | None:
    """[n_features, n_values]: the role's scores under each feature − unsteered; None if it has no
    unsteered row."""
    base = test.rows(None).get(role)
    if base is None:
        return None
    rows = [scores[role] - base for f in features if role in (scores := test.rows(f))]
    return np.array(rows).reshape(-1, len(test.values))


def table2_rows(changes: FloatArray, reach: BoolArray) -> dict[str, list[float | None]]:
    """Two rows of Table 2: how often descendants (expected) and all other values (unexpected) changed.

    None, an empty cell, where the value never changed or there is nothing to average."""
    others = ~np.eye(len(reach), dtype=bool)
    return {
        "expected": response_shares(changes, reach & others, _ANY),
        "unexpected": response_shares(changes, ~reach & others, _ANY),
    }


def _feature(path: Path, k: int, text: str | None) -> int | None:
    if text is None or text == "":
        return None
    try:
        number = float(text)
        if number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(
            f"{path}, line {k + 2}", "steer_dim empty or an integer", f"{text!r}", "Check the file."
        ) from None
    return int(number)


def _check_unique(path: Path, feature: Sequence[int | None], role: Sequence[str | None]) -> None:
    seen: set[tuple[int | None, str | None]] = set()
    for k, key in enumerate(zip(feature, role, strict=True)):
        if key in seen:
            raise InputError(
                f"{path}, line {k + 2}",
                "one row per steer_dim and player_name",
                f"{key} again",
                "Remove one.",
            )
        seen.add(key)


def _scores(path: Path, table: pl.DataFrame, values: Sequence[str]) -> FloatArray:
    numbers = table.select(values).cast(pl.Float64, strict=False)
    for name in values:
        bad = numbers.select(~pl.col(name).is_finite().fill_null(False)).to_series().arg_true()
        if len(bad):
            line, text = bad[0] + 2, table[name][bad[0]]
            raise InputError(
                f"{path}, line {line}, column {name!r}", "a score", f"{text!r}", "Remove or complete the row."
            )
    return np.ascontiguousarray(numbers.to_numpy())
