"""One planted graph of a calibration: asked, discovered, steered, and held against the truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import engine
from axiograph.discovery.calibration.noise import ItemNoise
from axiograph.discovery.calibration.respondent import over_names
from axiograph.discovery.calibration.simulation import (
    Analysis,
    Answers,
    Design,
    PlantedModel,
    Questioning,
    part_frame,
    profile_frame,
    random_model,
)
from axiograph.discovery.calibration.summary import binned
from axiograph.discovery.comparison.agreement import Stack, count
from axiograph.discovery.discover import Discovery, discover
from axiograph.discovery.effects.changes import BASELINE
from axiograph.discovery.effects.relations import Relation, relations
from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.ancestors import ancestor_table
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.matrix.profiles import PROVENANCE
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.resampling.rows import child_rng
from axiograph.engine.errors import AxiographError

_MODEL, _VALUES, _ANSWERS, _STEERED = range(4)  # child streams of a graph
_TRAIN, _TEST = 0, 1  # groups of roles
CONTROL_GRAPHS = 199
STRONG = 0.25  # in units of the value: effects from here on are told apart from smaller ones


@dataclass(frozen=True)
class Task:
    """All that a worker needs to make any graph from its number."""

    design: Design
    noise: ItemNoise
    analysis: Analysis
    sweep: tuple[int, ...]
    edges_per_value: float
    seed: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """Tables of one graph; discovery.calibration.planted_studies says what their columns mean. `failed`: why
    there is no graph of all training roles; None where there is one."""

    graphs: pl.DataFrame
    frequencies: pl.DataFrame
    effects: pl.DataFrame
    contrast_p: float | None
    failed: str | None
    effects_failed: str | None = None


@dataclass
class _Rows:
    graph: int
    truth: CausalGraph
    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, which: str, roles: int, found: CausalGraph | None, failed: str | None = None) -> None:
        row: dict[str, object] = {"graph": self.graph, "which": which, "roles": roles, "failed": failed}
        if found is not None:
            names = self.truth.names
            counts = count(Stack.of(over_names(found, names), names), Stack.of(self.truth, names))
            row |= {
                name: int(number[0]) for name, number in counts.items() if not name.startswith("ancestors")
            }
        self.rows.append(row)


def planted_graph(task: Task, number: int) -> Outcome:
    """Graph `number` of a calibration: the same whoever makes it, and whatever else is made."""
    design = task.design
    model = random_model(child_rng(task.seed, number, _MODEL), design.values, task.edges_per_value)
    most = max(design.train_roles, *task.sweep, 0)
    values = model.draw(child_rng(task.seed, number, _VALUES, _TRAIN), most)
    asking = Questioning(design, task.noise, task.seed, (number, _ANSWERS), _TRAIN)
    train = asking.ask(values, design.asked_train, task.analysis.correction)
    rows = _Rows(number, model.graph)
    _sweep(task, rows, values, train)
    try:
        found = _discovered(task, train, design.train_roles, task.analysis.replicates)
    except AxiographError as error:
        for which in ("graph", "consensus", "averaged"):
            rows.add(which, design.train_roles, None, error.found)
        empty = pl.DataFrame()
        return Outcome(_frame(rows), empty, empty, None, error.found)
    for which in ("graph", "consensus", "averaged"):
        rows.add(which, design.train_roles, getattr(found, which))
    moved, contrast_p, effects_failed = pl.DataFrame(), None, None
    if design.conditions and sum(design.effect_roles.values()) >= 2:
        try:
            moved, contrast_p = _effects(task, number, model, found, values, train)
        except AxiographError as error:
            effects_failed = error.found
    return Outcome(_frame(rows), _frequencies(number, model, found), moved, contrast_p, None, effects_failed)


def _frame(rows: _Rows) -> pl.DataFrame:
    return pl.DataFrame(rows.rows, schema_overrides={"failed": pl.String}, infer_schema_length=None)


def _discovered(task: Task, train: Answers, roles: int, replicates: int) -> Discovery:
    """The study's discovery on the first `roles` roles."""
    names, analysis = task.design.names, task.analysis
    parts = None
    if analysis.correction is not None:
        parts = part_frame(Answers(train.scores[:roles], train.parts[:roles], train.owner), names)
    return discover(
        profile_frame(train.scores[:roles], names),
        alpha=analysis.alpha,
        replicates=replicates,
        resample=analysis.resample,
        seed=task.seed,
        threshold=analysis.threshold,
        null_replicates=0,
        pairwise=analysis.pairwise,
        parts=parts,
        part=analysis.correction or "item",
        **analysis.more,
    )


def _sweep(task: Task, rows: _Rows, values: FloatArray, train: Answers) -> None:
    """The graph of all roles at each number of roles: of the scores, and of the values themselves."""
    analysis = task.analysis
    run = engine(analysis.more.get("algorithm", "pc"), analysis.more.get("settings"))
    for roles in task.sweep:
        for which in ("scores", "values"):
            try:
                if which == "scores":
                    found = _discovered(task, train, roles, 1).graph
                else:
                    found = run(values[:roles], task.design.names, analysis.alpha).graph
            except AxiographError as error:
                rows.add(which, roles, None, error.found)
            else:
                rows.add(which, roles, found)


