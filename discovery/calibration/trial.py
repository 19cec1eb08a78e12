"""One planted graph of a calibration: asked, discovered, steered, and held against the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from axiograph.discovery.calibration.noise import ItemNoise
from axiograph.discovery.calibration.respondent import over_names
from axiograph.discovery.calibration.simulation import (
    EDGES_PER_VALUE,
    Analysis,
    Answers,
    Design,
    PlantedModel,
    Questioning,
    part_frame,
    profile_frame,
    random_model,
)
from axiograph.discovery.calibration.summary import GRAPHS, bin_of, binned
from axiograph.discovery.comparison.agreement import Stack, count
from axiograph.discovery.discover import Discovery, discover
from axiograph.discovery.effects.changes import BASELINE
from axiograph.discovery.effects.relations import Relation, relations
from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.ancestors import ancestor_table
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.matrix.profiles import PROVENANCE
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import share
from axiograph.discovery.numerics.streams import child_rng
from axiograph.engine.errors import AxiographError
from axiograph.engine.study.schema import DiscoverySpec, EffectsSpec, KnowledgeSpec

_MODEL, _VALUES, _ANSWERS, _STEERED = range(4)  # child streams of a graph
_TRAIN, _TEST = 0, 1  # groups of roles
CONTROL_GRAPHS = 199
SWEEP_REPLICATES = 100  # behind a consensus of the sweep: its threshold of a half needs no more
SWEEP = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the study's training roles
MIN_ROLES = 20
STRONG = 0.25  # in units of the value: effects from here on are told apart from smaller ones


@dataclass(frozen=True)
class SimulatedStudy:
    """All that a worker needs to make any graph from its number: what is asked of whom (`design`), how the
    answers scatter (`noise`), how they are analysed; `edges_per_value` of the planted graphs, `seed`.

    `sweep`: numbers of training roles whose graphs are compared, None for a quarter to eight times the
    design's."""

    design: Design
    noise: ItemNoise
    analysis: Analysis = Analysis()
    sweep: tuple[int, ...] | None = None
    edges_per_value: float = EDGES_PER_VALUE
    seed: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of roles of the sweep, ascending."""
        return sweep_sizes(self.design.train_roles) if self.sweep is None else tuple(sorted(set(self.sweep)))


def sweep_sizes(roles: int) -> tuple[int, ...]:
    """A quarter to eight times as many roles, MIN_ROLES at least, and the number itself."""
    return tuple(sorted({max(min(MIN_ROLES, roles), round(share * roles)) for share in SWEEP} | {roles}))


@dataclass(frozen=True, eq=False)
class Outcome:
    """Tables of one graph; discovery.calibration.planted_studies says what their columns mean. `failed`: why
    there is no graph of all training roles; None where there is one."""

    graphs: pl.DataFrame
    frequencies: pl.DataFrame
    arrows: pl.DataFrame
    effects: pl.DataFrame
    contrast_p: float | None
    failed: str | None
    effects_failed: str | None = None


@dataclass
class _Rows:
    number: int
    truth: CausalGraph
    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, which: str, roles: int, graph: CausalGraph | None, failed: str | None = None) -> None:
        row: dict[str, object] = {"graph": self.number, "which": which, "roles": roles, "failed": failed}
        if graph is not None:
            names = self.truth.names
            counts = count(Stack.of(over_names(graph, names), names), Stack.of(self.truth, names))
            row |= {
                name: int(number[0]) for name, number in counts.items() if not name.startswith("ancestors")
            }
        self.rows.append(row)


def planted_graph(study: SimulatedStudy, number: int) -> Outcome:
    """Graph `number` of a calibration: the same whoever makes it, and whatever else is made."""
    design = study.design
    model = random_model(child_rng(study.seed, number, _MODEL), design.values, study.edges_per_value)
    most = max(design.train_roles, *study.sizes, 0)
    values = model.draw(child_rng(study.seed, number, _VALUES, _TRAIN), most)
    asking = Questioning(design, study.noise, study.seed, (number, _ANSWERS), _TRAIN)
    train = asking.ask(values, design.asked_train, study.analysis.parts)
    rows = _Rows(number, model.graph)
    _sweep(study, rows, values, train)
    try:
        discovery = _discovered(study, train, design.train_roles, study.analysis.discovery.replicates)
    except AxiographError as error:
        for which in GRAPHS:
            rows.add(which, design.train_roles, None, error.found)
        empty = pl.DataFrame()
        return Outcome(_frame(rows), empty, empty, empty, None, error.found)
    for which in GRAPHS:
        rows.add(which, design.train_roles, getattr(discovery, which))
    counts, contrast_p, effects_failed = pl.DataFrame(), None, None
    if design.conditions and sum(design.effect_roles.values()) >= 2:
        try:
            counts, contrast_p = _effects(study, number, model, discovery, values, train)
        except AxiographError as error:
            effects_failed = error.found
    frequencies, arrows = _frequencies(number, model, discovery), _arrows(number, model, discovery)
    return Outcome(_frame(rows), frequencies, arrows, counts, contrast_p, None, effects_failed)


def _frame(rows: _Rows) -> pl.DataFrame:
    return pl.DataFrame(rows.rows, schema_overrides={"failed": pl.String}, infer_schema_length=None)


def _discovered(study: SimulatedStudy, train: Answers, roles: int, replicates: int) -> Discovery:
    """The study's discovery on the first `roles` roles."""
    names, parts = study.design.names, None
    if study.analysis.parts is not None:
        parts = part_frame(Answers(train.scores[:roles], train.parts[:roles], train.owner), names)
    # The planted graphs are random: what is known of the study's values says nothing about them.
    changed = {"replicates": replicates, "seed": study.seed, "knowledge": KnowledgeSpec()}
    spec = study.analysis.discovery.model_copy(update=changed)
    return discover(profile_frame(train.scores[:roles], names), spec, parts=parts, null_replicates=0)


