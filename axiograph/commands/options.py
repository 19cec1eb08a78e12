"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from axiograph.api.settings import CORES, STALL_S
from axiograph.engine.errors import InputError

__all__ = [
    "CORES", "STALL_S", "Anyway", "Directory", "Jobs", "Out", "Ray", "RetryFailed", "Stall", "StudyFile",
    "Workers", "numbers",
]  # fmt: skip

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Directory = Annotated[
    str, typer.Argument(metavar="DIR", help="The directory of a run, or its address (s3://…, gs://…).")
]
Out = Annotated[
    str | None,
    typer.Option("--out", help="Directory or address (s3://…, gs://…) of the run, instead of the study's."),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, show_default="all cores", help="Threads or processes for the bootstrap."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="auto|HOST:PORT|local",
        help="Work on a Ray cluster: the one that runs here, the one at an address, or one of its own.",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="With --ray: at most so many workers of a kind.")]
Stall = Annotated[
    float, typer.Option(min=1, help="With --ray: a worker without progress for so many seconds is killed.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again what could not be answered before.")
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Go on where the pilot shows that nothing can be learned.")
]


def numbers(option: str, text: str, example: str) -> tuple[float, ...]:
    """The numbers of an option, separated by commas. InputError for what is none."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(option, f"numbers like {example}", f"'{text}'", "Separate by commas.") from None
