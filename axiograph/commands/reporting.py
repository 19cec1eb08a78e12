"""The command `report`, and the report that other commands end with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axiograph.commands.options import Directory
from axiograph.engine.errors import InputError

if TYPE_CHECKING:
    from axiograph.engine.runs.run_dir import RunDir


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
    from axiograph.cluster.stages.reference import add_comparison, add_reference
    from axiograph.engine.runs.run_dir import run_at
    from axiograph.engine.storage.remote import is_remote

    if out is not None and is_remote(out):
        raise InputError(
            "--out", "a folder of this machine", out, "Without it the report goes to DIR/report, there too."
        )
    run = run_at(directory)
    if reference is not None:
        if not run.manifest_file.is_file():
            raise InputError(
                "--reference", "the directory of a run", f"{directory}", "Compare graphs alone by --compare."
            )
        add_reference(run, reference)
    for other in compare or []:
        add_comparison(run, other)
    do_report(run, None if out is None else Path(out), figures=figures)


def do_report(run: RunDir, out: Path | None = None, *, figures: bool = True) -> None:
    """Write the report of a directory and say where it is."""
    from axiograph.report.build import report as write

    made = write(run, out, figures=figures)
    run.publish()
    beside = f"{len(made.figures)} figures, {len(made.tables)} tables beside it"
    print(f"\nThe report is {run.shown(made.page)} ({beside})", flush=True)
