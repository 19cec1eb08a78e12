"""The command that gives a study to a Ray cluster, and comes back to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import axiograph as ax
from axiograph.commands.options import Anyway, RetryFailed
from axiograph.engine.errors import InputError


def submit(
    study: Annotated[Path | None, typer.Argument(metavar="[STUDY]", help="The study file (YAML).")] = None,
    address: Annotated[
        str, typer.Option("--address", help="The dashboard of the cluster: http://HOST:8265.")
    ] = "http://127.0.0.1:8265",
    out: Annotated[
        str | None,
        typer.Option(
            "--out", help="Where the run goes, as the cluster sees it: a shared path, s3://…, gs://…."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Print the job's log until it ends.")
    ] = True,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="NAME=VALUE for the job, as often as needed; no credentials."),
    ] = None,
    retry_failed: RetryFailed = False,
    anyway: Anyway = False,
    attach: Annotated[str | None, typer.Option("--attach", help="Follow this job again.")] = None,
    stop: Annotated[str | None, typer.Option("--stop", help="Stop this job.")] = None,
) -> None:
    """Run a study as a job on a Ray cluster: packs study and code, submits, follows."""
    if sum(argument is not None for argument in (study, attach, stop)) != 1:
        raise InputError(
            "axiograph submit", "one of STUDY, --attach JOB, --stop JOB", "none or several", "Give one."
        )
    if stop is not None:
        print(f"Job {stop}: {ax.stop(stop, address)}")
        return
    job = attach
    if study is not None:
        submitted = ax.submit(
            study, address, out, variables=_variables(env or []), retry_failed=retry_failed, anyway=anyway
        )
        job = submitted.name
        print(submitted, flush=True)
    if job is not None and (follow or attach is not None):
        _follow(job, address)


def _follow(job: str, address: str) -> None:
    try:
        ax.follow(job, address, _say)
    except KeyboardInterrupt:
        print(f"\nJob {job} goes on. axiograph submit --address {address} --attach {job} follows it again.")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _variables(options: list[str]) -> dict[str, str]:
    variables = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not equals:
            raise InputError("--env", "NAME=VALUE", f"'{text}'", "Separate name and value by '='.")
        variables[name] = value
    return variables
