"""The command line: one command per stage, and one that runs them all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.errors import AxiographError, InputError, RunError
from engine.study import Algorithm

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
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, show_default="all cores", help="Threads or processes for the bootstrap."),
]
Resampling = Literal["half_of_roles", "roles_with_replacement", "rows_with_replacement"]
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
def demo(
    roles: Annotated[int | None, typer.Option("--roles", help="Training roles. [default: 200]")] = None,
    strengths: Annotated[
        str, typer.Option("--strengths", help="Strengths at which every value is steered.")
    ] = "-2,2",
    mode: Annotated[
        Literal["generate", "logprob"], typer.Option(help="How answers are scored.")
    ] = "generate",
    out: Annotated[Path, typer.Option("--out", help="Directory of the run.")] = Path("runs/demo"),
    jobs: Jobs = CORES,
) -> None:
    """The built-in respondent, end to end, with the known truth beside what is found. No network, minutes."""
    from cluster.demo import DemoSettings
    from cluster.demo import demo as show_it
    from cluster.demo_text import demo_intro, demo_text
    from discovery.planted import Planted

    settings = DemoSettings(mode=mode, roles=roles, strengths=_strengths(strengths))
    settings.check()
    print(demo_intro(Planted.load()), flush=True)
    print(f"\n{demo_text(show_it(settings, out, jobs))}")


@app.command()
def calibrate(
    study: StudyFile,
    graphs: Annotated[
        int | None, typer.Option("--graphs", min=2, help="Planted graphs. [default: by the number of values]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the planted graphs and answers.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the result goes. [default: calibration in the study's out]"),
    ] = None,
    jobs: Jobs = CORES,
) -> None:
    """What a study of this size can find, by planted graphs with the built-in respondent's measured noise."""
    from cluster.calibrate import calibrate_study
    from cluster.calibration_text import calibration_text
    from engine.study import load_study

    loaded = load_study(study)
    folder = out or loaded.out / "calibration"
    found = calibrate_study(loaded, folder, graphs=graphs, seed=seed, jobs=jobs)
    print(calibration_text(found))
    print(f"\nNumbers, tables and the figure are in {folder}")


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
    print_notes([*study_notes(prepared.inputs), *prepared.notes()])
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
        print_notes([*study_notes(prepared.inputs), *prepared.notes()])
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


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, or a graph: JSON, GraphML, CSV.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The reference, of the same kinds.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where tables and figures go.")] = None,
    graph: Annotated[
        Literal["graph", "consensus", "averaged"] | None, typer.Option(help="Which graph of a run.")
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
    from cluster.comparing import compare_paths
    from cluster.comparison_text import comparison_text
    from discovery.stored import GraphChoice

    choice = None if graph is None else GraphChoice(graph)
    found = compare_paths(a, b, choice=choice, threshold=threshold, names=_two(names), complete=complete)
    print(comparison_text(found))
    if out is not None:
        found.save(out, reduced=reduced)
        print(f"\nTables and figures are in {out}")


def _two(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
        raise InputError("--names", "two names like Gemma,Llama", f"'{text}'", "Separate by one comma.")
    return parts[0], parts[1]


def _strengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError("--strengths", "numbers like -2,2", f"'{text}'", "Separate by commas.") from None


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


def _discover(path: Path, jobs: int, **changed: float | str) -> None:
    from cluster.stages import discover_graph
    from engine.run_dir import open_run

    run = open_run(path)
    study = run.inputs().study
    settings = _settings(study.discovery, changed)
    found = discover_graph(run, study.model_copy(update={"discovery": settings}), jobs)
    print(f"\n{found.summary()}", flush=True)


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


def _discover_table(path: Path, out: Path, changed: dict[str, float | str], jobs: int) -> None:
    from cluster.inspection import read_profiles
    from cluster.stages import discover_profiles
    from engine.study import DiscoverySpec

    found = discover_profiles(read_profiles(path), _settings(DiscoverySpec(), changed), out, jobs)
    print(f"{found.summary()}\nGraph, figures and tables are in {out}")


def _effects(path: Path, graph_file: Path | None) -> None:
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


if __name__ == "__main__":
    main()
