"""Commands of the stages after sampling, which work on what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from axiograph.commands.options import CORES, Directory, Jobs, Ray
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import Algorithm

if TYPE_CHECKING:
    from axiograph.discovery.resampling.replicates import Jobs as Spreading
    from axiograph.engine.runs.run_dir import RunDir
    from axiograph.engine.study.schema import DiscoverySpec

Resampling = Literal["half_of_roles", "roles_with_replacement", "rows_with_replacement"]


def score(directory: Directory) -> None:
    """Score the stored answers again: profiles, reliability, rates."""
    from axiograph.engine.runs.run_dir import open_run

    do_score(open_run(directory))


def discover(
    place: Annotated[
        str, typer.Argument(metavar="DIR|TABLE", help="A run, or a CSV or Parquet table of profiles.")
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
    ray: Ray = None,
) -> None:
    """The value graph with a frequency for every edge, from the baseline profiles of the training roles.

    What is not given here is as in the study."""
    from axiograph.cluster.site import site
    from axiograph.cluster.stages.score import is_partial
    from axiograph.engine.runs.run_dir import open_run

    overrides: dict[str, float | str | None] = {"alpha": alpha, "replicates": replicates, "seed": seed}
    overrides |= {
        "algorithm": algorithm,
        "resample": resample,
        "rows": rows,
        "missing": missing,
        "correction": correction,
    }
    changed = {name: value for name, value in overrides.items() if value is not None}
    path = Path(place)
    if path.is_file():
        with site(ray) as where:
            _discover_table(path, out or path.with_name(f"{path.stem}-graph"), changed, where.jobs(jobs))
    else:
        run = open_run(place)
        if is_partial(run) or not (run.scores / "profiles.parquet").is_file():
            do_score(run)  # sampling goes on, and there is more by now
        with site(ray) as where:
            do_discover(run, where.jobs(jobs), **changed)


def effects(
    directory: Directory,
    graph: Annotated[Path | None, typer.Option("--graph", help="Another graph (graph.json).")] = None,
) -> None:
    """Which values every condition changed: expected, possible or unexpected by the graph."""
    from axiograph.engine.runs.run_dir import open_run

    do_effects(open_run(directory), graph)


def do_score(run: RunDir) -> None:
    from axiograph.cluster.stages.score import check_scored
    from axiograph.cluster.stages.score import score as stage
    from axiograph.texts.plain import print_notes
    from axiograph.texts.run import scored_text

    scored = stage(run)
    run.publish()
    if not scored.coverage.is_whole:
        print_notes([scored.coverage.text()])
    print(f"\n{scored_text(scored)}", flush=True)
    check_scored(run)


def do_discover(run: RunDir, jobs: Spreading, **changed: float | str) -> None:
    from axiograph.cluster.stages.discover import discover_graph
    from axiograph.texts.discovery import discovery_text

    study = run.inputs().study
    settings = _settings(study.discovery, changed)
    found = discover_graph(run, study.model_copy(update={"discovery": settings}), jobs)
    run.publish()
    print(f"\n{discovery_text(found)}", flush=True)


def _discover_table(path: Path, out: Path, changed: dict[str, float | str], jobs: Spreading) -> None:
    from axiograph.cluster.sampling.inspection import read_profiles
    from axiograph.cluster.stages.discover import discover_profiles
    from axiograph.engine.study.schema import DiscoverySpec
    from axiograph.texts.discovery import discovery_text

    found = discover_profiles(read_profiles(path), _settings(DiscoverySpec(), changed), out, jobs)
    print(f"{discovery_text(found)}\nGraph, figures and tables are in {out}")


def do_effects(run: RunDir, graph_file: Path | None) -> None:
    from axiograph.cluster.stages.doses import read_doses
    from axiograph.cluster.stages.effects import compare_roles, find_effects, has_contrasts, run_graph
    from axiograph.texts.effects import doses_text, effects_text, roles_text

    study = run.inputs().study
    graph, source = run_graph(run, graph_file)
    if has_contrasts(run, study):
        print(effects_text(find_effects(run, study, graph, source)))
        if doses := doses_text(read_doses(run)):
            print(f"\n{doses}")
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
