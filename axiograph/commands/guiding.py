"""The command that chooses how to steer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from axiograph.commands.options import STALL_S, Directory, Ray, Stall, Workers

if TYPE_CHECKING:
    from axiograph.cluster.guide.proposing import Guided

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
    validate: Validate = False,
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
    from axiograph.cluster.guide.proposing import guide as propose
    from axiograph.cluster.guide.request import GuideRequest
    from axiograph.engine.errors import InputError
    from axiograph.engine.runs.run_dir import open_run
    from axiograph.texts.guide import guide_text

    if not validate and (ray is not None or retry_failed):
        option = "--ray" if ray is not None else "--retry-failed"
        raise InputError(option, "--validate, which asks the judges", "none", "Add it, or leave this out.")
    request = GuideRequest(
        raised=tuple(raised or ()),
        lowered=tuple(lowered or ()),
        held=tuple(held or ()),
        method=method,
        budget=budget,
        most=most,
        tolerance=tolerance,
        top=top,
        judges=roles,
        judge_file=judges,
        reference=reference,
        keep=keep,
        without=tuple(without or ()),
        graph_file=graph,
        seed=seed,
    )
    found = propose(open_run(directory), request, out)
    print(guide_text(found), flush=True)
    if validate:
        _validate(found, ray, workers, stall, retry_failed)


def _validate(found: Guided, ray: str | None, workers: int | None, stall: float, retry_failed: bool) -> None:
    from axiograph.cluster.guide.validating import Asking
    from axiograph.cluster.guide.validating import validate as ask_judges
    from axiograph.cluster.site import site
    from axiograph.texts.guide import judged_text
    from axiograph.texts.run import sampled_text

    with site(ray, workers, stall) as place:
        sampled, judged = ask_judges(found, Asking(place, retry_failed))
    print(f"\n{sampled_text(sampled)}\n\n{judged_text(found, judged)}")
