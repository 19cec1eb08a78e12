"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import axiograph as ax
from axiograph.commands.options import Directory
from axiograph.commands.printing import print_step


def report(
    directory: Directory,
    out: Annotated[
        str | None, typer.Option("--out", help="Where the page goes. [default: DIR/report]")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="A graph (JSON, GraphML, CSV): effects against it, and compared."),
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help="Another run or graph; may be given again.")
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Write the figures for papers, too.")
    ] = True,
) -> None:
    """One HTML page that opens without a network, with figures and LaTeX tables beside it."""
    page = ax.write_report(directory, out, reference=reference, compare=compare or [], figures=figures)
    print_step(page)
