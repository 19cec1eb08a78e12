"""The command that makes a direction from contrasted prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import axiograph as ax
from axiograph.commands.options import Out, StudyFile


def direction(
    study: StudyFile,
    contrast: Annotated[
        Path,
        typer.Option("--from", metavar="FILE", help="The contrast (YAML): two sides of texts."),
    ],
    out: Out = None,
) -> None:
    """A direction from contrasted prompts on the study's own model, and how it tells others apart."""
    table = ax.direction(study, contrast, out)
    print(table)
    print(f"\nThe directions are in {table.where}")
