"""The run's own copy of its inputs, so that later stages and `show` do not depend on the original files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from axiograph.engine.errors import RunError
from axiograph.engine.plan.inputs import Generations, Inputs
from axiograph.engine.prompting.template import Template
from axiograph.engine.storage.files import write_json
from axiograph.engine.study.conditions import expand_conditions
from axiograph.engine.study.item_files.contents import Origin
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.roles import Role
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.schema import Study


def study_as_json(study: Study) -> dict[str, Any]:
    """The study as JSON can hold it, under the keys of a study file."""
    data: dict[str, Any] = study.model_dump(mode="json", by_alias=True)
    return data


def save_inputs(inputs: Inputs, path: Path) -> None:
    """Write the run's copy of its inputs (JSON), at once or not at all; RunError when the disk is full."""
    template = asdict(inputs.template) | {"variables": sorted(inputs.template.variables)}
    write_json(
        path,
        {
            "study": study_as_json(inputs.study),
            "items": [asdict(item) for item in inputs.items],
            "definitions": inputs.definitions,
            "norms": [
                {"questionnaire": questionnaire, "value": value, "groups": [asdict(norm) for norm in norms]}
                for (questionnaire, value), norms in inputs.norms.items()
            ],
            "origins": [asdict(origin) for origin in inputs.origins],
            "roles": [asdict(role) for role in inputs.roles],
            "role_split": inputs.role_split,
            "item_split": inputs.item_split,
            "born": asdict(inputs.generations),
            "template": template,
        },
    )


def _as_asked(study: dict[str, Any]) -> dict[str, Any]:
    """A stored study as the version that stored it meant it: before `negative_control`, strength 0 was a
    condition like any other."""
    steering = [{"negative_control": True} | dict(spec) for spec in study.get("steering", [])]
    return study | {"steering": steering}


def _item(stored: dict[str, Any]) -> Item:
    """An item as asdict left it."""
    scale = stored.get("scale")
    if scale is None:
        return Item(**stored)
    lists = {name: tuple(scale[name]) for name in ("labels", "scores", "codes")}
    return Item(**stored | {"scale": Scale(**scale | lists)})


def load_inputs_snapshot(path: Path) -> Inputs:
    """The inputs as they were when the run was last started; RunError when the file is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        # Its paths are absolute already, and a "$" in one is no variable any more.
        study = Study.model_validate(_as_asked(data["study"]))
        template = data["template"]
        return Inputs(
            study=study,
            items=tuple(_item(item) for item in data["items"]),
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
            generations=Generations(**data["born"]),
            # Earlier versions kept neither.
            norms={
                (entry["questionnaire"], entry["value"]): tuple(Norm(**norm) for norm in entry["groups"])
                for entry in data.get("norms", [])
            },
            origins=tuple(
                Origin(**origin | {"notes": tuple(origin["notes"])}) for origin in data.get("origins", [])
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            str(path),
            "the inputs of a run",
            f"'{' '.join(str(error).split())[:200]}'",
            "Move the file away and give the run command: it is written anew.",
        ) from error
