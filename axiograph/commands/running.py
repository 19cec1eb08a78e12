"""Commands that ask a model, and those that look at what was asked."""

from __future__ import annotations

from typing import Annotated

import typer

import axiograph as ax
from axiograph.cluster.check.selection import REQUESTS, ROLES
from axiograph.commands.options import (
    CORES,
    STALL_S,
    Anyway,
    Directory,
    Jobs,
    Out,
    Ray,
    RetryFailed,
    Stall,
    StudyFile,
    Workers,
)
from axiograph.commands.printing import print_line, print_step


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
    print(ax.plan(study, out, calibrate_s=calibrate, on_step=print_step))


def run(
    study: StudyFile,
    out: Out = None,
    jobs: Jobs = CORES,
    ray: Ray = None,
    workers: Workers = None,
    stall: Stall = STALL_S,
    retry_failed: RetryFailed = False,
    anyway: Anyway = False,
) -> None:
    """Sample (continues where it stopped), score, discover, test effects, report."""
    result = ax.run(
        study,
        out,
        jobs=jobs,
        ray=ray,
        workers=workers,
        stall_s=stall,
        retry_failed=retry_failed,
        anyway=anyway,
        on_step=print_step,
        notify=print_line,
    )
    print(f"\nEverything is in {result.where}")


def check(
    study: StudyFile,
    out: Out = None,
    roles: Annotated[int, typer.Option(min=3, help="How many roles are asked.")] = ROLES,
    requests: Annotated[int, typer.Option(min=12, help="About how many requests.")] = REQUESTS,
    alternatives: Annotated[
        bool | None,
        typer.Option(
            "--alternatives/--no-alternatives",
            help="Try other ways of asking. [default: where something stands against this one]",
            show_default=False,
        ),
    ] = None,
    float32: Annotated[
        bool, typer.Option("--float32/--no-float32", help="Compare some answers with those in float32.")
    ] = True,
) -> None:
    """Does this model answer this questionnaire? A pilot, before the sweep. Stores nothing."""
    result = ax.check(
        study,
        out,
        roles=roles,
        requests=requests,
        alternatives=alternatives,
        float32=float32,
        on_step=print_step,
    )
    print(result)
    if result.verdict.hopeless:
        raise typer.Exit(1)


def status(directory: Directory) -> None:
    """Progress of a run, also while it is running elsewhere."""
    print(ax.open(directory).status)


def show(
    directory: Directory,
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]", help="(Beginning of) an id.")] = None,
    state: Annotated[str | None, typer.Option(help="List answers of this state.")] = None,
    condition: Annotated[str | None, typer.Option(help="List answers under this condition.")] = None,
    role: Annotated[str | None, typer.Option(help="List answers of this role.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 10,
) -> None:
    """One response: exact prompt, tokens, steering, raw answer. Without ID: a list of responses."""
    run = ax.open(directory)
    if identifier is not None:
        print(run.show(identifier))
    else:
        print(run.find(state=state, condition=condition, role=role, limit=limit))
