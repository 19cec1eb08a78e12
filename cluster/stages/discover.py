"""Steering and hints as columns: what was done to the rows of a condition, as nodes of a pooled graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from axiograph.cluster.sampling.progress import progress
from axiograph.cluster.stages.score import read_scores, scored_items
from axiograph.discovery.algorithms.registry import AlgorithmSettings
from axiograph.discovery.discover import Discovery, discover
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.matrix.corrections import Part
from axiograph.discovery.resampling.bootstrap import NULL_REPLICATES
from axiograph.discovery.resampling.replicates import Jobs
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring import scores
from axiograph.engine.study.conditions import BASELINE, Condition, Control, OperationPoint
from axiograph.engine.study.schema import DiscoverySpec, Study
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


def discover_graph(run: RunDir, study: Study, jobs: Jobs) -> Discovery:
    """The value graph from the training roles' baseline profiles, one row per role, or, on request, from
    those of all conditions with steering and hints as nodes (DESIGN 11)."""
    settings = study.discovery
    kept = pl.col("split") == "train"
    if settings.rows == "baseline":
        kept &= pl.col("condition") == BASELINE
    train = read_scores(run, "profiles").filter(kept)
    indicators = None
    if settings.rows == "pooled":
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
    if settings.correction != "none":
        part = _PART[settings.correction]
        scored = scored_items(run).filter(kept)
        parts = scores.part_scores(scored, part, drop_shared=study.scoring.drop_shared_items)
    return discover_profiles(train, settings, run.graph, jobs, indicators=indicators, parts=parts)


_PART: dict[str, Part] = {"items": "item", "repeats": "repeat"}


def discover_profiles(
    profiles: pl.DataFrame,
    settings: DiscoverySpec,
    out: Path,
    jobs: Jobs,
    *,
    indicators: pl.DataFrame | None = None,
    parts: pl.DataFrame | None = None,
) -> Discovery:
    """The graph of any table of profiles, one row per role, saved in `out`.

    `indicators` and `parts` as in discovery.discover: what settings `rows: pooled` and `correction` need."""
    needed = {"rows: pooled": settings.rows == "pooled" and indicators is None}
    needed["correction"] = settings.correction != "none" and parts is None
    for name, missing in needed.items():
        if missing:
            raise InputError(
                f"discovery setting {name}",
                "a run directory",
                "a table of profiles, which knows neither conditions nor items",
                "Give the directory of the run.",
            )
    with progress("discovery", settings.replicates + NULL_REPLICATES, "replicates") as advance:
        done = 0

        def report(now: int, total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        found = discover(
            profiles,
            alpha=settings.alpha,
            replicates=settings.replicates,
            resample=settings.resample,
            seed=settings.seed,
            n_jobs=jobs,
            threshold=settings.threshold,
            algorithm=settings.algorithm,
            settings=AlgorithmSettings(**settings.settings.model_dump()),
            knowledge=_knowledge(settings),
            pairwise=settings.missing == "pairwise",
            indicators=indicators,
            parts=parts,
            part=_PART.get(settings.correction, "item"),
            progress=report,
            notify=lambda line: print(line, flush=True),
        )
    found.save(out)
    return found


def _knowledge(settings: DiscoverySpec) -> Knowledge | None:
    given = settings.knowledge
    found = Knowledge(frozenset(given.forbidden), frozenset(given.required), given.tiers)
    return None if found == Knowledge() else found
