"""Work for sampling_speed.py: random models, prompts that share what a study's prompts share, and the peers.

Needs torch, transformers and numpy only (and transformer-lens for the paper's loop).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import transformers as tf

from axiograph.engine.hf.generation import PackedGenerator
from axiograph.engine.hf.model import PackedModel
from axiograph.engine.hf.prefixes import PrefixCache
from axiograph.engine.hf.scoring import PackedScorer
from axiograph.engine.workers.generation import Generator
from axiograph.engine.workers.log_odds import LogOdds
from axiograph.steering.hf.packed_proof import Claims, ProvenRows
from axiograph.steering.hf.packed_stream import Marks
from axiograph.steering.hf.stream import hooked

STEPS, PEER_BATCH = 60, 8
SHAPES = {"1.84 M": (4, 128, 4, 384, 3856), "29.5 M": (8, 512, 8, 1408, 3712)}


@dataclass(frozen=True)
class Point:
    layer: int
    place: str = "resid_post"


@dataclass(frozen=True)
class Add:
    """An operation as steering.directions.operations makes them, without a study around it."""

    vector: torch.Tensor
    hook_point: Point
    digest: bytes
    kind: str = "add"
    span: str = "prompt_span"
    axis: None = None
    target: float = 0.0
    clamp: None = None


@dataclass(frozen=True)
class Asked:
    """One request: its prompt begins like those of its condition and role, and ends with its question."""

    request_id: bytes
    condition: str
    prompt_ids: list[int]
    span: list[int]
    span_text: str
    role: str = "r"
    item_id: str = "i"
    cued_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Greedy:
    max_tokens: int = STEPS
    method: str = "greedy"

    @property
    def most_tokens(self) -> int:
        return self.max_tokens


class Words:
    """A tokenizer of numbers: enough for a model that never stops."""

    pad_token_id, eos_token_id = 0, None

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return " ".join(str(i) for i in ids)


def random_llama(name: str) -> Any:
    layers, width, heads, inner, vocabulary = SHAPES[name]
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=512,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = tf.LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = None
    return model


def random_gemma(dtype: torch.dtype) -> Any:
    """A random model of Gemma-2B's shape (18 layers of 2,048, one key-value head, 256,000 words)."""
    with torch.device("cuda"):
        torch.set_default_dtype(dtype)
        model = tf.GemmaForCausalLM(tf.GemmaConfig(eos_token_id=None, head_dim=256)).eval()
        torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = None
    return model


