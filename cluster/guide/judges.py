"""Judges: the roles and items by which proposals are judged, none of which had a part in choosing them.

A trait is judged by copies of the judges who are given it: what it does is the difference to themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from axiograph.cluster.guide.request import Judging
from axiograph.discovery.guide.traits import Trait, with_trait
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.questionnaire import Item, shared_texts
from axiograph.engine.study.roles import NO_ROLE, Role, generate_roles, load_role_fields, load_roles
from axiograph.engine.study.split import TEST, TRAIN

_TEXTS = {"judge": pl.String, "role": pl.String}


@dataclass(frozen=True)
class Judges:
    """`items`: those the judges are asked; `new_items`: whether the choosing roles were asked others, and
    `ratio`: how many of a value those were asked, for one of the judges'. `source`: in words."""

    roles: tuple[Role, ...]
    items: tuple[Item, ...]
    new_items: bool
    ratio: float
    source: str


def select_judges(inputs: Inputs, part: str, judging: Judging) -> Judges:
    """`part`: of the roles (train, test), the one that proposals are chosen by.

    The judges are the roles of `judging.file`; or the run's roles of the test part, where choosing was by the
    training part; or further roles of its generators. Where the study splits the items too, they are asked
    those of the other part. Raises InputError where there are none."""
    roles, source = _roles(inputs, part, judging)
    return Judges(roles, *_items(inputs, part), source)


def _roles(inputs: Inputs, part: str, judging: Judging) -> tuple[tuple[Role, ...], str]:
    """(the judges, where they come from in words)."""
    names = {role.name for role in inputs.roles}
    texts = {role.text for role in inputs.roles}
    if judging.file is not None:
        roles = load_roles(judging.file, None)
        used = [role.name for role in roles if role.name in names or role.text in texts]
        if used:
            raise InputError(
                f"--judges {judging.file}",
                "roles that the run has not",
                f"{len(used)} of the run's own, such as '{used[0]}'",
                "Roles that had a part in choosing are never judges: give others.",
            )
        return tuple(roles), f"the roles of {judging.file.name}"
    if part == TRAIN:
        others = [r for r in inputs.roles if inputs.role_split[r.name] == TEST and r.name != NO_ROLE.name]
        if others:
            return tuple(others[: judging.roles]), "the run's test roles"
    drawn = _new_roles(inputs, judging.roles, texts)
    if not drawn:
        raise InputError(
            "roles to judge by",
            "test roles beside the choosing ones, or generators that can draw more roles",
            "neither in the run's study",
            "Give a file of other roles with --judges.",
        )
    return tuple(drawn), "new roles of the study's generators"


def _new_roles(inputs: Inputs, count: int, used: set[str]) -> list[Role]:
    """Roles behind those that the study's first generator with enough combinations has drawn."""
    for generator in inputs.study.roles.generate:
        fields = load_role_fields(generator.fields)
        total = 1
        for options in fields.values():
            total *= len(options)
        # A few more than needed: other generators may have drawn some of them.
        wanted = min(total, generator.n + count + len(used))
        drawn = generate_roles(fields, wanted, generator.seed)[generator.n :]
        new = [Role(f"judge-{role.name}", role.text) for role in drawn if role.text not in used]
        if len(new) >= count:
            return new[:count]
    return []


def _items(inputs: Inputs, part: str) -> tuple[tuple[Item, ...], bool, float]:
    """(items, whether the choosing roles were asked others, how many of a value those had for one)."""
    study = inputs.study
    items = list(inputs.items)
    if study.scoring.drop_shared_items:
        # A text that serves two values would count again where only one of its items is asked.
        shared = {item.item_id for _, group in shared_texts(items) for item in group}
        items = [item for item in items if item.item_id not in shared]
    if study.split.items == 1:
        return tuple(items), False, 1.0
    other = TEST if part == TRAIN else TRAIN
    new = [item for item in items if inputs.item_split[item.item_id] == other]
    before = Counter(item.value for item in items if inputs.item_split[item.item_id] == part)
    after = Counter(item.value for item in new)
    missing = [value for value in before if not after[value]]
    if missing:
        raise InputError(
            "items to judge by",
            f"items of every value in the {other} part",
            f"none of {', '.join(missing[:5])}",
            "Choose another split.items in the study.",
        )
    ratios = [before[value] / after[value] for value in before]
    return tuple(new), True, sum(ratios) / len(ratios)


@dataclass(frozen=True)
class TraitCopies:
    """Judges who are given a trait. `roles`: those to be asked besides the judges; `by_trait`: trait's name →
    judge's name → the role that is that judge with the trait. Judges who have it, or whose text is no list of
    traits, have none."""

    roles: tuple[Role, ...]
    by_trait: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, judges: Sequence[Role], traits: Sequence[Trait], others: Sequence[Role] = ()) -> TraitCopies:
        """`others`: roles that are asked with them."""
        # A judge with the trait may be one of these, another judge or his copy: no text is asked twice.
        named = {role.text: role.name for role in (*judges, *others)}
        copies: list[Role] = []
        by_trait: dict[str, dict[str, str]] = {}
        for trait in traits:
            pairs = by_trait.setdefault(trait.name, {})
            for judge in judges:
                text = with_trait(judge.text, trait)
                if text is None or text == judge.text:
                    continue
                if text not in named:
                    named[text] = f"{judge.name}, {trait.name}"
                    copies.append(Role(named[text], text))
                pairs[judge.name] = named[text]
        return cls(tuple(copies), by_trait)

    def as_conditions(self, table: pl.DataFrame, judges: Sequence[str]) -> pl.DataFrame:
        """`table` (role, condition, …) of the judges' and their copies' baseline, with every copy in a row of
        its judge, under the trait's name as condition."""
        before = table.filter(pl.col("condition").cast(pl.String) == BASELINE).with_columns(
            pl.col("role", "condition").cast(pl.String)
        )
        parts = [before.filter(pl.col("role").is_in(list(judges)))]
        for name, pairs in self.by_trait.items():
            keys = pl.DataFrame({"judge": list(pairs), "role": list(pairs.values())}, schema_overrides=_TEXTS)
            copies = before.join(keys, on="role", maintain_order="right")
            parts.append(copies.with_columns(role="judge", condition=pl.lit(name)).drop("judge"))
        return pl.concat(parts)