def _sweep(study: SimulatedStudy, rows: _Rows, values: FloatArray, train: Answers) -> None:
    """The consensus at each number of roles: of the scores, and of the values themselves."""
    replicates = min(SWEEP_REPLICATES, study.analysis.discovery.replicates)
    perfect = replace(study, analysis=replace(study.analysis, discovery=_uncorrected(study)))
    whole = Answers(values, np.empty((len(values), 0)), np.empty(0, np.int64))
    for roles in study.sizes:
        for which in ("scores", "values"):
            try:
                if which == "scores":
                    graph = _discovered(study, train, roles, replicates).graph
                else:
                    graph = _discovered(perfect, whole, roles, replicates).graph
            except AxiographError as error:
                rows.add(which, roles, None, error.found)
            else:
                rows.add(which, roles, graph)


def _uncorrected(study: SimulatedStudy) -> DiscoverySpec:
    """The study's discovery for scores without error or gaps."""
    return study.analysis.discovery.model_copy(update={"correction": "none"})


def _arrows(number: int, model: PlantedModel, discovery: Discovery) -> pl.DataFrame:
    """graph, bin, arrows, right, reversed, none: the arrows a → b of the consensus, by the share of the
    replicates that have a → b."""
    names, edges = model.graph.names, discovery.bootstrap.edges
    frequency, graph = share(edges.forward, edges.together), discovery.graph
    place = np.array([names.index(name) for name in graph.names], dtype=np.int64)
    ends = np.array(graph.directed_edges(), dtype=np.int64).reshape(-1, 2)
    a, b = place[ends[:, 0]], place[ends[:, 1]]
    right, turned = model.dag[a, b], model.dag[b, a]
    table = pl.DataFrame(
        {
            "bin": bin_of(frequency[ends[:, 0], ends[:, 1]]),
            "right": right.astype(np.int64),
            "reversed": turned.astype(np.int64),
            "none": (~right & ~turned).astype(np.int64),
        }
    )
    sums = pl.col("right", "reversed", "none").sum()
    grouped = table.group_by("bin").agg(pl.len().cast(pl.Int64).alias("arrows"), sums).sort("bin")
    return grouped.select(pl.lit(number).alias("graph"), pl.all())


def _frequencies(number: int, model: PlantedModel, discovery: Discovery) -> pl.DataFrame:
    """Frequencies over the replicates, in bins, and how many of the pairs are so in truth: adjacent; directed
    (a causes b directly); ancestor (a path leads from a to b)."""
    names = model.graph.names
    number_of = {name: k for k, name in enumerate(names)}
    edges, above = discovery.bootstrap.edges.table(), ancestor_table(discovery.bootstrap.graphs)
    a, b = (np.array([number_of[name] for name in edges[end]], dtype=np.int64) for end in ("a", "b"))
    up = np.array([number_of[name] for name in above["ancestor"]], dtype=np.int64)
    down = np.array([number_of[name] for name in above["descendant"]], dtype=np.int64)
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
    study: SimulatedStudy,
    number: int,
    model: PlantedModel,
    discovery: Discovery,
    values: FloatArray,
    train: Answers,
) -> tuple[pl.DataFrame, float | None]:
    """Every condition moves one value and its descendants: what changed, by truth and by the found graph; and
    the p of expected against unexpected over all conditions."""
    design, rng = study.design, child_rng(study.seed, number, _STEERED)
    targets = _targets(rng, design)
    shifts = design.shift * rng.choice([-1.0, 1.0], design.conditions)
    frames = []
    for part, roles in design.effect_roles.items():
        if roles and part == "train":
            frames += _steered(study, number, model, part, values[:roles], train, targets, shifts)
        elif roles:
            true = model.draw(child_rng(study.seed, number, _VALUES, _TEST), roles)
            frames += _steered(study, number, model, part, true, None, targets, shifts)
    profiles = pl.concat(frames)
    worker = {name: pl.lit("simulated") for name in PROVENANCE}
    result = effects(
        profiles,
        profiles.select("role", "condition").with_columns(**worker),
        discovery.graph,
        EffectsSpec(
            roles="all",
            level=study.analysis.level,
            resamples=1,
            control_graphs=CONTROL_GRAPHS,
            seed=study.seed,
        ),
        replicates=discovery.bootstrap.graphs,
    )
    overall = result.contrasts.filter(
        (pl.col("scope") == "all conditions")
        & (pl.col("weights") == "replicates")
        & (pl.col("measure") == "share")
    )
    counts = _counted(number, model, discovery.graph, result.changes, targets, shifts)
    return counts, None if overall.is_empty() else overall["p"][0]


def _steered(
    study: SimulatedStudy,
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
    design = study.design
    group, asked = (_TRAIN, design.asked_train) if part == "train" else (_TEST, design.asked_test)
    questioning = Questioning(design, study.noise, study.seed, (number, _ANSWERS), group)
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
    number_of = {name: k for k, name in enumerate(names)}
    by_relation = relations(over_names(graph, names))
    kinds = np.full((len(names), len(names)), "", object)
    for relation in Relation:
        kinds[by_relation[relation]] = str(relation)
    np.fill_diagonal(kinds, "steered")
    total, reached = model.total, model.descendants
    tested = changes.filter(pl.col("changed").is_not_null())
    condition = [int(name[1:]) for name in tested["condition"]]
    source = targets[condition]
    size = np.abs(shifts[condition])
    other = np.array([number_of[name] for name in tested["value"]], dtype=np.int64)
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
