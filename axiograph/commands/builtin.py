"""Commands around the built-in respondent, whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import axiograph as ax
from axiograph.commands.options import CORES, Jobs, StudyFile, numbers
from axiograph.commands.printing import print_line, print_step


def demo(
    roles: Annotated[int | None, typer.Option("--roles", help="Training roles. [default: 200]")] = None,
    strengths: Annotated[
        str, typer.Option("--strengths", help="Strengths at which every value is steered.")
    ] = "-2,2",
    mode: Annotated[
        Literal["generate", "logprob"], typer.Option(help="How answers are scored.")
    ] = "generate",
    out: Annotated[Path, typer.Option("--out", help="Directory of the run.")] = Path("runs/demo"),
    jobs: Jobs = CORES,
) -> None:
    """The built-in respondent, end to end, with the known truth beside what is found. No network, minutes."""
    values = numbers("--strengths", strengths, "-2,2")
    result = ax.demo(out, roles=roles, strengths=values, mode=mode, jobs=jobs, notify=print_line)
    print(f"\n{result}", flush=True)
    print_step(result.run.report())


def calibrate(
    study: StudyFile,
    graphs: Annotated[
        int | None, typer.Option("--graphs", min=2, help="Planted graphs. [default: by the number of values]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the planted graphs and answers.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the result goes. [default: calibration in the study's out]"),
    ] = None,
    jobs: Jobs = CORES,
) -> None:
    """What a study of this size can find, by planted graphs with the built-in respondent's measured noise."""
    result = ax.calibrate(study, out, graphs=graphs, seed=seed, jobs=jobs, notify=print_line)
    print(result)
    print(f"\nNumbers, tables and the figure are in {result.where}")
