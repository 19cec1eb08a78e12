"""Which requests make a pilot: the baseline of some roles on some items of every value, always the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.roles import Role
from axiograph.engine.study.split import TRAIN, rank

ROLES = 12
REQUESTS = 288
FEWEST_ITEMS, MOST_ITEMS = 2, 6  # of a value, that a role is asked
MOST_VALUES = 60


@dataclass(frozen=True)
class PilotRows:
    """`items`: of every chosen role, the ids of its items; all of them under `condition`, once."""

    condition: str
    items: Mapping[str, frozenset[str]]

    @property
    def count(self) -> int:
        return sum(len(items) for items in self.items.values())

    def of(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [rows]: which rows of a plan (PLAN_SCHEMA) belong to it."""
        names = {column: batch[column].dictionary.to_pylist() for column in ("role", "condition", "item_id")}
        codes = {column: batch[column].indices.to_numpy() for column in names}
        roles = np.array([name in self.items for name in names["role"]], bool)
        conditions = np.array([name == self.condition for name in names["condition"]], bool)
        chosen = roles[codes["role"]] & conditions[codes["condition"]] & (batch["repeat"].to_numpy() == 0)
        for row in np.flatnonzero(chosen):
            items = self.items[names["role"][codes["role"][row]]]
            chosen[row] = names["item_id"][codes["item_id"][row]] in items
        return chosen


def choose_pilot(inputs: Inputs, roles: int = ROLES, requests: int = REQUESTS) -> PilotRows:
    """Training roles, since what a pilot shows may change the study; of every value items of both keys."""
    chosen = _roles(inputs, roles)
    values = sorted(inputs.values, key=lambda value: rank("check", value))[:MOST_VALUES]
    each = int(np.clip(requests // (len(chosen) * len(values)), FEWEST_ITEMS, MOST_ITEMS))
    items = {role.name: _items(inputs.items_for(role), frozenset(values), each) for role in chosen}
    return PilotRows(inputs.conditions[0].name, items)


def _roles(inputs: Inputs, count: int) -> list[Role]:
    training = [role for role in inputs.roles if inputs.role_split[role.name] == TRAIN] or list(inputs.roles)
    return sorted(training, key=lambda role: rank("check", role.name))[:count]


def _items(asked: Iterable[Item], values: frozenset[str], each: int) -> frozenset[str]:
    """The ids of `each` items of every value, by turns of either key as far as there are any. Of items that
    share their question only one: they are one request."""
    keyed: dict[tuple[str, int], list[Item]] = {}
    questions: set[tuple[str, int]] = set()
    for item in sorted(asked, key=lambda item: rank("check", item.item_id)):
        question = (item.question, item.agreement)
        if item.value in values and question not in questions:
            questions.add(question)
            keyed.setdefault((item.value, item.agreement), []).append(item)
    chosen: set[str] = set()
    for value in values:
        sides = [keyed.get((value, key), []) for key in (1, -1)]
        turns = [item for pair in _alternating(*sides) for item in pair]
        chosen.update(item.item_id for item in turns[:each])
    return frozenset(chosen)


def _alternating(first: list[Item], second: list[Item]) -> Iterator[list[Item]]:
    for number in range(max(len(first), len(second))):
        yield first[number : number + 1] + second[number : number + 1]


@dataclass(frozen=True)
class PilotFirst:
    """Plan rows, those of the pilot before all others. It can be gone through again, as `rows` can."""

    rows: Iterable[pa.RecordBatch]
    pilot: PilotRows

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from pilot_only(self.rows, self.pilot)
        yield from _filtered(self.rows, self.pilot, wanted=False)


def pilot_only(rows: Iterable[pa.RecordBatch], pilot: PilotRows) -> Iterator[pa.RecordBatch]:
    """The rows of the pilot among plan rows."""
    return _filtered(rows, pilot, wanted=True)


def _filtered(rows: Iterable[pa.RecordBatch], pilot: PilotRows, wanted: bool) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        mask = pilot.of(batch) == wanted
        if mask.any():
            yield batch if mask.all() else batch.filter(pa.array(mask))
