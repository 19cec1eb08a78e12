"""Logits that are no numbers are noticed, by the state they come of where that says enough."""

from types import SimpleNamespace

import pytest
import torch

from axiograph.engine.vllm.extension import all_finite, safe_state, watch_logits

STATES = torch.tensor([[1.0, -2.0], [3.0, 4.0]])


def model(weight, dtype=torch.float32, **head):
    lm_head = SimpleNamespace(weight=torch.tensor(weight, dtype=dtype), **head)
    return SimpleNamespace(lm_head=lm_head, compute_logits=lambda states: states @ lm_head.weight.T)


def finite(made, *states):
    """Whether all is well after `made` has computed logits behind each of `states`."""
    runner = SimpleNamespace(model=made)
    watch_logits(runner)
    for each in states:
        made.compute_logits(each)
    return all_finite(runner)


WEIGHT = [[1.0, 0.0], [0.0, -1.0], [2.0, 2.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_state_that_is_no_number_is_noticed_for_good(dtype, wrong):
    good = STATES.to(dtype)
    bad = good.clone()
    bad[1, 0] = wrong
    assert finite(model(WEIGHT, dtype), good, good)
    assert not finite(model(WEIGHT, dtype), good, bad, good)


def test_only_half_precision_needs_a_look_at_the_logits():
    assert safe_state(model(WEIGHT)) > 1e9
    assert safe_state(model(WEIGHT, torch.bfloat16)) > 1e9
    assert safe_state(model(WEIGHT, torch.float16)) is None


def test_a_product_that_overflows_in_half_precision_is_noticed():
    large = torch.tensor([[300.0, 300.0]], dtype=torch.float16)
    assert finite(model([[200.0, 0.0]], torch.float16), large)
    assert not finite(model([[200.0, 200.0]], torch.float16), large)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_head_that_is_no_number_is_noticed(wrong):
    assert not finite(model([[1.0, wrong], [0.0, 1.0]]), STATES)


def test_a_state_below_the_bound_cannot_overflow_and_one_above_it_is_not_trusted():
    for dtype in (torch.float32, torch.bfloat16):
        made = model([[7.0, -9.0]], dtype)
        safe = safe_state(made)
        just_below = torch.tensor([[0.99 * safe, -0.99 * safe]], dtype=dtype)
        assert finite(made, just_below)
        assert made.compute_logits(just_below).isfinite().all()
        assert not finite(made, torch.tensor([[1.01 * safe, 0.0]], dtype=dtype))


@pytest.mark.parametrize(
    "head",
    [
        SimpleNamespace(),
        SimpleNamespace(lm_head=SimpleNamespace(weight=None)),
        SimpleNamespace(lm_head=SimpleNamespace(weight=torch.ones(3, 2, dtype=torch.int8))),
        SimpleNamespace(lm_head=SimpleNamespace(weight=torch.ones(0, 2))),
        SimpleNamespace(lm_head=SimpleNamespace(weight=torch.ones(3, 2), bias=torch.tensor(float("nan")))),
    ],
)
def test_heads_of_which_nothing_can_be_said_have_no_safe_state(head):
    assert safe_state(head) is None


def test_a_part_without_logits_says_nothing():
    made = model(WEIGHT)
    made.compute_logits = lambda states: None
    assert finite(made, torch.tensor([[float("nan"), 0.0]]))
