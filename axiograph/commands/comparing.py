"""Commands that hold results against references: another graph, the published tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import axiograph as ax
from axiograph.commands.printing import print_step
from axiograph.engine.errors import InputError


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, or a graph: JSON, GraphML, CSV.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The reference, of the same kinds.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where tables and figures go.")] = None,
    graph: Annotated[
        Literal["graph", "all_roles", "averaged"] | None, typer.Option(help="Which graph of a run.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a run, the pairs in this share of its replicates or more.")
    ] = None,
    names: Annotated[str | None, typer.Option(help="What to call the two: NAME,NAME.")] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Values that a list of edges does not name have no edge in it.")
    ] = False,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="In the figure, leave out edges that longer paths imply.")
    ] = False,
) -> None:
    """Two graphs compared over the values they share: of two runs, or of a run and a reference graph."""
    result = ax.compare(a, b, graph=graph, threshold=threshold, names=_two(names), complete=complete)
    print(result)
    if out is not None:
        result.save(out, reduced=reduced)
        print(f"\nTables and figures are in {out}")


def replicate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The published answers of one model.")],
    features: Annotated[
        str | None, typer.Option("--features", help="SAE features to keep, e.g. 14351,1025. Default: all.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where graph, tables and report go.")] = Path(
        "runs/replication"
    ),
) -> None:
    """The paper's graph and tables from published answers; exit code 1 if a cell differs."""
    result = ax.replicate(directory, out, features=_features(features))
    print(result, flush=True)
    print_step(result.report())
    if not result.ok:
        raise typer.Exit(1)


def _two(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
        raise InputError("--names", "two names like Gemma,Llama", f"'{text}'", "Separate by one comma.")
    return parts[0], parts[1]


def _features(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "--features", "numbers like 14351,1025", f"'{text}'", "Separate by commas."
        ) from None
