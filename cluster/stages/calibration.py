"""The study side of a calibration: what a study asks and how it is analysed, for
discovery.calibration.planted_studies."""

from __future__ import annotations

from pathlib import Path

from axiograph.cluster.sampling.progress import counted, duration
from axiograph.discovery.calibration.noise import load_noise
from axiograph.discovery.calibration.planted_studies import (
    Calibration,
    calibrate,
    default_graphs,
    estimated_seconds,
)
from axiograph.discovery.calibration.simulation import Analysis, Design
from axiograph.discovery.calibration.trial import SimulatedStudy
from axiograph.discovery.discover import Notify
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import Inputs, load_inputs
from axiograph.engine.study.conditions import Condition
from axiograph.engine.study.questionnaire import Item, shared_texts
from axiograph.engine.study.schema import Study
from axiograph.engine.study.split import TEST, TRAIN


def calibrate_study(
    study: Study,
    out: Path,
    *,
    graphs: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    notify: Notify | None = None,
) -> Calibration:
    """Calibrate `study` and write the result into `out`. No model is loaded and nothing is asked.

    `notify` is told what the simulation does not have, and how long it will take; `graphs` and
    `jobs` as in discovery.calibration.planted_studies.

    Raises InputError for a study that no calibration covers (pooled rows, experiments), RunError where
    nothing can be found."""
    inputs = load_inputs(study)
    design = design_of(inputs)
    simulated = SimulatedStudy(design, load_noise(), analysis_of(study), seed=seed)
    count = default_graphs(simulated) if graphs is None else graphs
    if notify is not None:
        for note in calibration_notes(inputs, design):
            notify(f"Note: {note}")
        seconds = estimated_seconds(simulated) * count / jobs
        notify(f"{count} planted graphs of {design.values} values: about {duration(seconds)} here")
    with counted("calibration", "graphs") as progress:
        calibration = calibrate(simulated, count, jobs=jobs, progress=progress)
    calibration.save(out)
    return calibration


def design_of(inputs: Inputs) -> Design:
    """What `inputs` ask, of how many. Values none of whose items counts in a profile are left out.

    InputError where fewer than two values are left."""
    study, items = inputs.study, _counted_items(inputs)
    values = list(dict.fromkeys(item.value for item in items))
    if len(values) < 2:
        raise InputError(
            "study, questionnaires",
            "two values with items of their own",
            f"{len(values)}",
            "Add items, or set scoring.drop_shared_items: false.",
        )
    split = study.split.items < 1
    parts = [inputs.item_split[item.item_id] if split else None for item in items]
    counts = {part: sum(p == part for p in inputs.role_split.values()) for part in (TRAIN, TEST)}
    sampling = study.sampling
    return Design(
        agreement=tuple(item.agreement for item in items),
        owner=tuple(values.index(item.value) for item in items),
        asked_train=tuple(part in (None, TRAIN) for part in parts),
        asked_test=tuple(part in (None, TEST) for part in parts),
        train_roles=counts[TRAIN],
        test_roles=counts[TEST],
        share=sampling.share,
        mode="logprob" if study.scoring.mode == "logprob" else "generate",
        temperature=None if sampling.method == "greedy" else sampling.temperature,
        top_p=sampling.top_p,
        repeats=sampling.repeats,
        # Hints are asked of all roles.
        steered="all" if any(not c.is_steered for c in inputs.conditions[1:]) else study.steer_roles,
        tested=study.effects.roles,
        conditions=sum(_moves(condition) for condition in inputs.conditions[1:]),
    )


def _moves(condition: Condition) -> bool:
    """Whether it does anything: a strength of 0 is the baseline."""
    return condition.hint is not None or any(point.strength != 0 for point in condition.operations)


def _counted_items(inputs: Inputs) -> list[Item]:
    if not inputs.study.scoring.drop_shared_items:
        return list(inputs.items)
    dropped = {item.item_id for _, items in shared_texts(inputs.items) for item in items}
    return [item for item in inputs.items if item.item_id not in dropped]


def analysis_of(study: Study) -> Analysis:
    """The study's settings of discovery and effects. InputError for rows other than those of the
    baseline."""
    if study.discovery.rows != "baseline":
        raise InputError(
            "study, field discovery.rows",
            "baseline: calibration covers one row per role",
            study.discovery.rows,
            "Calibrate a copy of the study with discovery.rows: baseline.",
        )
    return Analysis(study.discovery, study.effects.level)


def calibration_notes(inputs: Inputs, design: Design) -> list[str]:
    """What of the study the simulation does not have."""
    study, notes = inputs.study, []
    lost = len(inputs.values) - design.values
    if lost:
        notes.append(f"{lost} values have no item of their own and are left out.")
    if not design.conditions:
        notes.append("the study steers nothing: no effects are calibrated.")
    elif sum(design.effect_roles.values()) < 2:
        notes.append("fewer than two roles are both steered and tested: no effects are calibrated.")
    knowledge = study.discovery.knowledge
    if knowledge.forbidden or knowledge.required or knowledge.tiers:
        notes.append("background knowledge is not used: the planted graphs are random.")
    if any(not c.is_steered for c in inputs.conditions[1:]) and study.steer_roles != "all":
        notes.append(
            "hints are asked of all roles, steering of some: effects are simulated on all tested roles."
        )
    return notes
