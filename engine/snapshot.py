"""A run's own copy of its inputs, so that later stages and `show` do not depend on the original files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.conditions import expand_conditions
from engine.errors import RunError
from engine.files import write_json
from engine.inputs import Born, Inputs
from engine.questionnaire import Item
from engine.roles import Role
from engine.study import Study
from engine.template import Template


def study_as_json(study: Study) -> dict[str, Any]:
    data: dict[str, Any] = study.model_dump(mode="json", by_alias=True)
    return data


def save_inputs(inputs: Inputs, path: Path) -> None:
    template = asdict(inputs.template) | {"variables": sorted(inputs.template.variables)}
    write_json(
        path,
        {
            "study": study_as_json(inputs.study),
            "items": [asdict(item) for item in inputs.items],
            "definitions": inputs.definitions,
            "roles": [asdict(role) for role in inputs.roles],
            "role_split": inputs.role_split,
            "item_split": inputs.item_split,
            "born": asdict(inputs.born),
            "template": template,
        },
    )


def load_inputs_snapshot(path: Path) -> Inputs:
    """The inputs as they were when the run was last started; RunError when the file is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        # Its paths are absolute already, and a "$" in one is no variable any more.
        study = Study.model_validate(data["study"])
        template = data["template"]
        return Inputs(
            study=study,
            items=tuple(Item(**item) for item in data["items"]),
            definitions=data["definitions"],
            roles=tuple(Role(**role) for role in data["roles"]),
            conditions=expand_conditions(study),
            template=Template(
                name=template["name"],
                chat=template["chat"],
                answer_cue=template["answer_cue"],
                sources=tuple((role, text) for role, text in template["sources"]),
                variables=frozenset(template["variables"]),
                marks_span=template["marks_span"],
            ),
            role_split=data["role_split"],
            item_split=data["item_split"],
            born=Born(**data["born"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = " ".join(str(error).split())[:200]
        raise RunError(
            str(path),
            "the inputs of a run",
            f"'{found}'",
            "Move the file away and give the run command: it is written anew.",
        ) from error
