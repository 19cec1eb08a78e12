"""The command that chooses how to steer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster.commands.options import Directory


def guide(
    directory: Directory,
    raised: Annotated[
        list[str] | None, typer.Option("--raise", help="Values to raise: A, A=0.5 (points) or A=1sd; commas.")
    ] = None,
    lowered: Annotated[list[str] | None, typer.Option("--lower", help="Values to lower, likewise.")] = None,
    held: Annotated[
        list[str] | None, typer.Option("--hold", help="Values to hold still; 'rest': all that are not named.")
    ] = None,
    method: Annotated[
        Literal["any", "sae", "hint", "role"], typer.Option(help="What may be proposed.")
    ] = "any",
    budget: Annotated[int, typer.Option("--budget", min=1, help="The most features together.")] = 3,
    most: Annotated[
        float | None,
        typer.Option(
            "--max-strength",
            min=0,
            help="The largest strength, in the sweep's unit.",
            show_default="the sweep's",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="How far a held value may be expected to move, in standard deviations.")
    ] = 0.2,
    top: Annotated[int, typer.Option(min=1, help="How many proposals of each kind.")] = 3,
    validate: Annotated[
        bool, typer.Option("--validate", help="Ask the judges, and compare with what was predicted.")
    ] = False,
    roles: Annotated[int, typer.Option("--roles", min=2, help="How many roles judge.")] = 40,
    judges: Annotated[
        Path | None, typer.Option("--judges", help="A file of roles to judge by, none of the run's.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="FILE[#NAME]", help="A graph to compare the run's with."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep-reference", help="Hold values that the reference expects to stay.")
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Features or hints not to be used; commas.")
    ] = None,
    graph: Annotated[
        Path | None, typer.Option("--graph", help="Another graph than the run's (graph.json).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where it goes. [default: RUN/guide/…]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws behind the intervals.")] = 0,
) -> None:
    """How to steer: raise these values, lower those, hold others, with the fewest side effects."""
    from cluster.guide_text import guide_text, judged_text
    from cluster.guide_validating import validate as ask_judges
    from cluster.guiding import GuideRequest
    from cluster.guiding import guide as propose
    from cluster.printing import sampled_text
    from engine.run_dir import open_run

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
        sampled, judged = ask_judges(found)
        print(f"\n{sampled_text(sampled)}\n\n{judged_text(found, judged)}")
