"""The command line: one command per stage, and one that runs them all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import AxiographError, InputError, RunError

if TYPE_CHECKING:
    from engine.study import DiscoverySpec

app = typer.Typer(
    help="Finds how the values of a language model hang together, and what happens to the others when one "
    "is steered.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of a run.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Directory of the run, instead of the study's 'out'.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes for the bootstrap. [default: all cores]")]
CORES = os.cpu_count() or 1


def main() -> None:
    """Entry point: errors that a person can cause become one paragraph and an exit code."""
    try:
        app()
    except AxiographError as error:
        print(f"axiograph: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (head, less): nothing to say to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@app.command()
def plan(
    study: StudyFile,
    out: Out = None,
    calibrate: Annotated[
        int, typer.Option("--calibrate", min=0, help="Requests to answer for the time estimate; 0: none.")
    ] = 32,
) -> None:
    """What would run: requests, tokens, disk, estimated hours. Stores nothing."""
    from cluster.estimate import estimate
    from cluster.preparation import prepare, study_notes
    from cluster.printing import estimate_text, print_notes
    from cluster.sampling import disk_free
    from engine.run_dir import RunDir
    from engine.study import load_study

    loaded = load_study(study)
    run = RunDir(out or loaded.out)
    prepared = prepare(loaded, run, measure=False)
    print_notes(study_notes(prepared.inputs))
    print(estimate_text(estimate(prepared, calibrate), disk_free(run.path), run.path))


@app.command()
def run(study: StudyFile, out: Out = None, jobs: Jobs = CORES) -> None:
    """Sample (continues where it stopped), score, discover, test effects."""
    from cluster.executor import InProcessExecutor
    from cluster.preparation import prepare, study_notes
    from cluster.printing import print_notes, sampled_text
    from cluster.sampling import sample
    from engine.run_dir import create_run
    from engine.study import load_study

    loaded = load_study(study)
    directory = create_run(out or loaded.out)
    with directory.locked():
        prepared = prepare(loaded, directory)
        print_notes(study_notes(prepared.inputs))
        try:
            sampled = sample(prepared, directory, InProcessExecutor(prepared.make_worker))
        except KeyboardInterrupt:
            raise RunError(
                f"run {directory.path}",
                "to finish sampling",
                "a stop from the keyboard",
                "What was answered is stored: the same command continues.",
            ) from None
        print(sampled_text(sampled), flush=True)
        _score(directory.path)
        _discover(directory.path, jobs)
        _effects(directory.path, None)
    print(f"\nEverything is in {directory.path}")


@app.command()
def score(directory: Directory) -> None:
    """Score the stored answers again: profiles, reliability, rates."""
    _score(directory)


@app.command()
def discover(
    path: Annotated[
        Path, typer.Argument(metavar="DIR|TABLE", help="A run, or a CSV or Parquet table of profiles.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Where the graph of a TABLE goes.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Level of the independence tests.")] = None,
    replicates: Annotated[int | None, typer.Option(min=1, help="Resampled graphs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the resampling.")] = None,
    jobs: Jobs = CORES,
) -> None:
    """The value graph with a frequency for every edge, from the baseline profiles of the training roles."""
    overrides = {"alpha": alpha, "replicates": replicates, "seed": seed}
    changed = {name: value for name, value in overrides.items() if value is not None}
    if path.is_file():
        _discover_table(path, out or path.with_name(f"{path.stem}-graph"), changed, jobs)
    else:
        _discover(path, jobs, **changed)


@app.command()
def effects(
    directory: Directory,
    graph: Annotated[Path | None, typer.Option("--graph", help="Another graph (graph.json).")] = None,
) -> None:
    """Which values every condition changed: expected, possible or unexpected by the graph."""
    _effects(directory, graph)


@app.command()
def features(
    study: StudyFile,
    out: Out = None,
    prompts: Annotated[int, typer.Option(min=1, help="Baseline prompts to look at.")] = 256,
    top: Annotated[int, typer.Option(min=1, help="How many features to print.")] = 20,
) -> None:
    """Which SAE features are active on the span; recorded for steering in units of max_activation."""
    from cluster.feature_run import record_features
    from cluster.printing import features_text
    from engine.run_dir import create_run
    from engine.study import load_study

    loaded = load_study(study)
    directory = create_run(out or loaded.out)
    with directory.locked():
        table = record_features(loaded, directory, prompts)
    print(features_text(table, top))
    print(f"\nAll features are in {directory.features_file}")


@app.command()
def status(directory: Directory) -> None:
    """Progress of a run, also while it is running elsewhere."""
    from cluster.inspection import status as look
    from cluster.printing import status_text
    from engine.run_dir import open_run

    print(status_text(look(open_run(directory))))


@app.command()
def show(
    directory: Directory,
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]", help="(Beginning of) an id.")] = None,
    state: Annotated[str | None, typer.Option(help="List answers of this state.")] = None,
    condition: Annotated[str | None, typer.Option(help="List answers under this condition.")] = None,
    role: Annotated[str | None, typer.Option(help="List answers of this role.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 10,
) -> None:
    """One response: exact prompt, tokens, steering, raw answer. Without ID: a list of responses."""
    from cluster.inspection import find_responses
    from cluster.inspection import show as look
    from cluster.printing import responses_text
    from engine.run_dir import open_run

    run = open_run(directory)
    if identifier is not None:
        print(look(run, identifier))
    else:
        print(responses_text(find_responses(run, state, condition, role, limit)))


@app.command()
def replicate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The published answers of one model.")],
    features: Annotated[
        str | None, typer.Option("--features", help="SAE features to keep, e.g. 14351,1025. Default: all.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where graph and tables go.")] = None,
) -> None:
    """The paper's graph and tables from published answers; exit code 1 if a cell differs."""
    from discovery.replicate import replicate as reproduce

    result = reproduce(directory, _numbers(features), out)
    print(result.summary())
    if not result.ok:
        raise typer.Exit(1)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "--features", "numbers like 14351,1025", f"'{text}'", "Separate by commas."
        ) from None


