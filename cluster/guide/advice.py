"""What to ask next: the cheapest design of experiments that would settle the directions, by what a pilot run
says of graphs, levers and noise."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.cluster.sampling.progress import counted
from axiograph.cluster.stages.discover import run_experiments
from axiograph.cluster.stages.effects import training_rows
from axiograph.cluster.stages.score import read_scores
from axiograph.discovery.discover import discover
from axiograph.discovery.interventions.design import Advice, Pilot, advise
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.resampling.replicates import Jobs
from axiograph.engine.runs.run_dir import RunDir


def advise_run(run: RunDir, most: float | None = None, *, seed: int = 0, jobs: Jobs = 1) -> Advice:
    """From the scores of `run`, a pilot; `most`: requests in all. Stores nothing. InputError where the run
    has no experiments, or too few roles for a graph."""
    tried = run_experiments(run)
    train = training_rows(read_scores(run, "profiles"), pooled=False)
    changed = {"rows": "interventional", "algorithm": "boss", "replicates": 1, "correction": "none"}
    spec = run.inputs().study.discovery.model_copy(update=changed)
    found = discover(train, spec, experiments=tried, null_replicates=0, jobs=jobs)
    assert found.interventional is not None  # as the rows say
    names, weights = found.interventional.coefficients
    scores = train.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    pilot = Pilot.of(names, weights, tried, np.nanstd(scores, axis=0), _alpha(run, names))
    with counted("advice", "designs") as progress:
        return advise(pilot, _requests(run), np.inf if most is None else most, seed, progress)


def _alpha(run: RunDir, names: tuple[str, ...]) -> FloatArray:
    """[p]: reliability of every value, NaN where it is not known."""
    known = dict(read_scores(run, "reliability").select("value", "alpha").iter_rows())
    return np.array([np.nan if known.get(name) is None else known[name] for name in names], dtype=np.float64)


def _requests(run: RunDir) -> float:
    """Of a role and condition, on average over those of the plan."""
    counts = run.plan().group_by("role", "condition").len().collect(engine="streaming")
    return float(counts["len"].mean())  # type: ignore[arg-type]
