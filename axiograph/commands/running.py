"""Commands that ask a model, and those that look at what was asked."""

from __future__ import annotations

from typing import Annotated

import typer

from axiograph.commands.options import CORES, STALL_S, Directory, Jobs, Out, Ray, Stall, StudyFile, Workers
from axiograph.commands.reporting import do_report
from axiograph.commands.stages import do_discover, do_effects, do_score
from axiograph.engine.errors import RunError


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
    from axiograph.cluster.sampling.estimate import estimate, stored_ids
    from axiograph.cluster.sampling.loop import disk_free
    from axiograph.cluster.sampling.preparation import prepare, study_notes
    from axiograph.engine.runs.run_dir import run_at
    from axiograph.engine.study.loading import load_study
    from axiograph.texts.plain import print_notes
    from axiograph.texts.run import estimate_text

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
    from axiograph.cluster.sampling.loop import sample
    from axiograph.cluster.sampling.meter import Meter
    from axiograph.cluster.sampling.preparation import study_notes
    from axiograph.cluster.site import site
    from axiograph.engine.runs.run_dir import create_run
    from axiograph.engine.study.loading import load_study
    from axiograph.texts.plain import print_notes
    from axiograph.texts.run import sampled_text

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
    from axiograph.cluster.sampling.heartbeat import read_heartbeat
    from axiograph.cluster.sampling.inspection import status as look
    from axiograph.engine.runs.run_dir import open_run
    from axiograph.texts.progress import heartbeat_lines
    from axiograph.texts.run import status_text

    run = open_run(directory)
    print(status_text(look(run)))
    if (beat := read_heartbeat(run)) is not None:
        print("\n" + "\n".join(heartbeat_lines(beat)))


def show(
    directory: Directory,
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]", help="(Beginning of) an id.")] = None,
    state: Annotated[str | None, typer.Option(help="List answers of this state.")] = None,
    condition: Annotated[str | None, typer.Option(help="List answers under this condition.")] = None,
    role: Annotated[str | None, typer.Option(help="List answers of this role.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 10,
) -> None:
    """One response: exact prompt, tokens, steering, raw answer. Without ID: a list of responses."""
    from axiograph.cluster.sampling.inspection import find_response, find_responses
    from axiograph.engine.runs.run_dir import open_run
    from axiograph.texts.run import response_text, responses_text

    run = open_run(directory)
    if identifier is not None:
        print(response_text(find_response(run, identifier)))
    else:
        print(responses_text(find_responses(run, state, condition, role, limit)))
