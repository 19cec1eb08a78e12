"""Modules that compute something else for a while."""

import pytest
import torch

from axiograph.engine.workers.models import exchanged


def test_they_do_what_they_did_before_afterwards_and_hooks_go_on():
    module, x, seen = torch.nn.Linear(2, 2), torch.ones(2), []
    module.register_forward_hook(lambda _, __, out: seen.append(out))
    wanted = module(x)
    with exchanged({module: lambda given: given + 1}):
        assert torch.equal(module(x), x + 1)
        with pytest.raises(KeyError), exchanged({module: lambda given: given + 2}):
            assert torch.equal(module(x), x + 2)
            raise KeyError
        assert torch.equal(module(x), x + 1)
    assert torch.equal(module(x), wanted)
    assert "forward" not in module.__dict__ and len(seen) == 5


def test_two_that_overlap_leave_no_error():
    one, other = (exchanged({module: abs}) for module in [torch.nn.Linear(2, 2)] * 2)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
