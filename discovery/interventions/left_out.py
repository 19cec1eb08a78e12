"""Graphs made without a lever, by which what the lever did is judged.

A graph that has seen an effect cannot say whether it was to be expected. So every lever has graphs of its
own: the replicates of roles and of the other experiments, all strengths and controls of the lever, and what
it does beside other levers, left out. Their consensus is the lever's graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.interventions.draws import JointDraws, joint_draws
from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.discovery.resampling.replicates import Jobs, ReplicateTask
from axiograph.engine.errors import InputError

REPLICATES = 200  # of a lever's graphs: shares are then off by .04 at most, and forty levers take a minute


@dataclass(frozen=True, eq=False)
class LeftOutGraphs:
    """`lever_of`: condition → the lever whose graphs judge it; `graphs`: lever → its replicates."""

    lever_of: dict[str, str]
    graphs: dict[str, PackedGraphs]

    @classmethod
    def of(cls, experiments: Experiments, draws: Mapping[str, JointDraws]) -> LeftOutGraphs:
        """Of the draws of `left_out_draws`."""
        used = dict(zip(experiments.conditions, experiments.levers, strict=True))
        rest = {name: lever for name, lever in experiments.lever_of.items() if lever in draws}
        return cls(used | rest, {lever: draws[lever].graphs for lever in draws})

    def consensus(self, lever: str, threshold: float) -> CausalGraph:
        """The graph of a lever."""
        return EdgeCounts.of(self.graphs[lever]).consensus(threshold)

    def save(self, path: Path) -> None:
        """All replicates, lever by lever, as PackedGraphs. Raises RunError where the disk is full."""
        parts = list(self.graphs.values())
        PackedGraphs.join(parts[0].names, parts).save(path)

    @classmethod
    def load(cls, path: Path, lever_of: dict[str, str]) -> LeftOutGraphs:
        """What `save` wrote; levers in the order of `lever_of`. InputError where the file is not such."""
        joined = PackedGraphs.load(path)
        levers = list(dict.fromkeys(lever_of.values()))
        size, rest = divmod(len(joined), max(1, len(levers)))
        if rest or not size:
            raise InputError(
                str(path),
                f"replicates of {len(levers)} levers, as many of each",
                f"{len(joined)}",
                "Run the discovery again.",
            )
        parts = {lever: joined.part(k * size, (k + 1) * size) for k, lever in enumerate(levers)}
        return cls(lever_of, parts)


def left_out_draws(
    task: ReplicateTask, count: int, jobs: Jobs = 1, report: Callable[[int], None] | None = None
) -> dict[str, JointDraws]:
    """Lever → `count` replicates of `task` without it. The roles of replicate r are the same for all levers,
    so that graphs differ by what was left out. `report` is told how many replicates are done."""
    function = task.search.function
    assert isinstance(function, InterventionalSearch)
    draws = {}
    for number, lever in enumerate(dict.fromkeys(function.experiments.levers)):
        without = replace(function, experiments=function.experiments.without(lever))
        one = replace(task, search=replace(task.search, function=without))
        tell = None if report is None else partial(_tell, report, number * count)
        draws[lever] = joint_draws(one, count, jobs, tell)
    return draws


def _tell(report: Callable[[int], None], before: int, done: int) -> None:
    report(before + done)
