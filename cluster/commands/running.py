"""Commands that ask a model, and those that look at what was asked."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.commands.options import CORES, STALL_S, Directory, Jobs, Out, Ray, Stall, StudyFile, Workers
from cluster.commands.reporting import do_report
from cluster.commands.stages import do_discover, do_effects, do_score
from engine.errors import RunError


def plan(
    study: StudyFile,
    out: Out = None,
    calibrate: Annotated[
        float,
        typer.Option(
            "--calibrate",
            min=0,
            metavar="SECONDS",
            help="For so long each kind of worker answers requests, to estimate the time; 0: none is made.",
        ),
    ] = 30.0,
) -> None:
    """What would run: requests, tokens, disk, estimated hours. Stores nothing."""
    from cluster.estimate import estimate, stored_ids
    from cluster.preparation import prepare, study_notes
    from cluster.printing import estimate_text, print_notes
    from cluster.sampling import disk_free
    from engine.run_dir import run_at
    from engine.study import load_study

    loaded = load_study(study)
    run = run_at(out or loaded.out)
    prepared = prepare(loaded, run, measure=False, mixed=True)
    print_notes([*study_notes(prepared.inputs), *prepared.notes()])
    print(estimate_text(estimate(prepared, calibrate, stored_ids(run)), disk_free(run), run.where))


def run(
    study: StudyFile,
    out: Out = None,
    jobs: Jobs = CORES,
    ray: Ray = None,
    workers: Workers = None,
    stall: Stall = STALL_S,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what could not be answered before.")
    ] = False,
) -> None:
    """Sample (continues where it stopped), score, discover, test effects, report."""
    from cluster.meter import Meter
    from cluster.preparation import study_notes
    from cluster.printing import print_notes, sampled_text
    from cluster.sampling import sample
    from cluster.site import site
    from engine.run_dir import create_run
    from engine.study import load_study

    loaded = load_study(study)
    directory = create_run(out or loaded.out)
    with directory.locked(), site(ray, workers, stall) as place:
        prepared = place.prepare(loaded, directory)
        print_notes([*study_notes(prepared.inputs), *prepared.notes(), *place.notes(prepared)])
        meter = Meter()
        try:
            sampled = sample(prepared, directory, place.executor(prepared, meter), meter, retry_failed)
        except KeyboardInterrupt:
            raise RunError(
                f"run {directory.where}",
                "to finish sampling",
                "a stop from the keyboard",
                "What was answered is stored: the same command continues.",
            ) from None
        print(sampled_text(sampled), flush=True)
        do_score(directory)
        do_discover(directory, place.jobs(jobs))
        do_effects(directory, None)
        do_report(directory)
    print(f"\nEverything is in {directory.where}")


def status(directory: Directory) -> None:
    """Progress of a run, also while it is running elsewhere."""
    from cluster.heartbeat import read_heartbeat
    from cluster.inspection import status as look
    from cluster.printing import status_text
    from engine.run_dir import open_run

    run = open_run(directory)
    print(status_text(look(run)))
    if (beat := read_heartbeat(run)) is not None:
        print("\n" + "\n".join(beat.lines()))


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