def _frequencies(number: int, model: PlantedModel, found: Discovery) -> pl.DataFrame:
    """Frequencies over the replicates, in bins, and how many of the pairs are so in truth: adjacent; directed
    (a causes b directly); ancestor (a path leads from a to b)."""
    names = model.graph.names
    place = {name: k for k, name in enumerate(names)}
    edges, above = found.bootstrap.edge_table(), ancestor_table(found.bootstrap.graphs)
    a, b = (np.array([place[name] for name in edges[end]], dtype=np.int64) for end in ("a", "b"))
    up = np.array([place[name] for name in above["ancestor"]], dtype=np.int64)
    down = np.array([place[name] for name in above["descendant"]], dtype=np.int64)
    dag = model.dag
    tables = {
        "adjacent": (edges["adjacent"].to_numpy(), (dag | dag.T)[a, b]),
        "directed": (
            np.concatenate([edges["forward"].to_numpy(), edges["backward"].to_numpy()]),
            np.concatenate([dag[a, b], dag[b, a]]),
        ),
        "ancestor": (above["definite"].to_numpy(), model.descendants[up, down]),
    }
    parts = [
        binned(frequencies, true).select(pl.lit(number).alias("graph"), pl.lit(kind).alias("kind"), pl.all())
        for kind, (frequencies, true) in tables.items()
    ]
    return pl.concat(parts)


def _effects(
    task: Task, number: int, model: PlantedModel, found: Discovery, values: FloatArray, train: Answers
) -> tuple[pl.DataFrame, float | None]:
    """Every condition moves one value and its descendants: what changed, by truth and by the found graph; and
    the p of expected against unexpected over all conditions."""
    design, rng = task.design, child_rng(task.seed, number, _STEERED)
    targets = _targets(rng, design)
    shifts = design.shift * rng.choice([-1.0, 1.0], design.conditions)
    frames = []
    for part, roles in design.effect_roles.items():
        if roles and part == "train":
            frames += _steered(task, number, model, part, values[:roles], train, targets, shifts)
        elif roles:
            true = model.draw(child_rng(task.seed, number, _VALUES, _TEST), roles)
            frames += _steered(task, number, model, part, true, None, targets, shifts)
    profiles = pl.concat(frames)
    worker = {name: pl.lit("simulated") for name in PROVENANCE}
    result = effects(
        profiles,
        profiles.select("role", "condition").with_columns(**worker),
        found.graph,
        split=None,
        level=task.analysis.level,
        interval_resamples=1,
        control_graphs=CONTROL_GRAPHS,
        seed=task.seed,
    )
    overall = result.contrasts.filter(
        (pl.col("scope") == "all conditions")
        & (pl.col("weights") == "graph")
        & (pl.col("measure") == "share")
    )
    counts = _counted(number, model, found.graph, result.changes, targets, shifts)
    return counts, None if overall.is_empty() else overall["p"][0]


def _steered(
    task: Task,
    number: int,
    model: PlantedModel,
    part: str,
    true: FloatArray,
    before: Answers | None,
    targets: np.ndarray,
    shifts: np.ndarray,
) -> list[pl.DataFrame]:
    """Profiles of the roles with values `true`: the baseline (`before`, where it was asked already) and every
    condition."""
    design = task.design
    group, asked = (_TRAIN, design.asked_train) if part == "train" else (_TEST, design.asked_test)
    questioning = Questioning(design, task.noise, task.seed, (number, _ANSWERS), group)
    baseline = (before or questioning.ask(true, asked)).scores[: len(true)]
    frames = [profile_frame(baseline, design.names, part, condition=BASELINE)]
    for c, (target, shift) in enumerate(zip(targets, shifts, strict=True)):
        after = questioning.ask(true + shift * model.total[target], asked, condition=c)
        frames.append(profile_frame(after.scores, design.names, part, condition=f"c{c}"))
    return frames


def _targets(rng: np.random.Generator, design: Design) -> np.ndarray:
    """The steered value of each condition: different ones as long as there are some."""
    rounds = -(-design.conditions // design.values)
    return np.concatenate([rng.permutation(design.values) for _ in range(rounds)])[: design.conditions]


def _counted(
    number: int,
    model: PlantedModel,
    graph: CausalGraph,
    changes: pl.DataFrame,
    targets: np.ndarray,
    shifts: np.ndarray,
) -> pl.DataFrame:
    """graph, truth (steered, moved: a strong effect, slightly: a weaker one, still), relation (by the found
    graph), n, changed (of those)."""
    names = model.graph.names
    place = {name: k for k, name in enumerate(names)}
    known = relations(over_names(graph, names))
    kinds = np.full((len(names), len(names)), "", object)
    for relation in Relation:
        kinds[known[relation]] = str(relation)
    np.fill_diagonal(kinds, "steered")
    total, reached = model.total, model.descendants
    tested = changes.filter(pl.col("changed").is_not_null())
    condition = [int(name[1:]) for name in tested["condition"]]
    source = targets[condition]
    size = np.abs(shifts[condition])
    other = np.array([place[name] for name in tested["value"]], dtype=np.int64)
    strong = np.abs(total[source, other]) * size >= STRONG
    truth = np.where(reached[source, other], np.where(strong, "moved", "slightly"), "still").astype(object)
    truth[source == other] = "steered"
    table = pl.DataFrame(
        {
            "truth": pl.Series(truth.tolist(), dtype=pl.String),
            "relation": pl.Series(kinds[source, other].tolist(), dtype=pl.String),
            "changed": tested["changed"],
        }
    )
    grouped = table.group_by("truth", "relation").agg(
        n=pl.len().cast(pl.Int64), changed=pl.col("changed").sum().cast(pl.Int64)
    )
    return grouped.sort("truth", "relation").select(pl.lit(number).alias("graph"), pl.all())