def made_work(
    model: Any, conditions: int, roles: int, items: int, examples: int = 56
) -> tuple[list[Asked], dict[str, tuple[Add, ...]]]:
    """Prompts of 60 shared tokens, a span of 4, 96 of examples and role (the first `examples` of them the
    same for all roles), and a question of 7 to 31 tokens; steering at the span, at the middle layer, with
    another direction in each condition."""
    words = random.Random(0)
    width, layers = model.config.hidden_size, model.config.num_hidden_layers

    def text(n: int) -> list[int]:
        return [words.randrange(3, model.config.vocab_size) for _ in range(n)]

    shared, span, shown = text(60), text(4), text(examples)
    people = [text(96 - examples) for _ in range(roles)]
    # Eight of one length, for the paper's loop.
    questions = [text(7 + i // PEER_BATCH * 8 % 32) for i in range(items)]
    operations, rows = {}, []
    generator = torch.Generator().manual_seed(1)
    for c in range(conditions):
        vector = 4 * torch.randn(width, generator=generator) / width**0.5
        operations[f"c{c}"] = (Add(vector, Point(layers // 2), str(c).encode()),)
        for person in people:
            for question in questions:
                ids = [*shared, *span, *shown, *person, *question]
                where = list(range(60, 64))
                number = len(rows).to_bytes(16, "little")
                rows.append(Asked(number, f"c{c}", ids, where, Words().decode(span)))
    return rows, operations


class Packed:
    """axiograph's packed passes, with the proof of steering, as the worker runs them."""

    def __init__(self, model: Any, operations: dict[str, tuple[Add, ...]], limit: int | None) -> None:
        self._claims, self._marks = Claims(operations, Words()), Marks(operations)  # type: ignore[arg-type]
        self._model, self._limit = model, limit
        self.passes = PackedModel(model)
        simple = Generator(model, Words(), Greedy())  # type: ignore[arg-type]
        simple.stop = NeverStop(Words())
        self.generator = PackedGenerator(simple, self.passes)

    def __call__(self, rows: Sequence[Asked]) -> list[list[int]]:
        prompts = [row.prompt_ids for row in rows]
        hooks = ProvenRows(self._model, self._marks, self._claims, rows, prompts)  # type: ignore[arg-type]
        found = self.generator(prompts, [row.request_id for row in rows], hooks, self._limit)
        for place in range(len(rows)):
            hooks.proof(place)
        return [list(answer.ids) for answer in found]

    def fresh(self) -> None:
        """Prefixes are computed anew; the room for them and the caches of rows stay, as in a worker."""
        old = self.passes.prefixes
        self.passes.prefixes = PrefixCache(old.slots, old.width)
        self.passes.prefixes.keys, self.passes.prefixes.values = old.keys, old.values

    def score(self, rows: Sequence[Asked]) -> list[float]:
        """Log-odds of two tokens on either side, in passes over the prompts alone."""
        config: Any = SimpleNamespace(yes_ids=((5,), (6,)), no_ids=((7,), (8,)), mass_threshold=0.0)
        rule = LogOdds(config)

        def hooks(chosen: Sequence[int], prompts: Any) -> Any:
            own: Any = [rows[i] for i in chosen]
            return ProvenRows(self._model, self._marks, self._claims, own, prompts)

        read, _ = PackedScorer(self.passes)([row.prompt_ids for row in rows], [rule] * len(rows), hooks)
        return [rule.columns(logps)["log_odds"] for logps in read]


class NeverStop:
    def __init__(self, tokenizer: Words) -> None:
        self._tokenizer = tokenizer

    def begin(self) -> list[int]:
        return []

    def ended(self, written: list[int]) -> str | None:
        return None

    def text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids)


def steer_at(rows: Sequence[Any], width: int, vector: torch.Tensor) -> Callable[[torch.Tensor], Any]:
    """A hook that adds `vector` at the spans of left-padded `rows` in a pass of `width` tokens."""

    def steer(stream: torch.Tensor) -> torch.Tensor | None:
        if stream.shape[1] != width:
            return None
        for place, row in enumerate(rows):
            stream[place, [width - len(row.prompt_ids) + i for i in row.span]] += vector
        return stream

    return steer


def hf_generate(model: Any, rows: Sequence[Any], operations: Sequence[Any], steps: int) -> list[list[int]]:
    """transformers `generate` on up to eight rows of one condition, left-padded."""
    width = max(len(row.prompt_ids) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
        mask[place, width - len(row.prompt_ids) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    settings = {"max_new_tokens": steps, "do_sample": False, "pad_token_id": 0}
    if not operations:
        return model.generate(ids, attention_mask=mask, **settings)[:, width:].tolist()
    vector = operations[0].vector.to(model.device, model.dtype)
    with hooked(model, operations[0].hook_point, steer_at(rows, width, vector)):
        return model.generate(ids, attention_mask=mask, **settings)[:, width:].tolist()


def lens_model(model: Any) -> Any:
    """`model` (a Llama) in TransformerLens, as the paper's loop uses it."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    c = model.config
    settings = HookedTransformerConfig(
        n_layers=c.num_hidden_layers, d_model=c.hidden_size, n_ctx=c.max_position_embeddings,
        d_head=c.hidden_size // c.num_attention_heads, n_heads=c.num_attention_heads,
        n_key_value_heads=c.num_key_value_heads if c.num_key_value_heads != c.num_attention_heads else None,
        d_mlp=c.intermediate_size, d_vocab=c.vocab_size, act_fn="silu", normalization_type="RMS",
        eps=c.rms_norm_eps, positional_embedding_type="rotary", rotary_adjacent_pairs=False,
        rotary_dim=c.hidden_size // c.num_attention_heads, final_rms=True, gated_mlp=True,
        original_architecture="LlamaForCausalLM", rotary_base=int(c.rope_parameters["rope_theta"]),
        device="cpu", default_prepend_bos=False,
    )  # fmt: skip
    lens = HookedTransformer(settings, move_to_device=False)
    lens.load_state_dict(convert_llama_weights(model, settings), strict=False)
    return lens.eval()


def paper_loop(lens: Any, rows: Sequence[Any], operations: Sequence[Any], steps: int) -> list[list[int]]:
    """The paper's loop: eight rows of one condition (here of one length), prompts in full, greedy."""
    ids = torch.tensor([row.prompt_ids for row in rows])
    width = ids.shape[1]
    point = operations[0].hook_point
    name = f"blocks.{point.layer}.hook_resid_post"
    steer = steer_at(rows, width, operations[0].vector)
    with lens.hooks([(name, lambda stream, hook: steer(stream))]):
        out = lens.generate(
            ids, max_new_tokens=steps, stop_at_eos=False, do_sample=False, verbose=False,
            return_type="tokens", prepend_bos=False,
        )  # fmt: skip
    return out[:, width:].tolist()
