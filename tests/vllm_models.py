"""Tiny models that vLLM's CPU build can run (heads of 32), steering of them, and the comparison of rows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axiograph.steering.directions.operations import Operation
from tests import tiny
from tests.asking import Act

# Tests run side by side, a core each: vLLM must not bind them all to the same cores.
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

WIDTH, HEADS = 64, 2
SHAPES = ("llama", "gemma", "gemma2", "gemma3", "qwen2", "qwen3", "mistral", "gpt2", "opt")


def config(shape: str, vocabulary: int) -> Any:
    """tests.tiny's configuration of `shape`, twice as wide, with two heads of 32."""
    small = tiny.config(shape, vocabulary)
    if shape == "gpt2":
        wider: dict[str, Any] = {"n_embd": WIDTH, "n_head": HEADS}
    else:
        wider = {"hidden_size": WIDTH, "num_attention_heads": HEADS}
    if shape == "opt":
        wider |= {"word_embed_proj_dim": WIDTH, "ffn_dim": 2 * WIDTH}
    elif shape != "gpt2":
        wider |= {"num_key_value_heads": 1, "head_dim": 32, "intermediate_size": 2 * WIDTH}
    if shape.startswith("gemma") and shape != "gemma":
        wider |= {"query_pre_attn_scalar": 32}
    tied = shape.startswith("gemma")  # vLLM's Gemma knows no other
    return type(small)(**{**small.to_dict(), **wider, "tie_word_embeddings": tied})


def save_model(folder: Path, shape: str, seed: int = 0, extra: tuple[str, ...] = ()) -> Path:
    """A random model whose greedy answers vary, with a byte-level tokenizer, as safetensors."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    tokenizer = tiny.tokenizer("bpe", extra)
    model: Any = AutoModelForCausalLM.from_config(config(shape, len(tokenizer)))
    tied = shape.startswith("gemma")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                # Tied models with large embeddings repeat one token for ever.
                embeds = "embed" in name or "wte" in name or "wpe" in name
                weight.normal_(0, (0.02 if tied else 0.25) if embeds else 0.2)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


POINTS = [(layer, place) for layer in range(tiny.LAYERS) for place in ("resid_pre", "resid_post")]
SPANS = ("prompt_span", "prompt", "generated", "all")
KINDS = ("add", "clamp", "project_out")
SIZES = {"prompt_span": 12.0, "prompt": 6.0, "generated": 8.0, "all": 5.0}
COLUMNS = ("state", "reason", "text", "answer_ids", "finish", "new_tokens", "fallback", "steered_tokens")


def act(kind: str, point: tuple[int, str], where: str, seed: int = 0, size: float = 1.0) -> Act:
    """An operation along a random direction, of about the size of these models' streams."""
    import torch

    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    unit = vector / vector.norm()
    size *= SIZES[where]
    if kind == "add":
        return Act(*point, where, add=size * unit)
    return Act(*point, where, axis=unit, target=-size if kind == "clamp" else 0.0)


def every() -> dict[str, tuple[Act, ...]]:
    """Every kind with every span at every hook point, several at once, and one that does nothing."""
    import torch

    product = itertools.product(KINDS, SPANS, POINTS)
    acts = {f"{k} {w} {p[1]}.{p[0]}": (act(k, p, w, i),) for i, (k, w, p) in enumerate(product)}
    # Nothing reads the last layer's output at a span that ends before the last token.
    acts = {name: own for name, own in acts.items() if (own[0].where, own[0].layer, own[0].place) != LATE}
    acts["several"] = (
        act("add", POINTS[2], "all", 3),
        act("project_out", POINTS[2], "generated", 4),
        act("clamp", POINTS[2], "prompt_span", 5),
        act("add", POINTS[1], "all", 6),
    )
    acts["idle"] = (Act(1, "resid_post", "all", add=torch.zeros(WIDTH)),)
    return acts


LATE = ("prompt_span", tiny.LAYERS - 1, "resid_post")


def some() -> dict[str, tuple[Act, ...]]:
    """A part of `every` in which each kind, span and hook point comes up, and the special ones."""
    acts = every()
    return {name: own for i, (name, own) in enumerate(acts.items()) if i % 5 == 0 or i >= len(acts) - 2}


def operations(acts: Mapping[str, Sequence[Act]]) -> dict[str, tuple[Operation, ...]]:
    def operation(own: Act) -> Operation:
        kind = "add" if own.add is not None else "clamp" if own.target else "project_out"
        return Operation(kind, own.where, own.point, own.add, own.axis, own.target)

    return {name: tuple(map(operation, own)) for name, own in acts.items()}


def same_rows(found: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]], ties: Any) -> None:
    """Equal columns row by row; where tokens differ, `ties(place)` says whether two logits were equal."""
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one["request_id"] == other["request_id"]
        if one["answer_ids"] != other["answer_ids"] and ties(place):
            continue
        for name in COLUMNS:
            assert one[name] == other[name], (place, one["condition"], name)
        assert (one["proof_error"] is None) == (other["proof_error"] is None)
