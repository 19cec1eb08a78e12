"""What a graph of roles and experiments leaves beside the graph, and its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.interventions.draws import JointDraws, joint_draws
from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.left_out import REPLICATES, LeftOutGraphs, left_out_draws
from axiograph.discovery.interventions.prediction import Prediction, predict_left_out
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.interventions.totals import totals_table
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.resampling.replicates import Jobs, ReplicateTask
from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import atomic_path, write_atomic

PREDICTION, TOTALS, LEFT_OUT, COEFFICIENTS = (
    "prediction.parquet",
    "total_effects.parquet",
    "left_out.npz",
    "coefficients.npz",
)


@dataclass(frozen=True, eq=False)
class InterventionalFindings:
    """`experiments` that the graph was made with; how well graphs without a lever say what it did
    (`prediction`); what every value does to every other (`totals`, of totals_table); the graphs by which
    levers are judged (`left_out`); the coefficients of replicates (`draws`); the `gain` of one search on all
    roles."""

    experiments: Experiments
    prediction: Prediction
    totals: pl.DataFrame
    left_out: LeftOutGraphs
    draws: JointDraws
    gain: float

    @property
    def coefficients(self) -> tuple[tuple[str, ...], FloatArray]:
        """(names, [n, n]): of the best DAG of all roles and experiments, entry [x, y] of x → y."""
        names = self.draws.names
        weights = np.zeros((len(names), len(names)))
        weights[~np.eye(len(names), dtype=bool)] = self.totals["direct"].to_numpy()
        return names, weights

    def save(self, directory: Path) -> list[Path]:
        """Write the four files; returns their paths. Raises RunError where the disk is full."""
        paths = [directory / name for name in (PREDICTION, TOTALS, LEFT_OUT, COEFFICIENTS)]
        write_atomic(paths[0], self.prediction.table.write_parquet)
        write_atomic(paths[1], self.totals.write_parquet)
        self.left_out.save(paths[2])
        save_coefficients(paths[3], self.draws)
        return paths

    def document(self) -> dict[str, Any]:
        """What took part and how well it predicts, as JSON types."""
        tried = self.experiments
        return {
            "conditions": list(tried.conditions),
            "lever_of": self.left_out.lever_of,
            "levers": len(set(tried.levers)),
            "roles": tried.n_roles,
            "left_out": tried.left_out,
            "digest": tried.digest,
            "prediction": self.prediction.document(),
        }


def remove_findings(directory: Path) -> None:
    """Those of an earlier graph."""
    for name in (PREDICTION, TOTALS, LEFT_OUT, COEFFICIENTS):
        (directory / name).unlink(missing_ok=True)


def replicates_of_findings(experiments: Experiments, replicates: int) -> int:
    """How many graphs `find` makes: of every lever, and of all."""
    return (len(set(experiments.levers)) + 1) * min(replicates, REPLICATES)


def find(
    task: ReplicateTask,
    inputs: SearchInput,
    replicates: int,
    jobs: Jobs = 1,
    report: Callable[[int], None] | None = None,
) -> InterventionalFindings:
    """Of the search of `task` on the roles `inputs`, which are its table; from the first `replicates` of it,
    REPLICATES at most. `report` is told how many graphs are done."""
    search = task.search.function
    assert isinstance(search, InterventionalSearch)
    told = constraints(inputs.knowledge, inputs.names)
    count = min(replicates, REPLICATES)
    without = left_out_draws(task, count, jobs, report)
    draws = joint_draws(task, count, jobs)
    joint = search.joint(inputs, told)
    return InterventionalFindings(
        search.experiments,
        predict_left_out(search, inputs, told, without),
        totals_table(joint, draws),
        LeftOutGraphs.of(search.experiments, without),
        draws,
        joint.gain,
    )


def save_coefficients(path: Path, draws: JointDraws) -> None:
    """Those of the replicates that did not fail, as a NumPy archive without pickle."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        weights = draws.weights[draws.graphs.used].astype(np.float32)
        np.savez_compressed(file, names=np.array(draws.names), weights=weights)


def load_coefficients(path: Path) -> tuple[tuple[str, ...], FloatArray]:
    """(names, weights [U, n, n]) of `save_coefficients`. InputError for another file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = tuple(str(name) for name in archive["names"])
            weights = np.asarray(archive["weights"], dtype=np.float64)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            str(path), "coefficients of replicates (.npz)", f"{error}", "Discover again."
        ) from error
    if weights.shape[1:] != (len(names), len(names)):
        raise InputError(
            str(path), f"coefficients of {len(names)} values", f"{weights.shape}", "Discover again."
        )
    return names, weights
