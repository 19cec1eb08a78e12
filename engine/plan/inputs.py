"""Inputs: everything a study names that is read from files and needs no model.

A run keeps a copy of them, so that later stages and `show` do not depend on the original files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from axiograph.engine.errors import InputError
from axiograph.engine.plan.draws import stratified_draws
from axiograph.engine.prompting.options import Order, ShownScale, option_scores, order_of, shown_scales
from axiograph.engine.prompting.prompts import PromptFields
from axiograph.engine.prompting.template import Template, load_scale_template, load_template
from axiograph.engine.study.conditions import (
    Condition,
    check_hints,
    check_steered,
    expand_conditions,
    hint_text,
    hinted_value,
)
from axiograph.engine.study.item_files.contents import Origin
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.personas import load_role_file
from axiograph.engine.study.questionnaire import Item, Questionnaire, load_questionnaires, shared_texts
from axiograph.engine.study.roles import NO_ROLE, Role, generate_roles, load_role_fields
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
    """Items (value already grouped), roles and conditions of a study, with the train/test split of both.

    `norms`, `origins`: as in engine.study.questionnaire.Questionnaire; empty in runs that an earlier version
    started."""

    study: Study
    items: tuple[Item, ...]
    definitions: dict[str, str]
    roles: tuple[Role, ...]
    conditions: tuple[Condition, ...]
    template: Template
    role_split: dict[str, str]
    item_split: dict[str, str]
    generations: Generations
    norms: dict[tuple[str, str], tuple[Norm, ...]] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()

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
            if "instruction" in variables:
                yield f"instruction of item {item.item_id}", item.instruction
            if "value" in variables:
                yield f"value of item {item.item_id}", item.value
        for shown in self.scales.values():
            yield from ((f"an option of scale '{shown.scale.name}'", text) for text in shown.scale.labels)
        for condition in self.conditions:
            if condition.hint is not None:
                hints = dict.fromkeys(self.hint_text(condition, item) for item in self.items)
                yield from ((f"condition '{condition.name}'", text) for text in hints)

    @cached_property
    def scales(self) -> dict[str, ShownScale]:
        """name → answer scale of some item, as it is shown."""
        return shown_scales([item.scale for item in self.items], self.study.answers)

    def order(self, role: Role, item: Item, repeat: int) -> Order:
        """In which order a request shows the options of its item; () without a scale."""
        if item.scale is None:
            return ()
        return order_of(item.scale, self.study.answers, repeat, role.text, item.question)

    def fields(self, role: Role, condition: Condition, item: Item, repeat: int = 0) -> PromptFields:
        """What one request puts into the prompt template."""
        shown = None if item.scale is None else self.scales[item.scale.name]
        return PromptFields(
            role.text,
            role.name,
            self.hint_text(condition, item),
            item.question,
            item.value,
            item.instruction,
            item.is_statement,
            options="" if shown is None else shown.lines(self.order(role, item, repeat)),
            asked_for="" if shown is None else shown.asked_for,
        )

    def items_frame(self) -> pl.DataFrame:
        """One row per item: item_id, questionnaire, value, agreement, question, split, shared, option_scores
        (of its scale's options, in [−1, 1]; null for a middle that is no score; null without a scale)."""
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
                "option_scores": pl.Series(
                    [option_scores(item.scale, self.study.answers) for item in self.items],
                    dtype=pl.List(pl.Float64),
                ),
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
    scales = {item.scale for item in questionnaire.items if item.scale is not None}
    _check_scales(scales, study, [item for item in questionnaire.items if item.scale is None])
    template = load_scale_template(study.prompt) if scales else load_template(study.prompt)
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
        questionnaire.norms,
        questionnaire.origins,
    )


def _roles(study: Study) -> tuple[tuple[Role, ...], dict[str, str]]:
    """All roles, and the split of those whose file or generator names one ("no role" trains)."""
    roles: list[Role] = []
    fixed: dict[str, str] = {}
    for file in study.roles.files:
        loaded = load_role_file(file)
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


def _check_scales(scales: Collection[Scale], study: Study, without: Sequence[Item]) -> None:
    names = [scale.name for scale in scales]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(
            "questionnaires", "scales of different names", f"several called '{doubled[0]}'", "Rename one."
        )
    if scales and without and study.answers.order == "both":
        raise InputError(
            "study, field answers.order",
            "items that all have answer scales, for 'both'",
            f"item {without[0].item_id}, which is answered yes or no",
            "Ask it in a study of its own, or in one order.",
        )


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
