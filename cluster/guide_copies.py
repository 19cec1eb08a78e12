"""Copies of the judges that have been given a trait: what a trait does is the difference to themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from discovery.guide_trait_texts import Trait, with_trait
from engine.conditions import BASELINE
from engine.roles import Role


@dataclass(frozen=True)
class Copies:
    """`roles`: those to be asked besides the judges; `by_trait`: trait's name → judge's name → the role that
    is that judge with the trait. Judges who have it, or whose text is no list of traits, have none."""

    roles: tuple[Role, ...]
    by_trait: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, judges: Sequence[Role], traits: Sequence[Trait], others: Sequence[Role] = ()) -> Copies:
        """`others`: roles that are asked with them."""
        # A judge with the trait may be one of these, another judge or his copy: no text is asked twice.
        named = {role.text: role.name for role in (*judges, *others)}
        made: list[Role] = []
        by_trait: dict[str, dict[str, str]] = {}
        for trait in traits:
            own = by_trait.setdefault(trait.name, {})
            for judge in judges:
                text = with_trait(judge.text, trait)
                if text is None or text == judge.text:
                    continue
                if text not in named:
                    named[text] = f"{judge.name}, {trait.name}"
                    made.append(Role(named[text], text))
                own[judge.name] = named[text]
        return cls(tuple(made), by_trait)

    def as_conditions(self, table: pl.DataFrame, judges: Sequence[str]) -> pl.DataFrame:
        """`table` (role, condition, …) of the judges' and their copies' baseline, with every copy in a row of
        its judge, under the trait's name as condition."""
        before = table.filter(pl.col("condition").cast(pl.String) == BASELINE).with_columns(
            pl.col("role", "condition").cast(pl.String)
        )
        parts = [before.filter(pl.col("role").is_in(list(judges)))]
        for name, pairs in self.by_trait.items():
            keys = pl.DataFrame({"judge": list(pairs), "role": list(pairs.values())}, schema_overrides=_TEXTS)
            own = before.join(keys, on="role", maintain_order="right")
            parts.append(own.with_columns(role="judge", condition=pl.lit(name)).drop("judge"))
        return pl.concat(parts)


_TEXTS = {"judge": pl.String, "role": pl.String}
