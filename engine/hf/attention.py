"""Packed attention: the model's own layers over many rows in one line of tokens, without padding.

Every layer of a transformers model hands its queries, keys and values to an attention function that is
chosen by name. The one registered here gives them to the layout of the pass under way, which knows which
tokens see which; norms, rotary embeddings, projections and the rest stay the model's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from axiograph.engine.kernels.hidden import HIDDEN

if TYPE_CHECKING:
    import torch

NAME = "axiograph_packed"
_KNOWN = frozenset({"dropout", "position_ids", "output_attentions", "use_cache", "is_causal"})


class UnsupportedModelError(Exception):
    """The model attends in a way that packed passes do not know; the text says how."""


class Layout(Protocol):
    """Which tokens of a pass see which."""

    def attend(self, heads: Heads) -> torch.Tensor:
        """What every token of the pass [tokens, heads, head size] reads."""


@dataclass(frozen=True)
class Heads:
    """One layer's queries [tokens, heads, size], keys and values [tokens, key-value heads, size]."""

    layer: int
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    scale: float
    window: int | None
    softcap: float | None

    @property
    def groups(self) -> int:
        """How many heads of queries share keys and values."""
        return self.q.shape[1] // self.k.shape[1]

    @property
    def is_plain_float32(self) -> bool:
        """Whether the layer attends on a CPU, in float32, as most models do."""
        plain = self.softcap is None and self.k.shape[-1] == self.v.shape[-1]
        return plain and self.q.device.type == "cpu" and str(self.q.dtype) == "torch.float32"

    @property
    def in_blocks(self) -> bool:
        """Whether engine.kernels.attention reads for these heads."""
        lie_close = all(t.stride(-1) == 1 and t.dtype == self.q.dtype for t in (self.q, self.k, self.v))
        return self.is_plain_float32 and lie_close and self.q.shape[-1] % 16 == 0

    def fold(self, q: torch.Tensor) -> torch.Tensor:
        """[b, m, heads, size] → [b, key-value heads, queries, size], query g · m + i being head g of token i:
        heads that share keys are further queries, and nothing is copied for them."""
        b, m, heads, size = q.shape
        if self.groups == 1:
            return q.transpose(1, 2)
        split = q.view(b, m, heads // self.groups, self.groups, size)
        return split.permute(0, 2, 3, 1, 4).reshape(b, heads // self.groups, self.groups * m, size)

    def unfold(self, out: torch.Tensor, lse: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What `fold` did, undone: [b · m, heads, size] and [b · m, heads]."""
        b, kv, _, size = out.shape
        split = out.reshape(b, kv, self.groups, m, size).permute(0, 3, 1, 2, 4)
        split_lse = lse.reshape(b, kv, self.groups, m).permute(0, 3, 1, 2)
        heads = kv * self.groups
        return split.reshape(b * m, heads, size), split_lse.reshape(b * m, heads)

    def read(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: torch.Tensor | None, causal: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of q [b, h, m, size] over k, v [b, h, n, size]: the result, and per query the logarithm
        of the sum of the exponential scores [b, h, m]. `hidden` [b or 1, 1, m or 1, n] is added to scores."""
        if q.device.type == "cpu" and self.softcap is None and k.shape[-1] == v.shape[-1]:
            return _flash(q, k, v, hidden, causal, self.scale)
        return _by_hand(q, k, v, hidden, causal, self.scale, self.softcap)


def _flash(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    hidden: torch.Tensor | None,
    causal: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch's own kernel; the public function keeps the log-sum-exp to itself."""
    import torch

    if hidden is not None:
        hidden = hidden.to(q.dtype).expand(q.shape[0], 1, q.shape[2], k.shape[2])
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, lse = kernel(q, k, v, 0.0, causal, attn_mask=hidden, scale=scale)
    return out, lse


def _by_hand(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    hidden: torch.Tensor | None,
    causal: bool,
    scale: float,
    softcap: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    scores = torch.matmul(q, k.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if hidden is not None:
        scores = scores + hidden
    if causal:
        m, n = scores.shape[-2:]
        scores = scores.masked_fill(torch.ones(m, n, dtype=torch.bool, device=q.device).triu(1), HIDDEN)
    lse = scores.logsumexp(-1)
    weights = (scores - lse.unsqueeze(-1)).exp()
    return torch.matmul(weights.to(v.dtype), v), lse


_current: ContextVar[Layout] = ContextVar("layout of the pass under way")


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that transformers calls in every layer: [1, heads, tokens, size] each."""
    unknown = sorted(name for name, value in kwargs.items() if name not in _KNOWN and value is not None)
    if unknown or attention_mask is not None:
        raise UnsupportedModelError(f"attention with {', '.join(unknown) or 'a mask'}")
    heads = Heads(
        module.layer_idx,
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        query.shape[-1] ** -0.5 if scaling is None else scaling,
        sliding_window,
        softcap,
    )
    _check_window(module, sliding_window)
    return _current.get().attend(heads).unsqueeze(0), None


def _check_window(module: Any, window: int | None) -> None:
    """A sliding layer that does not hand its window over would silently see everything."""
    types = getattr(module.config, "layer_types", None)
    kind = types[module.layer_idx] if types else "full_attention"
    if kind not in ("full_attention", "sliding_attention"):
        raise UnsupportedModelError(f"{kind} layers")
    if kind == "sliding_attention" and window is None:
        raise UnsupportedModelError("sliding layers that keep their window to themselves")


@contextmanager
def packed(model: Any) -> Iterator[None]:
    """Within, `model` attends as the layout of the pass says (see `laid_out`); afterwards as before."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if NAME not in ALL_ATTENTION_FUNCTIONS.valid_keys():
        ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
    if not getattr(model, "_supports_attention_backend", False):
        raise UnsupportedModelError("attention that cannot be exchanged by name")
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def laid_out(layout: Layout) -> Iterator[None]:
    """The pass within is laid out as `layout` says."""
    token = _current.set(layout)
    try:
        yield
    finally:
        _current.reset(token)
