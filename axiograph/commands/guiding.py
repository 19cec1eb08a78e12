"""The commands that choose how to steer, and what to try next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import axiograph as ax
from axiograph.cluster.guide.request import Graphs, GuideRequest, Judging, Limits, WishTexts
from axiograph.commands.options import CORES, STALL_S, Directory, Jobs, Ray, Stall, Workers
from axiograph.engine.errors import InputError

Method = Literal["any", "sae", "hint", "role"]
Texts = list[str] | None
Raised = Annotated[
    Texts, typer.Option("--raise", help="Values to raise: A, A=0.5 (points) or A=1sd; commas.")
]
Lowered = Annotated[Texts, typer.Option("--lower", help="Values to lower, likewise.")]
Held = Annotated[Texts, typer.Option("--hold", help="Values to hold still; 'rest': all that are not named.")]
Budget = Annotated[int, typer.Option("--budget", min=1, help="The most features together.")]
Most = Annotated[
    float | None,
    typer.Option(
        "--max-strength",
        min=0,
        help="The largest strength, in the sweep's unit.",
        show_default="the sweep's",
    ),
]
Tolerance = Annotated[
    float, typer.Option(help="How far a held value may be expected to move, in standard deviations.")
]
Top = Annotated[int, typer.Option(min=1, help="How many proposals of each kind.")]
Without = Annotated[Texts, typer.Option("--without", help="Features or hints not to be used; commas.")]
Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="FILE[#NAME]", help="A graph to compare the run's with."),
]
Keep = Annotated[
    bool, typer.Option("--keep-reference", help="Hold values that the reference expects to stay.")
]
Graph = Annotated[Path | None, typer.Option("--graph", help="Another graph than the run's (graph.json).")]
Count = Annotated[int, typer.Option("--roles", min=2, help="How many roles judge.")]
JudgeFile = Annotated[
    Path | None, typer.Option("--judges", help="A file of roles to judge by, none of the run's.")
]
Validate = Annotated[
    bool, typer.Option("--validate", help="Ask the judges, and compare with what was predicted.")
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="With --validate: ask again what could not be answered before."),
]
Folder = Annotated[Path | None, typer.Option("--out", help="Where it goes. [default: RUN/guide/…]")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draws behind the intervals.")]


def guide(
    directory: Directory,
    raised: Raised = None,
    lowered: Lowered = None,
    held: Held = None,
    method: Annotated[Method, typer.Option(help="What may be proposed; role: roles and traits.")] = "any",
    budget: Budget = 3,
    most: Most = None,
    tolerance: Tolerance = 0.2,
    top: Top = 3,
    ask: Validate = False,
    roles: Count = 40,
    judges: JudgeFile = None,
    reference: Reference = None,
    keep: Keep = False,
    without: Without = None,
    graph: Graph = None,
    ray: Ray = None,
    workers: Workers = None,
    stall: Stall = STALL_S,
    retry_failed: RetryFailed = False,
    out: Folder = None,
    seed: Seed = 0,
) -> None:
    """How to steer: raise these values, lower those, hold others, with the fewest side effects."""
    if not ask and (ray is not None or retry_failed):
        option = "--ray" if ray is not None else "--retry-failed"
        raise InputError(option, "--validate, which asks the judges", "none", "Add it, or leave this out.")
    request = GuideRequest(
        wishes=WishTexts(tuple(raised or ()), tuple(lowered or ()), tuple(held or ()), tolerance),
        limits=Limits(method, budget, most, tuple(without or ())),
        judging=Judging(roles, judges),
        graphs=Graphs(graph, reference, keep),
        top=top,
        seed=seed,
    )
    proposals = ax.guide(directory, request=request, out=out)
    print(proposals, flush=True)
    if ask:
        judged = proposals.validate(ray=ray, workers=workers, stall_s=stall, retry_failed=retry_failed)
        print(f"\n{judged}")


def advise(
    directory: Directory,
    budget: Annotated[int | None, typer.Option("--budget", min=1, help="Requests in all, at most.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulated studies.")] = 0,
    jobs: Jobs = CORES,
) -> None:
    """Which roles, features and strengths would settle the directions for the fewest requests, by a pilot."""
    print(ax.advise(directory, budget=budget, seed=seed, jobs=jobs))
