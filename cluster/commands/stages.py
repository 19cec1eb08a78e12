"""Commands of the stages after sampling, which work on what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cluster.commands.options import CORES, Directory, Jobs
from engine.errors import InputError
from engine.study import Algorithm

if TYPE_CHECKING:
    from engine.study import DiscoverySpec

Resampling = Literal["half_of_roles", "roles_with_replacement", "rows_with_replacement"]


def score(directory: Directory) -> None:
    """Score the stored answers again: profiles, reliability, rates."""
    do_score(directory)


def discover(
    path: Annotated[
        Path, typer.Argument(metavar="DIR|TABLE", help="A run, or a CSV or Parquet table of profiles.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Where the graph of a TABLE goes.")] = None,
    algorithm: Annotated[Algorithm | None, typer.Option(help="Of causal-learn, but for pc.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Level of the independence tests.")] = None,
    replicates: Annotated[int | None, typer.Option(min=1, help="Resampled graphs.")] = None,
    resample: Annotated[Resampling | None, typer.Option(help="How a replicate is drawn.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the resampling.")] = None,
    rows: Annotated[
        Literal["baseline", "pooled"] | None,
        typer.Option(help="Baseline profiles, or those of all conditions with steering and hints as nodes."),
    ] = None,
    missing: Annotated[
        Literal["listwise", "pairwise"] | None, typer.Option(help="What to do with missing scores.")
    ] = None,
    correction: Annotated[
        Literal["none", "items", "repeats"] | None,
        typer.Option(help="Correct for measurement error, by the reliability of items or repeats."),
    ] = None,
    jobs: Jobs = CORES,
) -> None:
    """The value graph with a frequency for every edge, from the baseline profiles of the training roles.

    What is not given here is as in the study."""
    overrides: dict[str, float | str | None] = {"alpha": alpha, "replicates": replicates, "seed": seed}
    overrides |= {
        "algorithm": algorithm,
        "resample": resample,
        "rows": rows,
        "missing": missing,
        "correction": correction,
    }
    changed = {name: value for name, value in overrides.items() if value is not None}
    if path.is_file():
        _discover_table(path, out or path.with_name(f"{path.stem}-graph"), changed, jobs)
    else:
        do_discover(path, jobs, **changed)


def effects(
    directory: Directory,
    graph: Annotated[Path | None, typer.Option("--graph", help="Another graph (graph.json).")] = None,
) -> None:
    """Which values every condition changed: expected, possible or unexpected by the graph."""
    do_effects(directory, graph)


def do_score(path: Path) -> None:
    from cluster.printing import scored_text
    from cluster.sampling import check_complete
    from cluster.stages import check_scored
    from cluster.stages import score as stage
    from engine.run_dir import open_run

    run = open_run(path)
    check_complete(run)
    print(f"\n{scored_text(stage(run))}", flush=True)
    check_scored(run)


def do_discover(path: Path, jobs: int, **changed: float | str) -> None:
    from cluster.stages import discover_graph
    from engine.run_dir import open_run

    run = open_run(path)
    study = run.inputs().study
    settings = _settings(study.discovery, changed)
    found = discover_graph(run, study.model_copy(update={"discovery": settings}), jobs)
    print(f"\n{found.summary()}", flush=True)


def _discover_table(path: Path, out: Path, changed: dict[str, float | str], jobs: int) -> None:
    from cluster.inspection import read_profiles
    from cluster.stages import discover_profiles
    from engine.study import DiscoverySpec

    found = discover_profiles(read_profiles(path), _settings(DiscoverySpec(), changed), out, jobs)
    print(f"{found.summary()}\nGraph, figures and tables are in {out}")


def do_effects(path: Path, graph_file: Path | None) -> None:
    from cluster.effects_text import effects_text, roles_text
    from cluster.stages import compare_roles, find_effects, has_contrasts, run_graph
    from engine.run_dir import open_run

    run = open_run(path)
    study = run.inputs().study
    graph, source = run_graph(run, graph_file)
    if has_contrasts(run, study):
        print(effects_text(find_effects(run, study, graph, source)))
    else:
        print("No condition besides the baseline on these roles: no effects of conditions to test.")
    print(f"\n{roles_text(*compare_roles(run, graph))}")


def _settings(base: DiscoverySpec, changed: dict[str, float | str]) -> DiscoverySpec:
    """`base` with the options of the command line."""
    from pydantic import ValidationError

    try:
        return base.model_validate(base.model_dump() | changed)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"--{first['loc'][0]}" if first["loc"] else "options of discover"
        expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        given = first["input"] if first["loc"] else ", ".join(f"--{k} {v}" for k, v in changed.items())
        raise InputError(where, expected, f"{given}", "Correct the option or the study.") from error
