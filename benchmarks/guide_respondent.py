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

from axiograph.cluster.guide.guided import Guided
from axiograph.cluster.guide.proposing import propose
from axiograph.cluster.guide.request import GuideRequest, Judging, Limits, WishTexts
from axiograph.cluster.guide.trials import Trial, trial_key, write_materials, write_study
from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.calibration.respondent import Planted
from axiograph.discovery.guide.validation import Asked, judge
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
        wanted = [kinds[kind][number] for kind, numbers in FEW.items() for number in numbers]
    results = {scenario: guided_by(options.run, options.out, scenario, options.judges) for scenario in wanted}
    every = [result for result in results.values() if isinstance(result, Guided)]
    profiles, conditions = ask(options.out, every, options.stored)
    print(f"{profiles['role'].n_unique()} judges")
    outcomes = []
    for scenario, guided in results.items():
        if not isinstance(guided, Guided):
            outcomes.append(outcome(scenario, None, None, None, guided))
            continue
        rival = conditions[trial_key(guided.unguided[1])] if 1 in guided.unguided else None
        first, condition = guided.proposals[0], conditions[trial_key(guided.trials[1])]
        judged = judge(profiles, [Asked(1, first.name, guided.tables()[1], condition, rival)])
        outcomes.append(outcome(scenario, first, judged, None, ""))
        last = outcomes[-1]
        side = (
            "" if last.guided is None else f"; held {last.guided:.2f} SD against {last.unguided:.2f} unguided"
        )
        print(
            f"{scenario.name}: {last.proposal}; reached {last.reached:.2f} of the wanted{side}; "
            f"{last.inside}/{last.intervals} intervals"
        )
    print(f"\n{report(outcomes)}")


def guided_by(run: Path, out: Path, scenario: Scenario, judges: int) -> Guided | str:
    """The best proposal for a wish, or why there is none."""
    features = Planted.load().features
    request = GuideRequest(
        wishes=WishTexts(scenario.raised, scenario.lowered, scenario.held),
        limits=Limits("sae", without=tuple(f"f{features[value]}" for value in scenario.without)),
        judging=Judging(judges),
        top=1,
    )
    folder = "".join(c if c.isalnum() else "-" for c in scenario.name)
    try:
        return propose(open_run(run), request, out / folder)
    except InputError as error:
        return str(error)


def ask(out: Path, every: list[Guided], stored: bool) -> tuple[pl.DataFrame, dict[object, str]]:
    """(profiles under every trial, of the judges who have answered all; trial key → condition)."""
    trials: dict[object, Trial] = {}
    for guided in every:
        for trial in (guided.trials.get(1), guided.unguided.get(1)):
            if trial is not None:
                key = trial_key(trial)
                trials.setdefault(key, replace(trial, name=f"t{len(trials) + 1}"))
    first = every[0]
    most = max((guided.evidence.levers.levers for guided in every), key=len)
    levers = replace(first.evidence.levers, levers=most)
    folder = out / "judged"
    write_materials(folder, first.evidence.inputs, first.judges)
    evidence = replace(first.evidence, levers=levers)
    _, study = write_study(folder, "validation", evidence, list(trials.values()))
    run = create_run(folder / "validation")
    with run.locked():
        if not stored:
            prepared = prepare(study, run)
            print(sampled_text(sample(prepared, run, InProcessExecutor(prepared.make_worker))), flush=True)
        score(run)
    profiles = read_scores(run, "profiles")
    whole = profiles.filter(pl.len().over("role") == 1 + len(trials))
    return whole, {key: trial.condition(levers) for key, trial in trials.items()}


if __name__ == "__main__":
    main()
