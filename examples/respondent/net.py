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
    """Root-mean-square norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (WIDTH,), self.weight, EPS)


class Attention(nn.Module):
    """Self-attention over a prefix and its tails."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        batch, tokens, _ = x.shape
        prefix, tails = layout.prefix, layout.tails
        q, k, v = (
            p(x).view(batch, tokens, HEADS, HEAD).transpose(1, 2)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        cos, sin = layout.cos.to(q.dtype), layout.sin.to(q.dtype)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        # Written out: in bfloat16 on a CPU the fused kernel's backward pass is slower at these lengths.
        causal = q[:, :, :prefix] @ k[:, :, :prefix].transpose(-1, -2) * HEAD**-0.5 + layout.causal_bias.to(
            q.dtype
        )
        first = causal.softmax(-1).to(q.dtype) @ v[:, :, :prefix]
        # Tails: scores over the prefix and over the own tail, one softmax over both.
        tail_q = q[:, :, prefix:]
        across = tail_q @ k[:, :, :prefix].transpose(-1, -2) * HEAD**-0.5 + layout.prefix_bias.to(q.dtype)
        split = (batch, HEADS, tails, -1, HEAD)
        own_q, own_k, own_v = (t[:, :, prefix:].reshape(split) for t in (q, k, v))
        within = own_q @ own_k.transpose(-1, -2) * HEAD**-0.5 + layout.tail_bias.to(q.dtype)
        size = within.shape[-1]
        scores = torch.cat([across.view(batch, HEADS, tails, size, prefix), within], dim=-1)
        weights = scores.softmax(-1).to(q.dtype)
        second = weights[..., :prefix].reshape(batch, HEADS, tails * size, prefix) @ v[:, :, :prefix]
        second = second + (weights[..., prefix:] @ own_v).reshape(second.shape)
        joined = torch.cat([first, second], dim=2).transpose(1, 2).reshape(batch, tokens, WIDTH)
        out: Tensor = self.o_proj(joined)
        return out


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), layout).float()
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x)).float()
        return out


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
        self.cos, self.sin = (table[positions][:, None] for table in tables)
        visible = torch.arange(prefix) < lengths[:, None]
        self.prefix_bias = torch.zeros(visible.shape).masked_fill(~visible, -1e9)[:, None, None]
        self.tail_bias = torch.full((size, size), -1e9).triu(1)
        self.causal_bias = torch.full((prefix, prefix), -1e9).triu(1)


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
        """Normed final stream and the stream after each layer, (batch, tokens, WIDTH) each.

        `steering` (batch, WIDTH) is added at the positions `span` to the output of layer STEER_LAYER.
        """
        x = self.embed_tokens(ids)
        streams = []
        for number, layer in enumerate(self.layers):
            x = layer(x, layout)
            streams.append(x)
            if number == STEER_LAYER:
                place = torch.zeros(ids.shape[1], 1)
                place[span] = 1.0
                x = x + place * steering[:, None]
        return self.norm(x), streams


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
