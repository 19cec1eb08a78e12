"""The command line: one command per stage, and one that runs them all."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import axiograph
from axiograph.commands import (
    builtin,
    comparing,
    direction,
    features,
    guiding,
    importing,
    reporting,
    running,
    stages,
    submitting,
)
from axiograph.commands.progress import progress
from axiograph.engine.errors import AxiographError
from axiograph.engine.storage.mirror import publish_open

HELP = (
    "Finds how the values of a language model hang together, and what happens to the others when one is "
    "steered."
)
# In the order in which --help shows them.
COMMANDS = (
    builtin.demo,
    builtin.calibrate,
    importing.import_,
    running.check,
    running.plan,
    running.run,
    submitting.submit,
    stages.score,
    stages.discover,
    stages.effects,
    reporting.report,
    features.features,
    direction.direction,
    running.status,
    running.show,
    guiding.guide,
    guiding.advise,
    comparing.compare,
    comparing.replicate,
)
app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"axiograph {axiograph.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


options.__doc__ = HELP
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)  # import_: the word is Python's own


def main() -> None:
    """Entry point: errors that a person can cause become one paragraph and an exit code."""
    try:
        try:
            with progress():
                app()
        finally:
            publish_open()
    except AxiographError as error:
        print(f"axiograph: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (head, less): nothing to say to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
