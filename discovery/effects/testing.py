"""What changed under each condition, against what a graph and its replicates expect (DESIGN 3, 13).

The only place that computes changes. A change is a paired difference: the same role under the condition
and under the baseline, from the same backend, dtype and device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import (
    BASELINE,
    Changes,
    Pairing,
    check_graph,
    find_changes,
    select_roles,
)
from axiograph.discovery.effects.control import ControlInput, Judging, control
from axiograph.discovery.effects.moderation import Prior
from axiograph.discovery.effects.relations import DrawnGraphs, Judge, Judges, Weights
from axiograph.discovery.effects.responses import Measure, Outcomes, Ratio, Response, respond
from axiograph.discovery.effects.tables import (
    ALL,
    CONDITION,
    NO_CHANGE,
    Contrast,
    Counts,
    Rows,
    contrast_frame,
    response_frame,
)
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.matrix.profiles import check_provenance, value_columns
from axiograph.discovery.numerics.intervals import RoleDraws
from axiograph.engine.study.schema import EffectsSpec

_STREAM = (1, 0)  # child seed of the replicates' graphs; the control has (2, g)


@dataclass(frozen=True)
class Effects:
    """The tables of `effects`, which explains their columns, and what they rest on: `spec`; the `prior` of
    the moderated t (None: tables of an earlier version, whose test was a bootstrap); how many graphs of
    resamples there were (`graph_replicates`); the values that are `not_in_graph`; its directed `cycles`;
    the conditions that are `negative_controls`; `judges`: condition → what was left out of the graph that it
    was held against, where that is another than the graph of `relations`."""

    changes: pl.DataFrame
    relations: pl.DataFrame
    responses: pl.DataFrame
    pooled: pl.DataFrame
    contrasts: pl.DataFrame
    spec: EffectsSpec
    prior: Prior | None
    graph_replicates: int
    not_in_graph: tuple[str, ...]
    cycles: list[tuple[str, ...]]
    negative_controls: tuple[str, ...] = ()
    judges: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_graph(self) -> bool:
        """Whether changes were held against a graph."""
        return bool(self.relations.columns)


def effects(
    profiles: pl.DataFrame,
    provenance: pl.DataFrame,
    graph: CausalGraph | None,
    spec: EffectsSpec = EffectsSpec(),
    *,
    replicates: PackedGraphs | None = None,
    judges: Judges | None = None,
) -> Effects:
    """Which values every condition changed, and which of those changes the graph expects.

    `profiles`: role, condition, split and a column per value, null where missing. `provenance`: role,
    condition, backend, dtype, device, one row or more per profile. `graph`: over some or all of the value
    columns; changes of the others are tested too, but have no relation (`not_in_graph`); None: there is
    none, changes are all there is, and the other tables are without columns. `spec`: how, as in
    a study; on which part of the roles, among others. `replicates`: the graphs of resamples of the roles
    that `graph` came from, over the same values. `judges`: graphs that single conditions are held against in
    place of `graph`, such as were made without them (`judges.first` is `graph` with `replicates`).

    `changes`: condition, value, pairs (roles with both scores), mean_difference (condition − baseline),
    low and high (at 1 − `spec.level`, pointwise) and p by the moderated t over all contrasts
    (discovery.effects.moderation), p_adjusted (two-stage Benjamini–Hochberg over all conditions ×
    values: discovery.effects.changes.two_stages), changed, adjusted_low and adjusted_high (for the changed
    ones, adjusted for the choice as Benjamini & Yekutieli 2005, JASA 100, do: at the level of the cut below
    which p is rejected), direction (up, down; null if not
    changed), few_pairs (fewer than 6: nothing is tested; p, interval and changed are null). The interval at
    1 − a excludes 0 exactly where p ≤ a: changed ⇔ the adjusted interval excludes 0.

    `relations`: every ordered pair of values of the graph, see Weights.frame.

    `responses`: condition, value (a changed one), relation, weights (graph: a value has the relation or not;
    replicates: it counts with the share of replicates in which it has it), n (others tested with a weight
    above 0), uncounted (others that are in no replicate together with the value: they are left out), weight
    (sum of the weights), changed (of those that changed), share = changed / weight, size and roles_share
    (discovery.effects.responses), each with *_low and *_high (over roles) and share and size with
    *_graphs_low and *_graphs_high (over roles and graphs; for the weights of replicates). Null where weight
    is 0, and reason says why. `pooled`: the same over all changed values of a condition (scope condition) and
    of all (scope all conditions); targets: how many changed values. Intervals are pointwise, at 1 − level,
    from the first `spec.resamples` draws of the roles.

    `contrasts`: of `pooled`, expected − unexpected of share and size (`measure`) as difference, with its
    intervals and the control (discovery.effects.control) of `spec.control_graphs` random graphs:
    control_mean, control_low and control_high (the range of 1 − level of them), control_graphs (how many
    have a difference), p, and p_adjusted (Benjamini–Hochberg over the conditions, for each of weights and
    measure).

    Raises InputError for a missing column, condition or split, unknown names in the graph, two rows of a
    role in a condition; RunError where a contrast would join rows of different provenance.
    """
    names = value_columns(profiles)
    if graph is not None:
        check_graph(graph, names)
    selected = select_roles(profiles, None if spec.roles == "all" else spec.roles, BASELINE)
    check_provenance(selected, provenance, BASELINE)
    changes = find_changes(Pairing(selected, BASELINE, names), spec.level)
    if graph is None:
        nothing = pl.DataFrame()
        return Effects(
            changes.table(), nothing, nothing, nothing, nothing, spec, changes.prior, 0, tuple(names), []
        )
    work = _Work(changes, judges or Judges(Judge(graph, replicates)), spec)
    pooled = work.respond()
    return Effects(
        changes=changes.table(),
        relations=work.weights(None).frame(),
        responses=work.responses_frame(pooled),
        pooled=pooled,
        contrasts=work.contrasts_frame(),
        spec=spec,
        prior=changes.prior,
        graph_replicates=0 if replicates is None else int(replicates.used.sum()),
        not_in_graph=tuple(name for name in names if name not in graph.names),
        cycles=graph.cycles(),
        judges={} if judges is None else {c: n for c in changes.pairing.conditions if (n := judges.name(c))},
    )


@dataclass(eq=False)
class _Work:
    """Goes through the conditions one by one: only sums and rows of the tables are kept of each."""

    changes: Changes
    judges: Judges
    spec: EffectsSpec
    responses: Rows = field(default_factory=Rows)
    pooled: Rows = field(default_factory=Rows)
    contrasts: list[Contrast] = field(default_factory=list)
    tested: list[ControlInput] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Conditions of one judge mostly stand together, and the drawn graphs of many could fill the memory.
        self.weights = lru_cache(maxsize=None)(self._weights)
        self.graphs = lru_cache(maxsize=1)(self._graphs)

    @property
    def names(self) -> tuple[str, ...]:
        """The values of the graphs."""
        return self.judges.first.graph.names

    def _weights(self, judge: str | None) -> Weights:
        by = self.judges.judge(judge)
        return Weights.of(by.graph, by.replicates)

    def _graphs(self, judge: str | None) -> DrawnGraphs | None:
        replicates = self.judges.judge(judge).replicates
        if replicates is None:
            return None
        rng = np.random.default_rng(np.random.SeedSequence(self.spec.seed, spawn_key=_STREAM))
        return DrawnGraphs.of(replicates, self.names, self.spec.resamples, rng)

    def respond(self) -> pl.DataFrame:
        """Fills the tables; returns `pooled`."""
        draws = RoleDraws.of(self.changes.pairing.roles, self.spec.resamples, self.spec.seed)
        columns = [self.changes.pairing.names.index(name) for name in self.names]
        sources, targets = len(self.weights(None).sources), 0
        ratios = {measure: Ratio.zero(sources) for measure in Measure}
        counts = Counts.zero(sources)
        for condition, movement in self.changes.movements(columns):
            if movement is None:
                nothing = {measure: Ratio.zero(sources) for measure in Measure}
                self._pool(CONDITION, condition, nothing, Counts.zero(sources), 0)
                self.tested.append(ControlInput.zero(len(columns)))
                continue
            judge = self.judges.name(condition)
            response = respond(Outcomes.of(movement, draws), self.weights(judge), draws, self.graphs(judge))
            added = self._add(response, self.weights(judge))
            together = response.pooled()
            self._pool(CONDITION, condition, together, added.pooled(), len(response.outcomes.targets))
            ratios = {measure: ratios[measure] + together[measure] for measure in Measure}
            counts, targets = counts + added.pooled(), targets + len(response.outcomes.targets)
        self._pool(ALL, None, ratios, counts, targets)
        pooled = self.pooled.frame()
        assert pooled is not None  # the row of all conditions is always there
        return pooled

    def _add(self, response: Response, weights: Weights) -> Counts:
        outcomes, sources = response.outcomes, weights.sources
        counts = Counts.of(weights, outcomes)
        values = [self.names[k] for k in outcomes.targets]
        keys: dict[str, object] = {"condition": outcomes.condition, "value": values}
        self.responses.add(
            response_frame(keys, response.ratios, counts, counts.reasons(sources), sources, self.spec.level)
        )
        self.tested.append(ControlInput.of(outcomes))
        return counts

    def _pool(
        self, scope: str, condition: str | None, ratios: dict[Measure, Ratio], counts: Counts, targets: int
    ) -> None:
        sources = self.weights(None).sources
        reasons = counts.reasons(sources)
        if targets == 0:
            reasons[:] = NO_CHANGE
        keys: dict[str, object] = {"scope": scope, "condition": condition, "targets": targets}
        self.pooled.add(response_frame(keys, ratios, counts, reasons, sources, self.spec.level))
        self.contrasts.append(Contrast.of(ratios, reasons, self.spec.level))

    def responses_frame(self, pooled: pl.DataFrame) -> pl.DataFrame:
        responses = self.responses.frame()
        if responses is not None:
            return responses
        empty = pooled.clear().drop("scope", "targets")
        return empty.insert_column(1, pl.Series("value", [], dtype=pl.String))

    def contrasts_frame(self) -> pl.DataFrame:
        conditions = self.changes.pairing.conditions
        named = [self.judges.name(condition) for condition in conditions]
        names = list(dict.fromkeys([None, *named]))
        judging = Judging(
            [self.judges.judge(name).graph for name in names],
            [self.weights(name) for name in names],
            np.array([names.index(name) for name in named], dtype=np.int64),
        )
        result = control(
            ControlInput.join(self.tested),
            np.stack([contrast.difference for contrast in self.contrasts]),
            judging,
            self.spec,
        )
        sources = judging.weights[0].sources
        return contrast_frame(conditions, self.contrasts, result, sources, self.spec.level)
