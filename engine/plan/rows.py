"""The plan: roles × conditions × items × repeats as Arrow rows with content-hash ids (DESIGN 2).

Rows come in batches, so that a plan of any size takes the memory of one batch. Requests of one role and
condition stand together: they share their prompt up to the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from axiograph.engine.answers.parsing import STOP_RULES_VERSION
from axiograph.engine.errors import InputError
from axiograph.engine.identity import DIGEST_SIZE, RequestIds, digest, digest_json, digest_text
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.options import SHUFFLED, asking_of
from axiograph.engine.study.conditions import Condition
from axiograph.engine.study.engine_args import answer_args
from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.roles import Role
from axiograph.engine.study.schema import Study

PLAN_BATCH_ROWS = 65_536
PLAN_SCHEMA = pa.schema(
    [
        ("request_id", pa.binary(DIGEST_SIZE)),
        ("role", pa.dictionary(pa.int32(), pa.string())),
        ("condition", pa.dictionary(pa.int32(), pa.string())),
        ("item_id", pa.dictionary(pa.int32(), pa.string())),
        ("repeat", pa.int32()),
        ("split", pa.dictionary(pa.int8(), pa.string())),
    ]
)


@dataclass(frozen=True)
class PlanIdentity:
    """The digests that a plan needs from the model's side.

    model: weights and configuration; prompt: template and tokenizer; steering: per steered condition, its
    operations with their resolved vectors.
    """

    model: bytes
    dtype: str
    prompt: bytes
    steering: Mapping[str, bytes]


class Plan:
    """All requests of a study, in a fixed order."""

    def __init__(self, inputs: Inputs, identity: PlanIdentity) -> None:
        self.inputs, self.identity = inputs, identity
        self._ids = RequestIds(base_digest(inputs.study, identity))
        self._conditions = self._condition_digests()
        self._askings = [asking_of(inputs.study.answers, repeat) for repeat in range(inputs.study.askings)]
        self._orders = sorted({order for order, _ in self._askings})
        self._items = {
            (item.item_id, order): self._plain_digest(item, order)
            for item in inputs.items
            for order in self._orders
        }
        self._hinted: dict[tuple[str, str, str], bytes] = {}

    def _condition_digests(self) -> dict[str, bytes]:
        digests: dict[bytes, str] = {}
        for condition in self.inputs.conditions:
            steering = self.identity.steering[condition.name] if condition.is_steered else b""
            hint = condition.hint
            key = digest(steering, repr((hint.inclination, hint.value)).encode() if hint else b"")
            if key in digests:
                raise InputError(
                    "study, conditions",
                    "conditions that differ in what they do",
                    f"'{digests[key]}' and '{condition.name}' alike",
                    "Remove one: their answers could not be told apart.",
                )
            digests[key] = condition.name
        return {name: key for key, name in digests.items()}

    def __len__(self) -> int:
        """Number of plan rows, repeats included."""
        return sum(count for _, _, count in self.cells())

    def cells(self) -> Iterator[tuple[Role, Condition, int]]:
        """Role × condition with the number of rows in it."""
        for role in self.inputs.roles:
            count = len(self.inputs.items_for(role)) * self.inputs.study.askings
            for condition in self.inputs.conditions:
                if self.inputs.asks(role, condition):
                    yield role, condition, count

    def request_id(self, role: Role, condition: Condition, item: Item, repeat: int) -> bytes:
        """The id of one request (16 bytes). Items of one text and keying share it: the model is asked once,
        and the answer counts for both."""
        order, number = self._askings[repeat]
        item_digest = self._item_digest(condition, item, order)
        return self._ids(self._role_digest(role), self._conditions[condition.name], item_digest, number)

    def _role_digest(self, role: Role) -> bytes:
        return digest_text(role.text, role.name if "role_name" in self.inputs.template.variables else "")

    def _plain_digest(self, item: Item, order: str) -> bytes:
        """Text and keying; the options with their `order`, where there is a scale, and what else of the item
        stands in the prompt."""
        digests = [digest_text(item.question, str(item.agreement))]
        variables, answers = self.inputs.template.variables, self.inputs.study.answers
        if "instruction" in variables or "is_statement" in variables:
            digests.append(digest_text(item.instruction, str(item.is_statement)))
        if item.scale is not None:
            seed = str(answers.seed) if order == SHUFFLED else ""
            digests.append(digest(self.inputs.scales[item.scale.name].digest, digest_text(order, seed)))
        return digests[0] if len(digests) == 1 else digest(*digests)

    def _item_digest(self, condition: Condition, item: Item, order: str) -> bytes:
        """Of the item as it is asked; hint and value too, where they stand in the prompt."""
        plain = self._items[item.item_id, order]
        value = item.value if "value" in self.inputs.template.variables else ""
        if condition.hint is None and not value:
            return plain
        key = (condition.name, item.item_id, order)
        if key not in self._hinted:
            hint = self.inputs.hint_text(condition, item)
            self._hinted[key] = digest(plain, hint.encode(), value.encode())
        return self._hinted[key]

    def rows(self) -> Iterator[tuple[bytes, Role, Condition, Item, int]]:
        """(request id, role, condition, item, repeat) in plan order."""
        repeats = range(self.inputs.study.askings)
        for role, condition, items, ids in self._asked():
            following = iter(ids)
            for item in items:
                for repeat in repeats:
                    yield next(following), role, condition, item, repeat

    def _asked(self) -> Iterator[tuple[Role, Condition, list[Item], list[bytes]]]:
        """Role × condition in plan order, with its items and the ids of these and their repeats."""
        for role in self.inputs.roles:
            role_digest = self._role_digest(role)
            items = self.inputs.items_for(role)
            for condition in self.inputs.conditions:
                if self.inputs.asks(role, condition):
                    request_id = self._ids.cell(role_digest, self._conditions[condition.name])
                    ids = []
                    for item in items:
                        digests = {order: self._item_digest(condition, item, order) for order in self._orders}
                        ids += [request_id(digests[order], number) for order, number in self._askings]
                    yield role, condition, items, ids

    def batches(self, size: int = PLAN_BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The plan as record batches of PLAN_SCHEMA with at most `size` rows."""
        waiting: list[pa.RecordBatch] = []
        rows = 0
        for cell in self._cells():
            waiting.append(cell)
            rows += cell.num_rows
            if rows >= size:
                whole = pa.concat_batches(waiting)
                for start in range(0, rows - size + 1, size):
                    yield whole.slice(start, size)
                waiting, rows = [whole.slice(rows - rows % size)], rows % size
        if rows:
            yield pa.concat_batches(waiting)

    def _cells(self) -> Iterator[pa.RecordBatch]:
        """One batch for each role × condition."""
        inputs, repeats = self.inputs, self.inputs.study.askings
        roles, conditions = _Names(r.name for r in inputs.roles), _Names(c.name for c in inputs.conditions)
        items, splits = _Names(i.item_id for i in inputs.items), pa.array(["train", "test"])
        for role, condition, asked, ids in self._asked():
            count = len(ids)
            codes = np.array([items.number[item.item_id] for item in asked], np.int32)
            split = 0 if inputs.role_split[role.name] == "train" else 1
            arrays = [
                pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(DIGEST_SIZE), count, [None, pa.py_buffer(b"".join(ids))]
                ),
                roles.array(np.full(count, roles.number[role.name], np.int32)),
                conditions.array(np.full(count, conditions.number[condition.name], np.int32)),
                items.array(np.repeat(codes, repeats)),
                pa.array(np.tile(np.arange(repeats, dtype=np.int32), len(asked))),
                pa.DictionaryArray.from_arrays(np.full(count, split, np.int8), splits),
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=PLAN_SCHEMA)


