"""How a model's modules compute something else for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def exchanged(forwards: Mapping[Any, Callable[..., Any]]) -> Iterator[None]:
    """Within, each of these modules computes what stands beside it; afterwards what it did before.

    Hooks go on as ever, since the module itself is what is called. A model serves one user at a time: where
    two overlap, the one that leaves last decides what stays."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    for module, forward in forwards.items():
        # Beside the class' own method, or in the place of what others have put there.
        module.__dict__["forward"] = forward
    try:
        yield
    finally:
        for module, own in before.items():
            module.__dict__.pop("forward", None)
            if own is not None:
                module.__dict__["forward"] = own
