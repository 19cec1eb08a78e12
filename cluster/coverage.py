"""Coverage: what of a run that is still sampling can be analysed, without a number that would change later.

A role's profile under a condition is the mean over its items: over some of them it would be another number.
So a role counts under a condition when everything that it is asked there is answered, and not before.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from engine.errors import RunError
from engine.files import write_atomic
from engine.run_dir import RunDir
from engine.tally import Tally

FILE = "coverage.parquet"
_CELL = ("role", "condition")


@dataclass(frozen=True)
class Coverage:
    """Requests planned and stored, and cells (role × condition) in the plan and `complete`."""

    planned: int
    stored: int
    cells: int
    complete: int

    @property
    def is_whole(self) -> bool:
        return self.complete == self.cells

    def text(self) -> str:
        """For a person who reads numbers of a part."""
        return (
            f"{self.stored:,} of {self.planned:,} requests are answered. What follows is of the "
            f"{self.complete:,} of {self.cells:,} pairs of role and condition that are complete: their "
            "profiles are final, and more will join them."
        )


def cover(run: RunDir, tallied: Tally) -> Coverage:
    """Look at what is stored now, and keep which cells are complete for the stages that follow.

    `tallied`: all of the run. RunError when no cell is complete."""
    whole = complete_cells(tallied)
    found = Coverage(tallied.requests, tallied.stored, tallied.answers.height, whole.height)
    if not found.complete:
        raise RunError(
            f"run directory {run.where}",
            "a role that has answered everything under some condition",
            f"none yet ({found.stored:,} of {found.planned:,} requests are answered)",
            "Wait, or give the run command again: it continues where it stopped.",
        )
    path = run.scores / FILE
    if found.is_whole:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, whole.write_parquet)
    return found


def complete_cells(tallied: Tally) -> pl.DataFrame:
    """role, condition of the cells in which everything is answered, sorted."""
    whole = tallied.answers.filter(pl.col("answered") == pl.col("planned"))
    return whole.select(_CELL).sort(_CELL)


def is_partial(run: RunDir) -> bool:
    """Whether the scores are those of a part."""
    return (run.scores / FILE).is_file()


def covered(run: RunDir) -> pl.LazyFrame:
    """The plan, as far as it was covered when the run was scored last."""
    plan = run.plan()
    if not is_partial(run):
        return plan
    cells = pl.scan_parquet(run.scores / FILE).rename({name: f"{name}_text" for name in _CELL})
    text = [pl.col(name).cast(pl.String).alias(f"{name}_text") for name in _CELL]
    keys = [f"{name}_text" for name in _CELL]
    return plan.with_columns(text).join(cells, on=keys, how="semi", maintain_order="left").drop(keys)