class _Names:
    """Names with their numbers, as the dictionary of a column."""

    def __init__(self, names: Iterable[str]) -> None:
        self.number = {name: number for number, name in enumerate(names)}
        self._dictionary = pa.array(self.number, pa.string())

    def array(self, numbers: np.ndarray) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(numbers, self._dictionary)


def base_digest(study: Study, identity: PlanIdentity) -> bytes:
    """What all requests of a study share. Greedy decoding draws nothing, so its seed does not count."""
    sampling, scoring = study.sampling, study.scoring
    drawn = sampling.method == "sample"
    return digest(
        identity.model,
        identity.prompt,
        digest_json(
            {
                "dtype": identity.dtype,
                "quantisation": answer_args(study.model.engine_args) or None,
                "method": sampling.method,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "max_tokens": sampling.max_tokens,
                "seed": sampling.seed if drawn else None,
                "stop_rules": STOP_RULES_VERSION,
                "mode": scoring.mode,
                "answer_cue": study.prompt.answer_cue if scoring.reads_options else None,
                "mass_threshold": scoring.mass_threshold if scoring.mode == "logprob" else None,
            }
            | _thought_settings(study)
        ),
    )


def _thought_settings(study: Study) -> dict[str, Any]:
    """What decides where a thought ends, of models that think."""
    if not study.prompt.thinks:
        return {}
    return {"tags": study.prompt.tags, "max_thought_tokens": study.sampling.max_thought_tokens}
