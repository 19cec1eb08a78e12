"""The ledger of cached keys, the places of operations, and the table that travels: without vLLM."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from axiograph.engine.study.steering import HookPointSpec
from axiograph.steering.directions.operations import Operation, steering_digests
from axiograph.steering.vllm.proof import NULL_BLOCK, Ledger
from axiograph.steering.vllm.rows import (
    Part,
    Row,
    acting_positions,
    pack_conditions,
    stack_operations,
    unpack_conditions,
)
from tests import vllm_models

POINT = HookPointSpec(layer=1)
SIZE = 4


def operation(span):
    return Operation("add", span, POINT, torch.ones(3), None, 0.0)


def row(ids, blocks, condition=0, span="all", prompt=None, where=(), written=()):
    state = SimpleNamespace(prompt_token_ids=list(ids), output_token_ids=list(written), block_ids=(blocks,))
    operations = () if condition < 0 else (operation(span),)
    prompt = len(ids) if prompt is None else prompt
    return Row(state, condition, operations, tuple(range(len(operations))), prompt, tuple(where))


def written(ledger, one, stop):
    """`one` passes through the model up to `stop`."""
    ledger.write(Part(one, 0, 0, stop))
    one.proven = stop


def hit(ledger, other, cached):
    ledger.check_hits([(other, cached)])
    return other.failure


def test_a_hit_on_equal_tokens_and_steering_is_proven():
    ledger, ids = Ledger([SIZE]), list(range(10))
    first = row(ids, [7, 8, 9])
    first.error = 0.25
    written(ledger, first, 10)
    second = row([*ids[:8], 50, 51], [7, 8, 3])
    assert hit(ledger, second, 8) is None
    assert second.error == 0.25


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"condition": 1}, "another steering"),
        ({"condition": -1}, "another steering"),
        ({"ids": [0, 1, 2, 99, 4, 5, 6, 7, 8, 9]}, "another steering"),
        ({"blocks": [7, 3, 9]}, "nobody knows"),
        ({"blocks": [8, 7, 9]}, "nobody knows"),
    ],
)
def test_a_hit_on_anything_else_is_not(change, reason):
    ledger, ids = Ledger([SIZE]), list(range(10))
    written(ledger, row(ids, [7, 8, 9]), 10)
    arguments = {"ids": ids, "blocks": [7, 8, 9]} | change
    assert reason in hit(ledger, row(**arguments), 8)


def test_spans_and_prompt_lengths_count_as_far_as_the_hit_goes():
    ids = list(range(12))
    for span, mine, others, same in [
        ("prompt_span", {"where": (1, 9)}, {"where": (1, 10)}, True),
        ("prompt_span", {"where": (1, 5)}, {"where": (1, 6)}, False),
        ("prompt", {"prompt": 9}, {"prompt": 12}, True),
        ("prompt", {"prompt": 5}, {"prompt": 12}, False),
        ("generated", {"prompt": 7}, {"prompt": 8}, False),
        ("all", {"prompt": 5}, {"prompt": 12}, True),
    ]:
        ledger = Ledger([SIZE])
        written(ledger, row(ids, [7, 8, 9], span=span, **mine), 12)
        assert (hit(ledger, row(ids, [7, 8, 9], span=span, **others), 8) is None) == same, (span, mine)


def test_blocks_count_once_their_pass_is_proven():
    ledger, ids = Ledger([SIZE]), list(range(10))
    first = row(ids, [7, 8, 9])
    ledger.write(Part(first, 0, 0, 10))
    assert "nobody knows" in hit(ledger, row(ids, [7, 8, 9]), 8)
    first.proven = 7
    assert hit(ledger, row(ids, [7, 8, 9]), 4) is None
    assert "nobody knows" in hit(ledger, row(ids, [7, 8, 9]), 8)
    first.fail("a wrong change")
    assert "a wrong change" in hit(ledger, row(ids, [7, 8, 9]), 4)


def test_a_failure_spreads_to_whoever_read_its_blocks_in_the_same_pass():
    ledger, ids = Ledger([SIZE]), list(range(12))
    written(ledger, row(ids, [7, 8], condition=1), 8)
    liar, heir = row(ids, [7, 3, 4]), row(ids, [7, 3, 5])
    ledger.write(Part(liar, 0, 4, 8))
    liar.proven = 12
    ledger.check_hits([(heir, 8), (liar, 4)])
    assert liar.failure and heir.failure


def test_a_block_belongs_to_its_last_writer():
    ledger, ids = Ledger([SIZE]), list(range(10))
    written(ledger, row(ids, [7, 8, 9]), 10)
    written(ledger, row(ids[::-1], [1, 7, 2]), 10)
    assert "nobody knows" in hit(ledger, row(ids, [7, 8, 9]), 8)


def test_chunks_and_written_tokens_fill_blocks():
    ledger, ids = Ledger([SIZE]), list(range(6))
    first = row(ids, [7, 8, 9], written=[6, 7, 8])
    for start, count in ((0, 3), (3, 2), (5, 1), (6, 1), (7, 1), (8, 1)):
        assert ledger.crosses(start, count) or start % SIZE
        ledger.write(Part(first, 0, start, count))
        first.proven = start + count
    longer = row(range(12), [7, 8, 1])
    assert hit(ledger, longer, 8) is None


def test_groups_have_their_own_blocks_and_null_blocks_are_passed_over():
    ledger, ids = Ledger([SIZE, 2 * SIZE]), list(range(16))
    first, second = row(ids, [1, 2, 3, 4]), row(ids, [1, 2, 3, 4])
    first.state.block_ids = second.state.block_ids = ([1, 2, 3, 4], [5, 6])
    written(ledger, first, 16)
    assert hit(ledger, second, 16) is None
    assert "no whole blocks" in hit(ledger, row_like(second), 4)
    slid = row_like(second)
    slid.state.block_ids = ([NULL_BLOCK, NULL_BLOCK, 3, 4], [5, 6])
    assert hit(ledger, slid, 16) is None


def row_like(other):
    return Row(other.state, other.condition, other.operations, other.numbers, other.prompt, other.span)


@given(
    st.sampled_from(["prompt_span", "prompt", "generated", "all"]),
    st.integers(1, 12),
    st.sets(st.integers(0, 11)),
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
)
def test_places_of_chunks_are_those_of_the_whole(span, prompt, where, chunks):
    where = sorted(position for position in where if position < prompt)
    one, total = row(range(prompt), [], span=span, where=where), sum(chunks)
    whole = list(acting_positions(one.operations[0], one, 0, total))
    parts, start = [], 0
    for count in chunks:
        parts += acting_positions(one.operations[0], one, start, start + count)
        start += count
    assert parts == whole
    meant = {
        "prompt_span": [i for i in where if i < total],
        "prompt": list(range(min(prompt, total))),
        "generated": list(range(prompt, total)),
        "all": list(range(total)),
    }[span]
    assert whole == meant
    assert all(position < one.last for position in whole)
    assert math.isinf(one.last) == (span in ("generated", "all"))


def test_tokens_of_prompt_and_answer():
    one = row([1, 2, 3], [], written=[4, 5, 6])
    assert one.tokens(0, 2) == [1, 2]
    assert one.tokens(1, 5) == [2, 3, 4, 5]
    assert one.tokens(4, 6) == [5, 6]


def test_the_table_survives_its_travel():
    conditions = vllm_models.operations(vllm_models.every())
    back = unpack_conditions(pack_conditions(conditions))
    named = dict(zip(conditions, back, strict=True))
    assert steering_digests(named) == steering_digests(conditions)
    table = stack_operations(back, "cpu")
    for operations, numbers in zip(back, table.numbers, strict=True):
        for op, number in zip(operations, numbers, strict=True):
            vector, axis = table.vectors[number], table.axes[number]
            assert torch.equal(vector, torch.zeros(64) if op.vector is None else op.vector)
            assert torch.equal(axis, torch.zeros(64) if op.axis is None else op.axis)
            assert float(table.targets[number]) == pytest.approx(op.target)


def test_a_table_that_changed_on_its_way_is_refused():
    plain = pack_conditions(vllm_models.operations(vllm_models.some()))
    first = plain[0]["operations"][0]
    first["vector"] = bytes(reversed(first["vector"]))
    with pytest.raises(ValueError, match="changed on their way"):
        unpack_conditions(plain)
