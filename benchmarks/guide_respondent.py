"""Guided steering on the built-in respondent, through the real engine, judged by new roles.

`python -m benchmarks.guide_respondent RUN OUT --judges 24`. RUN has the SAE features of all eight values at
several strengths (benchmarks/guide_study.yaml). All wishes are judged in one validation run, so that the
baseline is asked once; it continues where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import polars as pl

from axiograph.cluster.guide.proposing import Guided, guide
from axiograph.cluster.guide.request import GuideRequest
from axiograph.cluster.guide.trials import Trial, trial_key, write_materials, write_study
from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.calibration.respondent import Planted
from axiograph.discovery.guide.validation import judge
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import create_run, open_run
from axiograph.texts.run import sampled_text
from benchmarks.guide_scenarios import HOLD, SINGLE, UPSTREAM, Scenario, scenarios
from benchmarks.guide_tally import outcome, report

FEW = {SINGLE: (0, 6, 10), HOLD: (0, 1, 3), UPSTREAM: (0, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judges", type=int, default=24)
    parser.add_argument("--all", action="store_true", help="All wishes, not a choice of each kind.")
    parser.add_argument("--stored", action="store_true", help="Ask nothing: judge by what is stored.")
    options = parser.parse_args()
    wanted = scenarios()
    if not options.all:
        kinds = {kind: [s for s in wanted if s.kind == kind] for kind in FEW}
        wanted = [kinds[kind][place] for kind, places in FEW.items() for place in places]
    found = {scenario: propose(options.run, options.out, scenario, options.judges) for scenario in wanted}
    made = {scenario: own for scenario, own in found.items() if isinstance(own, Guided)}
    profiles, conditions = ask(options.out, list(made.values()), options.stored)
    print(f"{profiles['role'].n_unique()} judges")
    outcomes = []
    for scenario, own in found.items():
        if not isinstance(own, Guided):
            outcomes.append(outcome(scenario, None, None, None, own))
            continue
        rivals = {1: conditions[trial_key(own.unguided[1])]} if 1 in own.unguided else {}
        judged = judge(
            profiles,
            {1: own.tables()[1]},
            {1: own.proposals[0].name},
            {1: conditions[trial_key(own.trials[1])]},
            rivals,
        )
        outcomes.append(outcome(scenario, own.proposals[0], judged, None, ""))
        last = outcomes[-1]
        side = (
            "" if last.guided is None else f"; held {last.guided:.2f} SD against {last.unguided:.2f} unguided"
        )
        print(
            f"{scenario.name}: {last.proposal}; reached {last.reached:.2f} of the wanted{side}; "
            f"{last.inside}/{last.intervals} intervals"
        )
    print(f"\n{report(outcomes)}")


def propose(run: Path, out: Path, scenario: Scenario, judges: int) -> Guided | str:
    """The best proposal for a wish, or why there is none."""
    features = Planted.load().features
    request = GuideRequest(
        raised=scenario.raised,
        lowered=scenario.lowered,
        held=scenario.held,
        method="sae",
        top=1,
        judges=judges,
        without=tuple(f"f{features[value]}" for value in scenario.without),
    )
    folder = "".join(c if c.isalnum() else "-" for c in scenario.name)
    try:
        return guide(open_run(run), request, out / folder)
    except InputError as error:
        return str(error)


def ask(out: Path, found: list[Guided], stored: bool) -> tuple[pl.DataFrame, dict[object, str]]:
    """(profiles under every trial, of the judges who have answered all; trial key → condition)."""
    trials: dict[object, Trial] = {}
    for own in found:
        for trial in (own.trials.get(1), own.unguided.get(1)):
            if trial is not None:
                key = trial_key(trial)
                trials.setdefault(key, replace(trial, name=f"t{len(trials) + 1}"))
    first = found[0]
    every = replace(first.chosen.levers, levers=max((g.chosen.levers.levers for g in found), key=len))
    folder = out / "judged"
    write_materials(folder, first.chosen.inputs, first.judges)
    _, study = write_study(folder, "validation", first.chosen.inputs, every, list(trials.values()))
    run = create_run(folder / "validation")
    with run.locked():
        if not stored:
            prepared = prepare(study, run)
            print(sampled_text(sample(prepared, run, InProcessExecutor(prepared.make_worker))), flush=True)
        score(run)
    profiles = read_scores(run, "profiles")
    whole = profiles.filter(pl.len().over("role") == 1 + len(trials))
    return whole, {key: trial.condition(every) for key, trial in trials.items()}


if __name__ == "__main__":
    main()