def _score(path: Path) -> None:
    from cluster.printing import scored_text
    from cluster.sampling import check_complete
    from cluster.stages import check_scored
    from cluster.stages import score as stage
    from engine.run_dir import open_run

    run = open_run(path)
    check_complete(run)
    print(f"\n{scored_text(stage(run))}", flush=True)
    check_scored(run)


def _discover(path: Path, jobs: int, **changed: float) -> None:
    from cluster.stages import discover_graph
    from engine.run_dir import open_run

    run = open_run(path)
    study = run.inputs().study
    settings = _settings(study.discovery, changed)
    found = discover_graph(run, study.model_copy(update={"discovery": settings}), jobs)
    print(f"\n{found.summary()}", flush=True)


def _settings(base: DiscoverySpec, changed: dict[str, float]) -> DiscoverySpec:
    """`base` with the options of the command line; of these only alpha can be out of its range here."""
    try:
        return base.model_validate(base.model_dump() | changed)
    except ValueError as error:
        found = str(changed.get("alpha"))
        raise InputError("--alpha", "a level between 0 and 1", found, "0.05 is usual.") from error


def _discover_table(path: Path, out: Path, changed: dict[str, float], jobs: int) -> None:
    from cluster.inspection import read_profiles
    from cluster.stages import discover_profiles
    from engine.study import DiscoverySpec

    found = discover_profiles(read_profiles(path), _settings(DiscoverySpec(), changed), out, jobs)
    print(f"{found.summary()}\nGraph, figures and tables are in {out}")


def _effects(path: Path, graph_file: Path | None) -> None:
    from cluster.printing import effects_text, roles_text
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


if __name__ == "__main__":
    main()
