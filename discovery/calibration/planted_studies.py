"""Calibration: what a study of a given size can find, by planted graphs of that size and simulated answers.

Each planted graph is random, its roles answer with the noise measured on the built-in respondent, and the
very functions discovery.discover and discovery.effects.testing are run on the scores. What they find is held
against the truth. It says how far such a study can be trusted if the model's values hang together in such a
way and its answers scatter as the respondent's do; a model that answers worse does worse.

The tables:

- graphs: graph (number), which (graph: the consensus of the replicates, which effects are tested against;
  all_roles: of all training roles; averaged: of the replicates; scores and values: the consensus in the sweep
  over numbers of roles, on scores and on the values themselves, which is what perfect measurement would
  give), roles, the counts of discovery.comparison.agreement.count against the planted CPDAG, failed (why
  there is none). A value that was left out of a graph counts as one without edges.
- frequencies: graph, kind, bin, pairs, true, sum. Frequencies of the replicates in ten bins, and how many of
  the pairs are so in truth: adjacent; directed (a → b, ordered pairs; true: a causes b directly, also where
  no data could tell); ancestor (a → … → b).
- arrows: graph, bin, arrows, right, reversed, none. The arrows a → b of the consensus, by the share of the
  replicates that have a → b: how many, and where a causes b directly, b causes a, or no edge joins them.
- effects: graph, truth (steered: the value that a condition moves; moved: a descendant that it moves by
  STRONG or more; slightly: by less; still: no descendant), relation of the value to the steered one by the
  found graph, n, changed (of the n, how many the test found changed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import algorithm
from axiograph.discovery.calibration.summary import summarise
from axiograph.discovery.calibration.trial import (
    SWEEP,
    SWEEP_REPLICATES,
    Outcome,
    SimulatedStudy,
    planted_graph,
)
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.pc.inputs import MIN_ROWS
from axiograph.discovery.resampling.replicates import Progress
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.storage.figures import save_figure
from axiograph.engine.storage.files import write_atomic, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "axiograph-calibration/1"
SECONDS = 600.0  # of one core: what the default number of graphs should take
FEWEST, MOST = 6, 100
_TITLES = {"adjacent": "adjacent", "directed": "a → b", "ancestor": "ancestor"}
_COLOUR = "#1f5f8b"
SPARSE = 0.1  # planted graphs are sparse: what an algorithm takes, by its estimate for well-correlated scores


@dataclass(frozen=True, eq=False)
class Calibration:
    """`summary`: what can be trusted, as JSON types (discovery.calibration.summary); the tables are explained
    above. `failed`: reason → planted graphs for which discovery found none; they are in no other number."""

    study: SimulatedStudy
    graphs: pl.DataFrame
    frequencies: pl.DataFrame
    arrows: pl.DataFrame
    effects: pl.DataFrame
    contrast_p: list[float | None]
    failed: dict[str, int]
    effects_failed: dict[str, int]
    summary: dict[str, Any]

    @property
    def count(self) -> int:
        """Planted graphs."""
        return len(self.contrast_p)

    def save(self, directory: Path) -> list[Path]:
        """Write calibration.json, calibration_graphs.parquet, _frequencies, _arrows, _effects, and the
        reliability diagram. Raises RunError where the disk is full."""

        paths = [directory / "calibration.json"]
        for name in ("graphs", "frequencies", "arrows", "effects"):
            paths.append(directory / f"calibration_{name}.parquet")
            write_atomic(paths[-1], getattr(self, name).write_parquet)
        for suffix in ("png", "svg"):
            paths.append(directory / f"calibration.{suffix}")
            draw_reliability(self, paths[-1])
        write_json(paths[0], self.document())
        return paths

    def document(self) -> dict[str, Any]:
        """Settings and summary, as JSON types."""
        design = asdict(self.study.design)
        keys = ("agreement", "owner", "asked_train", "asked_test")
        design["items"] = {key: list(design.pop(key)) for key in keys}
        return {
            "schema": SCHEMA,
            "planted_graphs": self.count,
            "edges_per_value": self.study.edges_per_value,
            "seed": self.study.seed,
            "design": design | {"values": self.study.design.values},
            "analysis": self.study.analysis.document(),
            "noise": asdict(self.study.noise),
            "failed": self.failed,
            "effects_failed": self.effects_failed,
            **self.summary,
        }


def calibrate(
    study: SimulatedStudy,
    graphs: int | None = None,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Calibration:
    """Simulate `study` `graphs` times (None: `default_graphs`), on a planted graph of its own each.

    Graph g draws from child streams of (seed, g): the same result for any `jobs`, and graph g is the same
    whatever their number. `progress` is called with (done, total) graphs.

    Raises InputError for a design or settings that cannot be used, RunError where discovery fails on every
    planted graph."""
    _check(study)
    count = default_graphs(study) if graphs is None else graphs
    if count < 2:
        raise InputError("graphs", "2 or more", f"{count}", "20 or more say something.")
    if progress is not None:
        progress(0, count)
    outcomes = []
    for outcome in _outcomes(study, count, jobs):
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), count)
    failed = Counter(o.failed for o in outcomes if o.failed is not None)
    if sum(failed.values()) == count:
        reason, _ = failed.most_common(1)[0]
        raise RunError(
            "calibration", "a graph for some planted graphs", f"none: {reason}", "Ask more roles or items."
        )
    return _joined(study, outcomes, dict(failed))


def _joined(study: SimulatedStudy, outcomes: list[Outcome], failed: dict[str, int]) -> Calibration:
    graphs = pl.concat([o.graphs for o in outcomes], how="diagonal")
    frequencies = pl.concat([o.frequencies for o in outcomes if o.frequencies.height])
    arrows = pl.concat([o.arrows for o in outcomes if o.failed is None])
    moved = [o.effects for o in outcomes if o.effects.height]
    kinds = {"graph": pl.Int64(), "truth": pl.String(), "relation": pl.String()}
    schema = pl.Schema(kinds | {"n": pl.Int64(), "changed": pl.Int64()})
    effects = pl.concat([part.cast(schema) for part in moved]) if moved else pl.DataFrame(schema=schema)
    contrast_p = [o.contrast_p for o in outcomes]
    effects_failed = Counter(o.effects_failed for o in outcomes if o.effects_failed is not None)
    return Calibration(
        study=study,
        graphs=graphs,
        frequencies=frequencies,
        arrows=arrows,
        effects=effects,
        contrast_p=contrast_p,
        failed=failed,
        effects_failed=dict(effects_failed),
        summary=summarise(graphs, frequencies, arrows, effects, contrast_p, study.analysis.level),
    )


def _outcomes(study: SimulatedStudy, count: int, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from (planted_graph(study, number) for number in range(count))
        return
    from joblib import Parallel, delayed

    calls = (delayed(planted_graph)(study, number) for number in range(count))
    yield from Parallel(n_jobs=jobs, return_as="generator")(calls)


def _check(study: SimulatedStudy) -> None:
    design, chosen = study.design, algorithm(study.analysis.discovery.algorithm)
    if chosen.kind is not GraphKind.CPDAG:
        raise InputError(
            "calibration, discovery.algorithm",
            "an algorithm whose graphs can be held against a CPDAG",
            chosen.name,
            "Calibrate with algorithm pc: the planted values have no hidden common causes.",
        )
    if design.values < 2 or (design.train_roles + 1) // 2 < MIN_ROWS:
        raise InputError(
            "calibration",
            f"at least 2 values and {2 * MIN_ROWS} training roles",
            f"{design.values} and {design.train_roles}",
            "Give the study more of them.",
        )
    if study.analysis.discovery.correction == "repeats" and design.repeats < 2:
        raise InputError(
            "calibration, discovery.correction",
            "two repeats or more",
            f"{design.repeats}",
            "Set sampling.repeats, or correct by items.",
        )


def estimated_seconds(study: SimulatedStudy) -> float:
    """What one planted graph takes, in seconds of one core; a guess within a factor of three or so."""
    design, analysis = study.design, study.analysis
    one = algorithm(analysis.discovery.algorithm).seconds(design.values, design.train_roles)
    cells = design.values * max(1, design.conditions) * sum(design.effect_roles.values())
    answers = (
        sum(SWEEP[-1:]) * design.train_roles * len(design.owner) * (1 + 5 * (analysis.parts is not None))
    )
    searches = analysis.discovery.replicates + 2 * SWEEP_REPLICATES * len(SWEEP)
    return 0.4 + SPARSE * one * searches + 1e-6 * cells + 3e-7 * answers


def default_graphs(study: SimulatedStudy) -> int:
    """As many planted graphs as take about ten minutes of one core, from FEWEST to MOST."""
    return int(np.clip(SECONDS / estimated_seconds(study), FEWEST, MOST))


def draw_reliability(calibration: Calibration, path: Path) -> None:
    """Write `reliability_figure` as PNG or SVG, by the ending of `path`. RunError where the disk is full."""
    save_figure(reliability_figure(calibration), path)


def reliability_figure(calibration: Calibration) -> Figure:
    """The share of true pairs with its 95 % interval over the mean
    frequency of every bin, and below it how many pairs there are."""
    from matplotlib.figure import Figure

    kinds = list(_TITLES)
    figure = Figure(figsize=(3.6 * len(kinds), 5.0), layout="constrained")
    axes = figure.subplots(2, len(kinds), sharex=True, height_ratios=(3, 1), squeeze=False)
    for column, kind in enumerate(kinds):
        rows = [r for r in calibration.summary["frequencies"] if r["kind"] == kind and r["pairs"]]
        _diagram(axes[0, column], rows, _TITLES[kind])
        _counts(axes[1, column], rows)
    axes[0, 0].set_ylabel("share that is so in truth")
    axes[1, 0].set_ylabel("pairs")
    design = calibration.study.design
    figure.suptitle(
        f"{calibration.count} planted graphs, {design.values} values, {design.train_roles} training roles",
        fontsize=11,
    )
    return figure


def _diagram(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    if rows:
        x, y, low, high = (
            np.array([row[name] for row in rows])
            for name in ("mean_frequency", "true", "true_low", "true_high")
        )
        errors = np.clip([y - low, high - y], 0, None)
        axes.errorbar(x, y, errors, fmt="o", color=_COLOUR, markersize=4, capsize=2, linewidth=1)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=title)


def _counts(axes: Any, rows: list[dict[str, Any]]) -> None:
    axes.bar(
        [(row["from"] + row["to"]) / 2 for row in rows],
        [row["pairs"] for row in rows],
        width=0.09,
        color=_COLOUR,
    )
    axes.set_yscale("log")
    axes.set_xlabel("frequency over the replicates")
