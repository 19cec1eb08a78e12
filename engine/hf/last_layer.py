"""The last layer of a pass over prompts: only for the tokens whose logits are asked for.

Of all other tokens the layer's keys and values are needed and nothing else: its attention, its MLP and what
follows would be thrown away. That is one layer's share of nearly all work, a quarter in a model of four.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.engine.hf.attention import Heads, laid_out
from axiograph.engine.hf.layout import PromptLayout, StepLayout
from axiograph.engine.workers.models import FINAL_NORMS, LAYERS, exchanged, find_module

if TYPE_CHECKING:
    import torch

# Sparing fewer tokens the rest of the layer is not worth going through its beginning twice.
WORTH = 64


class LastLayer:
    """The last decoder layer of `model`. Where `shortened` is False it does all its work for all tokens;
    `worth` is how many tokens must be spared it."""

    def __init__(self, model: Any) -> None:
        layers = find_module(model, LAYERS)
        self._layer: Any = None if layers is None else layers[-1]
        norm = find_module(model, FINAL_NORMS)
        self._behind = [] if norm is None else list(norm.modules())
        self.shortened = self._layer is not None
        self.worth = WORTH

    @contextmanager
    def only(self, layout: PromptLayout | StepLayout, keep: np.ndarray | None) -> Iterator[None]:
        """What the layer makes of other tokens than `keep` is zero in the pass within.

        Not in steps, and not where somebody watches or changes what comes out of the layer, or what happens
        in it: that is given all of it."""
        if keep is None or isinstance(layout, StepLayout) or not self.shortened or self._is_watched():
            yield
            return
        if len(layout.positions) - len(keep) < self.worth:
            yield
            return
        with exchanged({self._layer: _short(self._layer.forward, layout, keep)}):
            yield

    def _is_watched(self) -> bool:
        """By hooks on the layer, in it, on the final norm behind it, or on everything. What looks at the
        layer's input is given all of it either way."""
        from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

        layer, *inside = self._layer.modules()
        hooks = [_global_forward_hooks, _global_forward_pre_hooks, layer._forward_hooks]
        for module in (*inside, *self._behind):
            hooks += [module._forward_hooks, module._forward_pre_hooks]
        return any(hooks)


class _KeysStoredError(Exception):
    """Not an error: ends a pass through the layer once its keys and values are there."""


class _ShortenedLayout:
    """The layout of the last layer: goes through it twice, for the keys and values of all tokens, and for
    what the tokens `keep` read of them."""

    def __init__(self, layout: PromptLayout, keep: np.ndarray) -> None:
        self._layout, self._keep = layout, keep
        self._all: Heads | None = None

    def attend(self, heads: Heads) -> torch.Tensor:
        if self._all is None:
            self._layout.store(heads)
            self._all = heads
            raise _KeysStoredError
        return self._layout.attend_from(self._keep, replace(heads, k=self._all.k, v=self._all.v))


def _short(forward: Callable[..., Any], layout: PromptLayout, keep: np.ndarray) -> Callable[..., Any]:
    def short(*args: Any, **kwargs: Any) -> Any:
        import torch

        with laid_out(_ShortenedLayout(layout, keep)):
            try:
                forward(*args, **kwargs)
            except _KeysStoredError:
                pass
            else:
                raise RuntimeError("a layer that does not attend")
            chosen, n = torch.from_numpy(keep), len(layout.positions)
            output = forward(*_chosen(args, n, chosen), **_chosen(kwargs, n, chosen))
        if isinstance(output, tuple):
            return (_spread(output[0], n, chosen), *output[1:])
        return _spread(output, n, chosen)

    return short


def _chosen(argument: Any, n: int, chosen: torch.Tensor) -> Any:
    """`argument`, with the `chosen` ones of the `n` tokens wherever a tensor [1, n, …], or one of whole
    numbers [n], says something about each. (As many numbers with a fraction may be one per dimension.)"""
    import torch

    if isinstance(argument, tuple):
        return tuple(_chosen(part, n, chosen) for part in argument)
    if isinstance(argument, dict):
        return {name: _chosen(part, n, chosen) for name, part in argument.items()}
    if not isinstance(argument, torch.Tensor):
        return argument
    if argument.shape[:2] == (1, n):
        return argument[:, chosen.to(argument.device)]
    is_index = argument.shape == (n,) and not argument.is_floating_point()
    return argument[chosen.to(argument.device)] if is_index else argument


def _spread(stream: torch.Tensor, n: int, chosen: torch.Tensor) -> torch.Tensor:
    """`stream` [1, chosen, d_model] among zeros for all `n` tokens: some models check how many there are."""
    whole = stream.new_zeros(1, n, stream.shape[2])
    whole[:, chosen.to(stream.device)] = stream
    return whole
