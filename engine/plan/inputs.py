"""Inputs: everything a study names that is read from files and needs no model.

A run keeps a copy of them, so that later stages and `show` do not depend on the original files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.draws import stratified_draws
from axiograph.engine.prompting.prompts import PromptFields
from axiograph.engine.prompting.template import Template, load_template
from axiograph.engine.storage.files import write_json
from axiograph.engine.study.conditions import (
    Condition,
    check_hints,
    check_steered,
    expand_conditions,
    hint_text,
    hinted_value,
)
from axiograph.engine.study.questionnaire import Item, Questionnaire, load_questionnaires, shared_texts
from axiograph.engine.study.roles import NO_ROLE, Role, generate_roles, load_role_fields, load_roles
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.schema import Study
from axiograph.engine.study.split import TEST, TRAIN, assign_generations, by_generation, draw, rank, split
from axiograph.engine.study.textfiles import bad_character, close_matches, load_yaml


@dataclass(frozen=True)
class Generations:
    """In which start of the run every role (by name) and every item (by id) joined; see
    engine.study.split. `draw`: how a share of the items is drawn: as the run's first start did, so that a run
    that an earlier version began keeps its draws (`hashed`)."""

    roles: dict[str, int]
    items: dict[str, int]
    draw: Literal["hashed", "stratified"] = "hashed"


@dataclass(frozen=True)
class Inputs:
    """Items (value already grouped), roles and conditions of a study, with the train/test split of both."""

    study: Study
    items: tuple[Item, ...]
    definitions: dict[str, str]
    roles: tuple[Role, ...]
    conditions: tuple[Condition, ...]
    template: Template
    role_split: dict[str, str]
    item_split: dict[str, str]
    generations: Generations

    @cached_property
    def _by_value(self) -> dict[str, list[Item]]:
        groups: dict[str, list[Item]] = {}
        for item in self.items:
            groups.setdefault(item.value, []).append(item)
        return groups

    @property
    def values(self) -> tuple[str, ...]:
        """Value names, in the order in which they are measured."""
        return tuple(self._by_value)

    def items_for(self, role: Role) -> list[Item]:
        """The items that `role` is asked, equal in every condition.

        With an item split, the part that belongs to the role's split; of these, per value, the study's
        share (at least one): engine.plan.draws, which depends on the roles, too, or, in runs that an earlier
        version began, a hash of seed, role name, value and item (DESIGN 14).
        """
        split = self.role_split[role.name] if self.study.split.items < 1 else None
        chosen: list[Item] = []
        for value in self._by_value:
            asked = self._askable(value, split)
            if self.study.sampling.share < 1 and asked:
                drawn = self._drawn(role, value, asked)
                asked = [item for item in asked if item.item_id in drawn]
            chosen.extend(asked)
        return chosen

    def _askable(self, value: str, split: str | None) -> list[Item]:
        """The items of `value` that roles of `split` may be asked (None: all)."""
        items = self._by_value[value]
        return [item for item in items if split is None or self.item_split[item.item_id] == split]

    def _drawn(self, role: Role, value: str, asked: list[Item]) -> set[str]:
        sampling = self.study.sampling
        if self.generations.draw == "stratified":
            return self._stratified[value][role.name]
        groups = by_generation([item.item_id for item in asked], self.generations.items)
        return draw(groups, sampling.share, "draw", sampling.seed, role.name, value)

    @cached_property
    def _stratified(self) -> dict[str, dict[str, set[str]]]:
        """value → role → the ids of the items that it is asked; items are dealt among the roles of a
        split."""
        study, generations = self.study, self.generations
        dealt: dict[str, dict[str, set[str]]] = {value: {} for value in self._by_value}
        joined = generations.roles
        order = sorted(
            (role.name for role in self.roles),
            key=lambda name: (joined[name], rank("deal", study.sampling.seed, name), name),
        )
        for part in (TRAIN, TEST) if study.split.items < 1 else (None,):
            roles = [name for name in order if part is None or self.role_split[name] == part]
            for value in self._by_value:
                items = self._askable(value, part)
                if items:
                    key = ("deal", study.sampling.seed, value)
                    dealt[value] |= stratified_draws(
                        roles, items, generations.items, study.sampling.share, *key
                    )
        return dealt

    def asks(self, role: Role, condition: Condition) -> bool:
        """Whether the plan holds this role under this condition (steering may be kept to one split)."""
        wanted = self.study.steer_roles
        return not condition.is_steered or wanted == "all" or self.role_split[role.name] == wanted

    def hint_text(self, condition: Condition, item: Item) -> str:
        """The hint of `condition` as a sentence, when `item` is asked; "" without one."""
        if condition.hint is None:
            return ""
        value = hinted_value(condition.hint, item.value)
        return hint_text(condition.hint, item.value, self.definitions.get(value))

    def texts(self) -> Iterator[tuple[str, str]]:
        """(where, text) of everything that prompts take from files."""
        variables = self.template.variables
        for role in self.roles:
            yield f"role '{role.name}'", role.text
            if "role_name" in variables:
                yield f"name of role '{role.name}'", role.name
        for item in self.items:
            yield f"item {item.item_id}", item.question
            if "value" in variables:
                yield f"value of item {item.item_id}", item.value
        for condition in self.conditions:
            if condition.hint is not None:
                hints = dict.fromkeys(self.hint_text(condition, item) for item in self.items)
                yield from ((f"condition '{condition.name}'", text) for text in hints)

    def fields(self, role: Role, condition: Condition, item: Item) -> PromptFields:
        """What one request puts into the prompt template."""
        return PromptFields(role.text, role.name, self.hint_text(condition, item), item.question, item.value)

    def items_frame(self) -> pl.DataFrame:
        """One row per item: item_id, questionnaire, value, agreement, question, split, shared."""
        shared = {item.item_id for _, items in shared_texts(self.items) for item in items}
        return pl.DataFrame(
            {
                "item_id": [item.item_id for item in self.items],
                "questionnaire": [item.questionnaire for item in self.items],
                "value": [item.value for item in self.items],
                "agreement": pl.Series([item.agreement for item in self.items], dtype=pl.Int8),
                "question": [item.question for item in self.items],
                "split": [self.item_split[item.item_id] for item in self.items],
                "shared": [item.item_id in shared for item in self.items],
            }
        )

    def roles_frame(self) -> pl.DataFrame:
        """One row per role: role, text, split."""
        return pl.DataFrame(
            {
                "role": [role.name for role in self.roles],
                "text": [role.text for role in self.roles],
                "split": [self.role_split[role.name] for role in self.roles],
            }
        )


def load_inputs(study: Study, previous: Generations | None = None) -> Inputs:
    """Read questionnaires, roles, hints and template of `study`; InputError names what is wrong where.

    `previous` is what an earlier start of the same run knew: its roles and items keep their split.
    """
    loaded = load_questionnaires(study.questionnaires)
    definitions = loaded.definitions | _definitions(study.definitions, loaded)
    questionnaire = replace(loaded, definitions=definitions).select(study.values, study.group_by)
    check_steered(study)
    conditions = expand_conditions(study)
    values = list(dict.fromkeys(item.value for item in questionnaire.items))
    check_hints([c.hint for c in conditions if c.hint is not None], values)
    roles, fixed = _roles(study)
    generations = Generations(
        assign_generations([role.name for role in roles], previous.roles if previous else {}),
        assign_generations(
            [item.item_id for item in questionnaire.items], previous.items if previous else {}
        ),
        previous.draw if previous else "stratified",
    )
    template = load_template(study.prompt)
    _check_template(template, study, conditions)
    free = [role.name for role in roles if role.name not in fixed]
    role_split = split(by_generation(free, generations.roles), study.split.roles, study.split.seed) | fixed
    item_split: dict[str, str] = {}
    for value in values:
        names = [item.item_id for item in questionnaire.items if item.value == value]
        item_split |= split(by_generation(names, generations.items), study.split.items, study.split.seed)
    return Inputs(
        study,
        questionnaire.items,
        questionnaire.definitions,
        roles,
        conditions,
        template,
        role_split,
        item_split,
        generations,
    )


def _roles(study: Study) -> tuple[tuple[Role, ...], dict[str, str]]:
    """All roles, and the split of those whose file or generator names one ("no role" trains)."""
    roles: list[Role] = []
    fixed: dict[str, str] = {}
    for file in study.roles.files:
        loaded = load_roles(file.path, file.text_field)
        roles += loaded
        fixed |= {role.name: file.split for role in loaded if file.split}
    for number, generator in enumerate(study.roles.generate, start=1):
        drawn = generate_roles(load_role_fields(generator.fields), generator.n, generator.seed)
        if number > 1:  # every generator counts its roles from 1
            drawn = [replace(role, name=f"{number}-{role.name}") for role in drawn]
        roles += drawn
        fixed |= {role.name: generator.split for role in drawn if generator.split}
    _refuse_duplicates(roles)
    if study.roles.no_role:
        roles.insert(0, NO_ROLE)
        fixed[NO_ROLE.name] = TRAIN
    return tuple(roles), fixed


def _refuse_duplicates(roles: list[Role]) -> None:
    names: dict[str, Role] = {}
    texts: dict[str, Role] = {}
    for role in roles:
        for seen, key, what in ((names, role.name, "name"), (texts, role.text, "text")):
            if key in seen:
                raise InputError(
                    "study, field roles",
                    f"roles of which no two have the same {what}",
                    f"'{seen[key].name}' and '{role.name}' with the {what} '{key[:80]}'",
                    "Remove one; generators with different seeds can collide, one generator cannot.",
                )
            seen[key] = role


def _check_template(template: Template, study: Study, conditions: tuple[Condition, ...]) -> None:
    where = f"prompt template {template.name}"
    spans = any(op.span == "prompt_span" for c in conditions for op in c.operations)
    if spans and not template.marks_span:
        raise InputError(
            where,
            "a span marked by the filter 'span', since the study steers at 'prompt_span'",
            "no mark",
            'Write for example {{ " your values" | span }}, or steer with span: prompt.',
        )
    if study.hints and "hint" not in template.variables:
        raise InputError(where, "the variable 'hint', since the study has hints", "none", "Add {{ hint }}.")
    if (study.roles.files or study.roles.generate) and "role" not in template.variables:
        raise InputError(where, "the variable 'role', since the study has roles", "none", "Add {{ role }}.")


def _definitions(path: Path | None, questionnaire: Questionnaire) -> dict[str, str]:
    """A YAML mapping of value names (or scale labels) to their definitions, for hints."""
    if path is None:
        return {}
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise InputError(
            f"definitions {path}", "a mapping of value name to text", type(data).__name__, "Mend the file."
        )
    labels = (f"{item.questionnaire}: {item.value}" for item in questionnaire.items)
    names = list(dict.fromkeys([*questionnaire.values, *labels]))
    for value, text in data.items():
        where = f"definitions {path}, '{value}'"
        if value not in names:
            unknown = close_matches(str(value), names)
            raise InputError(
                where, "a value of the questionnaires", unknown, "Correct the name or remove it."
            )
        if not isinstance(text, str) or not text.strip() or bad_character(text, "\n\t"):
            raise InputError(
                where, "a text without control and private-use characters", repr(text), "Mend the text."
            )
    return data


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
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            str(path),
            "the inputs of a run",
            f"'{' '.join(str(error).split())[:200]}'",
            "Move the file away and give the run command: it is written anew.",
        ) from error
