"""The command that looks for features to steer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import axiograph as ax
from axiograph.commands.options import Out, StudyFile, numbers
from axiograph.commands.printing import print_line
from axiograph.engine.errors import InputError


def features(
    study: StudyFile,
    out: Out = None,
    prompts: Annotated[int, typer.Option(min=1, help="Baseline prompts to look at.")] = 256,
    top: Annotated[int, typer.Option(min=1, help="How many features to print.")] = 20,
    ban: Annotated[str | None, typer.Option(help="Features to leave out: 3,17, or a file of them.")] = None,
    rank_by: Annotated[
        Literal["activation", "effect"],
        typer.Option(help="Activation on the span, or what steering does, measured in a pilot sweep."),
    ] = "activation",
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1, show_default="the active ones, up to 64", help="Pilot: so many features, by activation."
        ),
    ] = None,
    roles: Annotated[int, typer.Option(min=1, help="Pilot: training roles asked.")] = 8,
    items: Annotated[int, typer.Option(min=1, help="Pilot: items asked of each value.")] = 4,
    directions: Annotated[int, typer.Option(min=0, help="Pilot: random directions beside them.")] = 10,
    strengths: Annotated[str | None, typer.Option(help="Pilot: such as -2,2; default: the study's.")] = None,
) -> None:
    """Which SAE features are active on the span, or move the values; recorded for units of max_activation."""
    banned = _banned(ban)
    if rank_by == "activation":
        table = ax.features(study, out, prompts=prompts, top=top, ban=banned)
        print(table)
        print(f"\nAll features are in {table.where}")
        return
    steered = None if strengths is None else numbers("--strengths", strengths, "-2,2")
    settings = ax.PilotSettings(candidates, roles, items, directions, steered, banned)
    result = ax.pilot(study, out, settings=settings, prompts=prompts, top=top, notify=print_line)
    print(result)
    print(f"\nAll candidates are in {result.where}")


def _banned(option: str | None) -> frozenset[int]:
    """Numbers from the option itself or from the file that it names, apart by commas, spaces or lines."""
    if option is None:
        return frozenset()
    text = option
    if not option.replace(",", "").replace(" ", "").isdigit():
        try:
            text = Path(option).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(
                "--ban", "feature numbers such as 3,17 or a file of them", option, "Correct it."
            ) from error
    words = text.replace(",", " ").split()
    if wrong := [word for word in words if not word.isdigit()]:
        raise InputError(f"--ban {option}", "feature numbers", f"'{wrong[0]}'", "Correct it.")
    return frozenset(map(int, words))
