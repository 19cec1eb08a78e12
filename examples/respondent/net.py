"""The respondent's network for training: a Llama whose weights carry transformers' names.

One prefix per role is shared by many tails (question and completion). A tail sees the prefix and itself,
never another tail, so that the outputs equal those of plain prompts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from world import STEER_LAYER, WIDTH

LAYERS, HEADS, HIDDEN = 4, 4, 352
HEAD = WIDTH // HEADS
THETA, EPS = 10000.0, 1e-6
MAX_POSITIONS = 1024


def config_fields(vocabulary: int) -> dict[str, Any]:
    """Keyword arguments of transformers.LlamaConfig for this network."""
    return {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HEAD, "rms_norm_eps": EPS,
        "max_position_embeddings": MAX_POSITIONS, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip


def rotary_tables() -> tuple[Tensor, Tensor]:
    """Cosines and sines (MAX_POSITIONS, HEAD)."""
    frequencies = THETA ** (-torch.arange(0, HEAD, 2).float() / HEAD)
    angles = torch.arange(MAX_POSITIONS).float()[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x (batch, heads, tokens, HEAD) with tables (batch, 1, tokens, HEAD)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Norm(nn.Module):
    """Root-mean-square norm; its output is in the dtype of the matrix products, cast once for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        out = F.rms_norm(x, (WIDTH,), self.weight, EPS)
        return out.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else out


class Attention(nn.Module):
    """Self-attention over a prefix and its tails."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor, layout: Layout, last: bool) -> Tensor:
        """Of every token, or (`last`) of the tails alone, which then still see the prefix."""
        batch, tokens, _ = x.shape
        prefix, tails = layout.prefix, layout.tails
        joint = F.linear(x, torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight]))
        q, k, v = joint.view(batch, tokens, 3 * HEADS, HEAD).transpose(1, 2).chunk(3, dim=1)
        cos, sin = layout.tables(q.dtype)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        prefix_bias, tail_bias, causal_bias = layout.biases(q.dtype)
        prefix_k, prefix_v = k[:, :, :prefix], v[:, :, :prefix]
        # Tails: scores over the prefix and over the own tail, one softmax over both.
        across = q[:, :, prefix:] @ prefix_k.transpose(-1, -2) * HEAD**-0.5 + prefix_bias
        split = (batch, HEADS, tails, -1, HEAD)
        own_q, own_k, own_v = (t[:, :, prefix:].reshape(split) for t in (q, k, v))
        within = own_q @ own_k.transpose(-1, -2) * HEAD**-0.5 + tail_bias
        size = within.shape[-1]
        scores = torch.cat([across.view(batch, HEADS, tails, size, prefix), within], dim=-1)
        weights = scores.softmax(-1).to(q.dtype)
        joined = weights[..., :prefix].reshape(batch, HEADS, tails * size, prefix) @ prefix_v
        joined = joined + (weights[..., prefix:] @ own_v).reshape(joined.shape)
        if not last:
            # Written out: in bfloat16 on a CPU the fused kernel's backward pass is slower at these lengths.
            causal = q[:, :, :prefix] @ prefix_k.transpose(-1, -2) * HEAD**-0.5 + causal_bias
            joined = torch.cat([causal.softmax(-1).to(q.dtype) @ prefix_v, joined], dim=2)
        out: Tensor = self.o_proj(joined.transpose(1, 2).reshape(batch, -1, WIDTH))
        return out


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = F.linear(x, torch.cat([self.gate_proj.weight, self.up_proj.weight])).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()

    def forward(self, x: Tensor, layout: Layout, last: bool = False) -> Tensor:
        """The stream (batch, tokens, WIDTH) after the layer; of the tails alone if `last`."""
        change = self.self_attn(self.input_layernorm(x), layout, last)
        x = (x[:, layout.prefix :] if last else x) + change
        return x + self.mlp(self.post_attention_layernorm(x))


class Layout:
    """Where prefix and tails stand: `prefix` tokens, then `tails` tails of equal padded length.

    `lengths` (batch,) are the prefix lengths without padding; tails continue the positions from there.
    """

    def __init__(
        self, prefix: int, tails: int, size: int, lengths: Tensor, tables: tuple[Tensor, Tensor]
    ) -> None:
        self.prefix, self.tails = prefix, tails
        tail_positions = lengths[:, None] + torch.arange(size).repeat(tails)
        positions = torch.cat([torch.arange(prefix).expand(len(lengths), -1), tail_positions], dim=1)
        visible = torch.arange(prefix) < lengths[:, None]
        prefix_bias = torch.zeros(visible.shape).masked_fill(~visible, -1e9)[:, None, None]
        self._tables = {torch.float32: tuple(table[positions][:, None] for table in tables)}
        causal = (torch.full((n, n), -1e9).triu(1) for n in (size, prefix))
        self._biases = {torch.float32: (prefix_bias, *causal)}

    def tables(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Cosines and sines (batch, 1, tokens, HEAD)."""
        if dtype not in self._tables:
            self._tables[dtype] = tuple(t.to(dtype) for t in self._tables[torch.float32])
        return self._tables[dtype]

    def biases(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What is added to the scores of tails over the prefix, of a tail over itself, of the prefix."""
        if dtype not in self._biases:
            self._biases[dtype] = tuple(t.to(dtype) for t in self._biases[torch.float32])
        return self._biases[dtype]


class Respondent(nn.Module):
    """The network without its output matrix, which is the embedding."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, WIDTH)
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.norm = Norm()
        nn.init.normal_(self.embed_tokens.weight, std=0.05)
        for name, parameter in self.named_parameters():
            if name.endswith("proj.weight"):
                scale = 0.3 if ("o_proj" in name or "down_proj" in name) else 1.0
                nn.init.normal_(parameter, std=scale * parameter.shape[1] ** -0.5)

    def forward(
        self, ids: Tensor, layout: Layout, span: list[int], steering: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Normed final stream of the tails (batch, tails * size, WIDTH) and the stream after each layer.

        `steering` (batch, WIDTH) is added at the positions `span` to the output of layer STEER_LAYER; the
        list holds the stream before that. Nothing reads the prefix after the last layer: it is left out.
        """
        x = self.embed_tokens(ids)
        streams = []
        for number, layer in enumerate(self.layers):
            x = layer(x, layout, last=number == LAYERS - 1)
            streams.append(x)
            if number == STEER_LAYER:
                x = x.index_add(1, torch.tensor(span), steering[:, None].expand(-1, len(span), -1))
        return self.norm(x).float(), streams


class Muon:
    """Momentum, orthogonalised by five Newton-Schulz steps (Jordan et al. 2024); same shapes go together."""

    def __init__(self, parameters: list[nn.Parameter], decay: float) -> None:
        self.groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.momentum = {shape: torch.zeros(len(g), *shape) for shape, g in self.groups.items()}
        self.decay = decay

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for shape, group in self.groups.items():
            gradient = torch.stack([p.grad for p in group if p.grad is not None])
            state = self.momentum[shape].lerp_(gradient, 0.05)
            update = _orthogonal(gradient.lerp(state, 0.95)) * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, change in zip(group, update, strict=True):
                parameter.mul_(1 - rate * self.decay).sub_(rate * change)


def _orthogonal(matrices: Tensor) -> Tensor:
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        product = x @ x.mT
        x = 3.4445 * x + (-4.775 * product + 2.0315 * product @ product) @ x
    return (x.mT if tall else x).float()
