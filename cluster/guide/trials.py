"""Study files that test proposals: the run's own study, asked of the judges, under the proposed steering."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from axiograph.cluster.guide.evidence import Evidence
from axiograph.cluster.guide.judges import Judges
from axiograph.cluster.guide.run_levers import RunLevers
from axiograph.discovery.guide.levers import LeverKind
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.storage.files import write_atomic
from axiograph.engine.study.conditions import OperationPoint
from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.roles import Role
from axiograph.engine.study.schema import Study
from axiograph.engine.study.split import TEST, TRAIN

ROLES, ITEMS, DEFINITIONS = "roles.json", "items.csv", "definitions.yaml"


@dataclass(frozen=True)
class Trial:
    """What is to be asked: `name` of the condition's entry in the study, `settings` lever → strength."""

    name: str
    kind: LeverKind
    settings: Mapping[str, float]

    def condition(self, levers: RunLevers) -> str:
        """The condition's name in the run of the study (engine.study.conditions)."""
        if self.kind is LeverKind.HINT:
            return f"hint {self.name}"
        label = " & ".join(point.label for point in levers.steering(dict(self.settings)))
        return f"{self.name} {label}"


def trial_key(trial: Trial) -> tuple[Any, ...]:
    """Equal for trials that do the same."""
    return (trial.kind, tuple(sorted(trial.settings.items())))


def write_materials(folder: Path, inputs: Inputs, judges: Judges) -> None:
    """The judges, the items and the definitions, which the study files of the folder name."""
    _write_roles(folder / ROLES, judges.roles)
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["item_id", "questionnaire", "value", "agreement", "question"])
    for item in judges.items:
        writer.writerow([item.item_id, item.questionnaire, item.value, item.agreement, item.question])
    _write(folder / ITEMS, stream.getvalue())
    values = {item.value for item in judges.items}
    definitions = {value: text for value, text in inputs.definitions.items() if value in values}
    if definitions:
        _write(folder / DEFINITIONS, _yaml(definitions))


def write_study(
    folder: Path,
    name: str,
    evidence: Evidence,
    trials: Sequence[Trial],
    others: Sequence[Role] = (),
    *,
    no_role: bool = False,
) -> tuple[Path, Study]:
    """Write `name`.yaml, whose run goes to `name` beside it; returns its path and the study. `others`: roles
    besides the judges, for a study without trials: they go into a file of their own. `no_role`: whether it
    asks without any role, too."""
    data, levers = _data(folder, name, evidence.inputs, no_role), evidence.levers
    hints = [_hint(trial, levers) for trial in trials if trial.kind is LeverKind.HINT]
    steering = [_steering(trial, levers) for trial in trials if trial.kind is LeverKind.SAE]
    if hints:
        data["hints"] = hints
    if steering:
        data["steering"] = steering
    if others:
        _write_roles(folder / f"{name}-roles.json", others)
        data["roles"]["files"].append({"path": f"{name}-roles.json", "split": TEST})
    path = folder / f"{name}.yaml"
    study = parse_study(data, f"study file {path}", folder.resolve())
    head = (
        f"# Written by `axiograph guide`: `axiograph run {path.name}` asks what it proposes of other roles.\n"
    )
    _write(path, head + _yaml(data))
    return path, study


def _data(folder: Path, name: str, inputs: Inputs, no_role: bool) -> dict[str, Any]:
    """The run's study as data, with the judges and the items in place of its own; nothing is steered."""
    data = inputs.study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for key in ("values", "group_by", "definitions", "hints", "steering", "steer_roles", "split"):
        data.pop(key, None)
    # Every judge is in the part that the graph is made of, and effects are tested on all of them.
    data |= {
        "schema": 1,
        "name": f"{inputs.study.name} {name}",
        "questionnaires": [ITEMS],
        "roles": {"files": [{"path": ROLES, "split": TRAIN}], "no_role": no_role},
        "split": {"roles": 1.0},
        "effects": data.get("effects", {}) | {"roles": "all"},
        "out": name,
    }
    if (folder / DEFINITIONS).is_file():
        data["definitions"] = DEFINITIONS
    return data


def _write_roles(path: Path, roles: Sequence[Role]) -> None:
    texts = {role.name: role.text for role in roles}
    _write(path, json.dumps(texts, indent=1, ensure_ascii=False) + "\n")


def _hint(trial: Trial, levers: RunLevers) -> dict[str, Any]:
    hint = levers.conditions[next(iter(trial.settings))].hint
    assert hint is not None  # a lever of that kind has one
    return {"value": hint.value, "inclination": hint.inclination, "name": trial.name}


def _steering(trial: Trial, levers: RunLevers) -> dict[str, Any]:
    points = levers.steering(dict(trial.settings))
    return {"name": trial.name, "operations": [_operation(point) for point in points]}


def _operation(point: OperationPoint) -> dict[str, Any]:
    spec = point.spec.model_dump(mode="json", exclude_defaults=True)
    spec.pop("controls", None)
    spec |= {"kind": point.kind, "unit": point.unit, "span": point.span}
    if point.feature is not None:
        spec["features"] = [point.feature]
    if point.strength is not None:
        spec["strengths"] = [point.strength]
    return spec


def _yaml(data: dict[str, Any]) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def _write(path: Path, text: str) -> None:
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
