"""The command line: one command per stage, and one that runs them all."""

from __future__ import annotations

import os
import sys

import typer

from cluster.commands import builtin, comparing, running, stages
from engine.errors import AxiographError

app = typer.Typer(
    help="Finds how the values of a language model hang together, and what happens to the others when one "
    "is steered.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# In the order in which --help shows them.
COMMANDS = (
    builtin.demo,
    builtin.calibrate,
    running.plan,
    running.run,
    stages.score,
    stages.discover,
    stages.effects,
    running.features,
    running.status,
    running.show,
    comparing.compare,
    comparing.replicate,
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Entry point: errors that a person can cause become one paragraph and an exit code."""
    try:
        app()
    except AxiographError as error:
        print(f"axiograph: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (head, less): nothing to say to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
