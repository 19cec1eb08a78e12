"""Commands around the built-in respondent, whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from axiograph.commands.options import CORES, Jobs, StudyFile
from axiograph.engine.errors import InputError


def demo(
    roles: Annotated[int | None, typer.Option("--roles", help="Training roles. [default: 200]")] = None,
    strengths: Annotated[
        str, typer.Option("--strengths", help="Strengths at which every value is steered.")
    ] = "-2,2",
    mode: Annotated[
        Literal["generate", "logprob"], typer.Option(help="How answers are scored.")
    ] = "generate",
    out: Annotated[Path, typer.Option("--out", help="Directory of the run.")] = Path("runs/demo"),
    jobs: Jobs = CORES,
) -> None:
    """The built-in respondent, end to end, with the known truth beside what is found. No network, minutes."""
    from axiograph.cluster.demonstration import DemoSettings
    from axiograph.cluster.demonstration import demo as show_it
    from axiograph.commands.reporting import do_report
    from axiograph.discovery.calibration.respondent import Planted
    from axiograph.texts.demo import demo_intro, demo_text

    settings = DemoSettings(mode=mode, roles=roles, strengths=_strengths(strengths))
    settings.check()
    print(demo_intro(Planted.load()), flush=True)
    shown = show_it(settings, out, jobs)
    print(f"\n{demo_text(shown)}", flush=True)
    do_report(shown.run)


def calibrate(
    study: StudyFile,
    graphs: Annotated[
        int | None, typer.Option("--graphs", min=2, help="Planted graphs. [default: by the number of values]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the planted graphs and answers.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the result goes. [default: calibration in the study's out]"),
    ] = None,
    jobs: Jobs = CORES,
) -> None:
    """What a study of this size can find, by planted graphs with the built-in respondent's measured noise."""
    from axiograph.cluster.stages.calibration import calibrate_study
    from axiograph.engine.runs.run_dir import run_at
    from axiograph.engine.study.loading import load_study
    from axiograph.texts.calibration import calibration_text

    loaded = load_study(study)
    run = run_at(loaded.out)
    folder = out or run.path / "calibration"
    found = calibrate_study(loaded, folder, graphs=graphs, seed=seed, jobs=jobs)
    print(calibration_text(found))
    print(f"\nNumbers, tables and the figure are in {run.shown(folder)}")


def _strengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError("--strengths", "numbers like -2,2", f"'{text}'", "Separate by commas.") from None
