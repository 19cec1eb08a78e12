"""Commands of the stages after sampling, which work on what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import axiograph as ax
from axiograph.api.settings import changed_discovery
from axiograph.commands.options import CORES, Directory, Jobs, Ray
from axiograph.commands.printing import print_line, print_step
from axiograph.engine.study.schema import Algorithm, DiscoverySpec

Resampling = Literal["half_of_roles", "roles_with_replacement", "rows_with_replacement"]


def score(directory: Directory) -> None:
    """Score the stored answers again: profiles, reliability, rates."""
    ax.open(directory).score(print_step)


def discover(
    directory: Annotated[
        str, typer.Argument(metavar="DIR|TABLE", help="A run, or a CSV or Parquet table of profiles.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Where the graph of a TABLE goes.")] = None,
    algorithm: Annotated[Algorithm | None, typer.Option(help="Of causal-learn, but for pc.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Level of the independence tests.")] = None,
    replicates: Annotated[int | None, typer.Option(min=1, help="Resampled graphs.")] = None,
    resample: Annotated[Resampling | None, typer.Option(help="How a replicate is drawn.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the resampling.")] = None,
    rows: Annotated[
        Literal["baseline", "pooled", "interventional"] | None,
        typer.Option(
            help="Baseline profiles, alone or with what steering and hints did as experiments; or those of "
            "all conditions with steering and hints as nodes."
        ),
    ] = None,
    missing: Annotated[
        Literal["listwise", "pairwise", "em"] | None, typer.Option(help="What to do with missing scores.")
    ] = None,
    correction: Annotated[
        Literal["none", "items", "repeats"] | None,
        typer.Option(help="Correct for measurement error, by the reliability of items or repeats."),
    ] = None,
    jobs: Jobs = CORES,
    ray: Ray = None,
) -> None:
    """The value graph with a frequency for every edge, from the baseline profiles of the training roles.

    What is not given here is as in the study."""
    options: dict[str, float | str | None] = {"alpha": alpha, "replicates": replicates, "seed": seed}
    options |= {
        "algorithm": algorithm,
        "resample": resample,
        "rows": rows,
        "missing": missing,
        "correction": correction,
    }
    changes = {name: value for name, value in options.items() if value is not None}
    path = Path(directory)
    if path.is_file():
        spec = changed_discovery(DiscoverySpec(), changes, prefix="--")
        folder = out or path.with_name(f"{path.stem}-graph")
        print(f"{ax.discover(path, folder, jobs=jobs, ray=ray, spec=spec, notify=print_line)}")
        print(f"Graph, figures and tables are in {folder}")
    else:
        run = ax.open(directory)
        spec = changed_discovery(run.study.discovery, changes, prefix="--")
        print_step(run.discover(spec, jobs=jobs, ray=ray, on_step=print_step, notify=print_line))


def effects(
    directory: Directory,
    graph: Annotated[Path | None, typer.Option("--graph", help="Another graph (graph.json).")] = None,
) -> None:
    """Which values every condition changed: expected, possible or unexpected by the graph."""
    print_step(ax.open(directory).test_effects(graph))
