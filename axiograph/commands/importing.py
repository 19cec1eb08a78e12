"""The command that rewrites inventories of public forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import axiograph as ax

_Form = Literal[
    "auto", "ipip", "mpi", "psychobench", "psyborgs", "psych", "qstn", "rupsycho", "valuebench", "csv"
]


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An inventory as others keep it: JSON, CSV, TSV.")
    ],
    output: Annotated[
        Path, typer.Option("--output", help="A YAML file, or a folder for several questionnaires.")
    ],
    form: Annotated[_Form, typer.Option("--as", help="Its form.")] = "auto",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A questionnaire of the file; may be repeated. [default: all]"),
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            "--options", help="Answers of items without any, low to high: 'Disagree|Neutral|Agree'."
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="A table item_id, value, agreement, facet, for forms without keys."),
    ] = None,
) -> None:
    """Inventories as the field keeps them, as item files of the own form."""
    answers = None if options is None else options.split("|")
    print(ax.import_items(file, output, form=form, names=name or (), options=answers, keys=keys))
