"""Studies of text files only, made in a folder: no model is needed to plan them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axiograph.engine.plan.inputs import Inputs, load_inputs
from axiograph.engine.plan.rows import Plan, PlanIdentity
from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.schema import Study

VALUES = ("Joy", "Order", "Power")
ROLES = {f"person {i}": f"Job: trade {i}" for i in range(10)}


def write_items(folder: Path, per_value: int = 4, values: tuple[str, ...] = VALUES) -> Path:
    rows = ["item_id,questionnaire,value,agreement,question"]
    rows += [f"{v}{i},Own,{v},{1 - 2 * (i % 2)},Is {v} {i} good?" for v in values for i in range(per_value)]
    path = folder / "items.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_roles(folder: Path, roles: dict[str, str], name: str = "roles.csv") -> Path:
    path = folder / name
    path.write_text("name,text\n" + "".join(f"{k},{v}\n" for k, v in roles.items()), encoding="utf-8")
    return path


def data(folder: Path, **changes: Any) -> dict[str, Any]:
    """The fields of a study in `folder`; its files are written where they are absent."""
    if not (folder / "items.csv").exists():
        write_items(folder)
    if not (folder / "roles.csv").exists():
        write_roles(folder, ROLES)
    fields: dict[str, Any] = {
        "schema": 1,
        "name": "made",
        "model": {"path": "model"},
        "questionnaires": ["items.csv"],
        "roles": {"files": [{"path": "roles.csv"}]},
        "out": "run",
    }
    return fields | changes


def operation(**changes: Any) -> dict[str, Any]:
    return {"sae": {"path": "sae"}, "features": [3, 5], "strengths": [0, 40]} | changes


def steering(*operations: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """Strength 0 is a condition here: there is nothing that these tests would not ask of it, too."""
    return {"operations": list(operations), "negative_control": True} | ({"name": name} if name else {})


def study(folder: Path, **changes: Any) -> Study:
    return parse_study(data(folder, **changes), "study", folder)


def inputs(folder: Path, **changes: Any) -> Inputs:
    return load_inputs(study(folder, **changes))


def identity(made: Inputs, **changes: Any) -> PlanIdentity:
    """Stand-ins for the digests of model and vectors; a steered condition's digest is its name's."""
    digests = {c.name: c.name.encode().ljust(16)[:16] for c in made.conditions if c.is_steered}
    fields: dict[str, Any] = {
        "model": b"m" * 16,
        "dtype": "float32",
        "prompt": b"p" * 16,
        "steering": digests,
    }
    return PlanIdentity(**fields | changes)


def plan(folder: Path, **changes: Any) -> Plan:
    made = inputs(folder, **changes)
    return Plan(made, identity(made))
