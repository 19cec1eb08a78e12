"""Arguments and options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of a run.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Directory of the run, instead of the study's 'out'.")
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, show_default="all cores", help="Threads or processes for the bootstrap."),
]
CORES = os.cpu_count() or 1
