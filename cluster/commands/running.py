"""Commands that ask a model, and those that look at what was asked."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.commands.options import CORES, Directory, Jobs, Out, StudyFile
from cluster.commands.stages import do_discover, do_effects, do_score
from engine.errors import RunError


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
        do_score(directory.path)
        do_discover(directory.path, jobs)
        do_effects(directory.path, None)
    print(f"\nEverything is in {directory.path}")


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


def status(directory: Directory) -> None:
    """Progress of a run, also while it is running elsewhere."""
    from cluster.inspection import status as look
    from cluster.printing import status_text
    from engine.run_dir import open_run

    print(status_text(look(open_run(directory))))


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
