"""A complete small study on disk: tiny random model, SAE, questionnaire, roles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests import tiny

VALUES = ("Joy", "Order", "Power")


def assets(folder: Path) -> Path:
    """Model, SAE, questionnaire and roles in `folder`; the same bytes every time."""
    # Every spelling of yes and no is one token here: one forward pass scores a request.
    spellings = " yes no Yes No YES NO" * 20
    tiny.save_model(folder / "model", extra=(spellings, *spellings.split()))
    tiny.save_sae(folder / "sae")
    rows = ["item_id,questionnaire,value,agreement,question"]
    for value in VALUES:
        for i in range(4):
            sign, verb = (1, "like") if i % 2 == 0 else (-1, "avoid")
            rows.append(f"{value}{i},Own,{value},{sign},Do you {verb} {value.lower()} number {i}?")
    (folder / "items.csv").write_text("\n".join(rows) + "\n")
    (folder / "fields.yaml").write_text(
        "Age: [young, grown, old]\nWork: [baker, engineer, nurse, judge]\nTemper: [calm, bold, shy]\n"
    )
    return folder


def study(assets: Path, **changes: Any) -> dict[str, Any]:
    """The study as data; `changes` replace top-level fields."""
    data: dict[str, Any] = {
        "schema": 1,
        "name": "tiny",
        "model": {"path": str(assets / "model"), "dtype": "float32", "device": "cpu", "backend": "hf"},
        "questionnaires": [str(assets / "items.csv")],
        "roles": {"generate": [{"fields": str(assets / "fields.yaml"), "n": 24}]},
        "hints": [{"value": "asked", "inclination": "inclined"}],
        "steering": [
            {
                "operations": [
                    {"sae": {"path": str(assets / "sae")}, "features": [3, 5], "strengths": [0, 40]}
                ],
                "negative_control": True,
            }
        ],
        "steer_roles": "test",
        "sampling": {"max_tokens": 6, "batch_size": 16},
        "scoring": {"mode": "logprob", "mass_threshold": 0.0},
        "discovery": {"replicates": 10},
        "out": "run",
    }
    return data | changes


def bare(**changes: Any) -> dict[str, Any]:
    """The least that a study says; nothing that it names is there."""
    data = {"schema": 1, "name": "s", "model": {"path": "m"}, "questionnaires": ["q.csv"], "roles": {}}
    return data | {"out": "run"} | changes


def write(folder: Path, assets: Path, name: str = "study.yaml", **changes: Any) -> Path:
    """Write the study into `folder`; its run goes to `folder`/run."""
    path = folder / name
    path.write_text(yaml.safe_dump(study(assets, **changes)))
    return path
