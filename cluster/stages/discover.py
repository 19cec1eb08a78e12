"""The stage `discover`: the value graph of a run, or of any table of profiles. Where conditions are pooled,
steering and hints are columns, which say what was done to the rows of a condition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from axiograph.cluster.sampling.progress import counted
from axiograph.cluster.stages.doses import answers_by_role
from axiograph.cluster.stages.score import profile_items, read_scores, scored_items
from axiograph.discovery.discover import PARTS, Discovery, Notify, discover
from axiograph.discovery.effects.doses import BREAKS, unreadable
from axiograph.discovery.interventions.experiments import TOGETHER, Experiments, experiments
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.discovery.resampling.replicates import Jobs
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring import scores
from axiograph.engine.study.conditions import BASELINE, Condition, Control, OperationPoint
from axiograph.engine.study.schema import DiscoverySpec
from axiograph.engine.study.steering import OperationSpec


def indicator_table(conditions: Sequence[Condition]) -> pl.DataFrame:
    """One row a condition: `condition`, and a Float64 column per direction and per hint.

    A direction that is added has its strength (0 where it is not), since what it does grows with it. A
    clamp to one strength, a direction projected out and a hint have 1 or 0. A direction added at two hook
    points, in two units or on two spans is two columns."""
    names = _operation_names(conditions)
    columns: dict[str, list[float]] = {name: [0.0] * len(conditions) for name in names.values()}
    for row, condition in enumerate(conditions):
        for point in condition.operations:
            columns[names[_key(point)]][row] = _amount(point)
        if condition.hint is not None:
            columns.setdefault(condition.name, [0.0] * len(conditions))[row] = 1.0
    return pl.DataFrame({"condition": [condition.name for condition in conditions], **columns})


_Key = tuple[OperationSpec, int | None, float | None, Control | None]


def _key(point: OperationPoint) -> _Key:
    """Operations that differ only in how much they add are one indicator."""
    spec = point.spec.model_copy(update={"features": (), "strengths": (), "controls": None})
    return spec, point.feature, None if point.kind == "add" else point.strength, point.control


def _amount(point: OperationPoint) -> float:
    return point.strength if point.kind == "add" and point.strength is not None else 1.0


def _operation_names(conditions: Sequence[Condition]) -> dict[_Key, str]:
    """Key → name, numbered where several operations would be called the same."""
    points = {_key(point): point for condition in conditions for point in condition.operations}
    wanted = {key: _name(point) for key, point in points.items()}
    names: dict[_Key, str] = {}
    for key, name in wanted.items():
        twins = [other for other in wanted if wanted[other] == name]
        names[key] = name if len(twins) == 1 else f"{name} ({twins.index(key) + 1})"
    return names


def _name(point: OperationPoint) -> str:
    direction, _, amount = point.label.partition(":")
    return f"steering {direction}" if point.kind == "add" else f"steering {direction}:{amount}"


def discover_graph(
    run: RunDir,
    spec: DiscoverySpec,
    *,
    jobs: Jobs = 1,
    notify: Notify | None = None,
) -> Discovery:
    """The value graph from the training roles' baseline profiles, one row per role, or, on request, from
    those of all conditions with steering and hints as nodes (DESIGN 11), or from baseline profiles and what
    steering and hints did together (DESIGN 20); saved in the run.

    `jobs` and `notify` as in discovery.discover."""
    rows = pl.col("split") == "train"
    if spec.rows != "pooled":
        rows &= pl.col("condition") == BASELINE
    train = read_scores(run, "profiles").filter(rows)
    indicators = None
    if spec.rows == "pooled":
        if not (train["condition"] != BASELINE).any():
            raise InputError(
                f"run directory {run.where}",
                "steered or hinted answers of training roles, to pool them with the baseline",
                "none",
                "Give the study steering with 'steer_roles: all' (or 'train'), or hints, and run it again.",
            )
        asked = set(train["condition"])
        indicators = indicator_table([c for c in run.inputs().conditions if c.name in asked])
    parts = None
    if spec.correction != "none":
        drop_shared = run.inputs().study.scoring.drop_shared_items
        scored = profile_items(run).filter(rows)
        parts = scores.part_scores(scored, PARTS[spec.correction], drop_shared=drop_shared)
    tried = run_experiments(run) if spec.rows == "interventional" else None
    with counted("discovery", "replicates") as progress:
        discovery = discover(
            train,
            spec,
            indicators=indicators,
            parts=parts,
            experiments=tried,
            jobs=jobs,
            progress=progress,
            notify=notify,
        )
    discovery.save(run.graph)
    return discovery


def run_experiments(run: RunDir) -> Experiments:
    """What every condition but negative controls did to each value: to training roles, or to test roles where
    no training role was steered or hinted.

    An experiment is a direction with all of its strengths, or a hint; a lever is left out with its controls.
    Conditions that break the model are left out. InputError where there is none."""
    profiles = read_scores(run, "profiles")
    done = profiles.filter(pl.col("condition") != BASELINE)
    if done.is_empty():
        raise InputError(
            f"run directory {run.where}",
            "steered or hinted answers, as experiments beside the baseline",
            "none",
            "Give the study steering or hints and run it again, or take `rows: baseline`.",
        )
    groups = {
        condition.name: (_experiment(condition), _lever(condition))
        for condition in run.inputs().conditions
        if condition.name != BASELINE and not condition.is_negative_control
    }
    split = "train" if (done["split"] == "train").any() else "test"
    broken = _broken(run, split)
    return experiments(profiles, BASELINE, value_columns(profiles), groups, split, broken)


def _broken(run: RunDir, split: str) -> list[str]:
    """Conditions under which these roles refuse, or answer unreadably, much more often."""
    answers = answers_by_role(scored_items(run).filter(pl.col("split").cast(pl.String) == split))
    states = unreadable(answers, run.inputs().study.effects)
    return states.filter(pl.col("state") == BREAKS)["condition"].to_list()


def _experiment(condition: Condition) -> str:
    """The same for conditions that differ only in strengths."""
    hint = [] if condition.hint is None else [condition.name]
    return " & ".join([*hint, *(str(_key(point)) for point in condition.operations)])


def _lever(condition: Condition) -> str:
    """The directions and the value of the hint, controls under the name of what they stand beside."""
    hint = [] if condition.hint is None else [f"hint {condition.hint.value}"]
    directions = [
        f"f{point.feature}" if point.feature is not None else point.label.partition(":")[0]
        for point in condition.operations
    ]
    return TOGETHER.join([*hint, *directions])


def discover_profiles(
    profiles: pl.DataFrame,
    spec: DiscoverySpec,
    out: Path | None = None,
    *,
    jobs: Jobs = 1,
    notify: Notify | None = None,
) -> Discovery:
    """The graph of any table of profiles, one row per role; saved in `out`, if that is given.

    InputError for `rows: pooled` and `correction`, which need a run."""
    with counted("discovery", "replicates") as progress:
        discovery = discover(profiles, spec, jobs=jobs, progress=progress, notify=notify)
    if out is not None:
        discovery.save(out)
    return discovery
