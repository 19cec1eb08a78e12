"""The plan: roles × conditions × items × repeats as Arrow rows with content-hash ids (DESIGN 2).

Rows come in batches, so that a plan of any size takes the memory of one batch. Requests of one role and
condition stand together: they share their prompt up to the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from engine.answers import STOP_RULES_VERSION
from engine.conditions import Condition
from engine.errors import InputError
from engine.identity import DIGEST_SIZE, RequestIds, digest, digest_json, digest_text
from engine.inputs import Inputs
from engine.questionnaire import Item
from engine.roles import Role
from engine.study import Study
from engine.vllm_args import answer_args

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
        self._items = {item.item_id: _item_digest(item) for item in inputs.items}

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
            count = len(self.inputs.items_for(role)) * self.inputs.study.sampling.repeats
            for condition in self.inputs.conditions:
                if self.inputs.asks(role, condition):
                    yield role, condition, count

    def request_id(self, role: Role, condition: Condition, item: Item, repeat: int) -> bytes:
        """The id of one request (16 bytes). Items of one text and keying share it: the model is asked once,
        and the answer counts for both."""
        item_digest = self._item_digest(condition, item)
        return self._ids(self._role_digest(role), self._conditions[condition.name], item_digest, repeat)

    def _role_digest(self, role: Role) -> bytes:
        return digest_text(role.text, role.name if "role_name" in self.inputs.template.variables else "")

    def _item_digest(self, condition: Condition, item: Item) -> bytes:
        """Text and keying; hint and value too, where they stand in the prompt."""
        own = self._items[item.item_id]
        value = item.value if "value" in self.inputs.template.variables else ""
        if condition.hint is None and not value:
            return own
        return digest(own, self.inputs.hint_text(condition, item).encode(), value.encode())

    def rows(self) -> Iterator[tuple[bytes, Role, Condition, Item, int]]:
        """(request id, role, condition, item, repeat) in plan order."""
        repeats = range(self.inputs.study.sampling.repeats)
        for role in self.inputs.roles:
            role_digest = self._role_digest(role)
            items = self.inputs.items_for(role)
            for condition in self.inputs.conditions:
                if not self.inputs.asks(role, condition):
                    continue
                base = self._conditions[condition.name]
                for item in items:
                    item_digest = self._item_digest(condition, item)
                    for repeat in repeats:
                        yield self._ids(role_digest, base, item_digest, repeat), role, condition, item, repeat

    def batches(self, size: int = PLAN_BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The plan as record batches of PLAN_SCHEMA with at most `size` rows."""
        names = [role.name for role in self.inputs.roles]
        conditions = [condition.name for condition in self.inputs.conditions]
        item_ids = [item.item_id for item in self.inputs.items]
        role_index = {name: i for i, name in enumerate(names)}
        condition_index = {name: i for i, name in enumerate(conditions)}
        item_index = {name: i for i, name in enumerate(item_ids)}
        splits = [0 if self.inputs.role_split[name] == "train" else 1 for name in names]
        columns: tuple[list[bytes], list[int], list[int], list[int], list[int]] = ([], [], [], [], [])

        def flush() -> pa.RecordBatch:
            ids, roles, conds, items, repeats = columns
            arrays = [
                pa.array(ids, pa.binary(DIGEST_SIZE)),
                _dictionary(roles, names),
                _dictionary(conds, conditions),
                _dictionary(items, item_ids),
                pa.array(repeats, pa.int32()),
                pa.DictionaryArray.from_arrays(
                    pa.array([splits[i] for i in roles], pa.int8()), pa.array(["train", "test"])
                ),
            ]
            for column in columns:
                column.clear()
            return pa.RecordBatch.from_arrays(arrays, schema=PLAN_SCHEMA)

        for request_id, role, condition, item, repeat in self.rows():
            columns[0].append(request_id)
            columns[1].append(role_index[role.name])
            columns[2].append(condition_index[condition.name])
            columns[3].append(item_index[item.item_id])
            columns[4].append(repeat)
            if len(columns[0]) == size:
                yield flush()
        if columns[0]:
            yield flush()


def _dictionary(indices: list[int], names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(names, pa.string()))


def _item_digest(item: Item) -> bytes:
    return digest_text(item.question, str(item.agreement))


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
                "answer_cue": study.prompt.answer_cue if scoring.mode == "logprob" else None,
                "mass_threshold": scoring.mass_threshold if scoring.mode == "logprob" else None,
            }
        ),
    )
