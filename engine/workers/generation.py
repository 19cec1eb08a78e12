"""Batched generation on a transformers model: one prefill, then one token a step for every live row.

Rows are independent of each other: whatever else is in the batch, a row's tokens are the same (up to
ties of logits at floating-point accuracy). Finished rows leave the batch, sampled rows draw from their
own generator, and a row stops as soon as its answer is complete.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from axiograph.engine.answers.parsing import Lead, can_end_marker, is_complete, needs_check
from axiograph.engine.errors import RunError
from axiograph.engine.workers.thoughts import TagWatch, ThoughtRules, Written, shows_special

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.schema import SamplingSpec


@dataclass(frozen=True)
class Batch:
    """A left-padded batch: `ids` and `mask` [rows, width]; `starts[r]` is the first real index of row r."""

    ids: torch.Tensor
    mask: torch.Tensor
    starts: tuple[int, ...]

    @property
    def positions(self) -> torch.Tensor:
        """[rows, width]: every token's position in its own row, 0 for padding."""
        return (self.mask.cumsum(-1) - 1).clamp(min=0)


@dataclass(frozen=True)
class Generated:
    """`ids` without the end-of-sequence token; `finish` says why it stopped: complete, eos or limit."""

    ids: tuple[int, ...]
    text: str
    finish: str


class StreamHooks(Protocol):
    """What a worker that changes the residual stream is told about the batch under way."""

    def prefill(self, batch: Batch) -> Any:
        """A context manager around the pass over the prompts."""

    def decode(self) -> Any:
        """A context manager around one step over the live rows, or None when steps are left alone."""

    def keep(self, rows: Sequence[int]) -> None:
        """Only these of the current rows go on, in this order."""


class NoHooks:
    """The plain sampler: nothing touches the stream."""

    def prefill(self, batch: Batch) -> Any:
        return nullcontext()

    def decode(self) -> Any:
        return None

    def keep(self, rows: Sequence[int]) -> None:
        return None


def pad_batch(prompts: Sequence[Sequence[int]], pad: int, device: str) -> Batch:
    """Left padding, so that the last column is every row's last token."""
    import torch

    width = max(len(ids) for ids in prompts)
    ids = np.full((len(prompts), width), pad, dtype=np.int64)
    mask = np.zeros((len(prompts), width), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    starts = tuple(width - len(prompt) for prompt in prompts)
    return Batch(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device), starts)


class TokenChooser:
    """Picks the next token of every row: the largest logit, or a draw from the row's own generator."""

    def __init__(self, sampling: SamplingSpec, request_ids: Sequence[bytes]) -> None:
        self._sampling = sampling
        self._uniforms: np.ndarray | None = None
        if sampling.method == "sample":
            # Philox is counter-based: the same numbers on every platform, whatever the batch.
            self._uniforms = np.stack(
                [
                    np.random.Generator(np.random.Philox(key=int.from_bytes(i, "little"))).random(
                        sampling.most_tokens
                    )
                    for i in request_ids
                ]
            )

    def __call__(self, logits: torch.Tensor, rows: Sequence[int], step: int | Sequence[int]) -> list[int]:
        """Tokens for `logits` [live rows, vocabulary]; `rows` are the rows' numbers in the batch, `step` says
        how many tokens all of them, or each of them, have already.

        RunError where a row's largest logit is no finite number: its answer would be noise.
        """
        indices, finite = _largest(logits)
        if not finite:
            remedy = "Half precision can overflow: try dtype float32 or bfloat16, or a smaller strength."
            raise RunError("logits of the model", "finite numbers", "NaN or infinity", remedy)
        if self._uniforms is None:
            return indices
        return self._draw(logits, self._uniforms[list(rows), step])

    def _draw(self, logits: torch.Tensor, uniforms: np.ndarray) -> list[int]:
        """Inverse-CDF draws after temperature and top-p, in float64 over the sorted probabilities."""
        import torch

        assert self._sampling.temperature is not None
        scaled = logits.double() / self._sampling.temperature
        probabilities, order = torch.softmax(scaled, -1).sort(dim=-1, descending=True, stable=True)
        cumulative = probabilities.cumsum(-1)
        # The nucleus holds the tokens before which less than top_p is collected: at least one.
        nucleus = (cumulative - probabilities) < self._sampling.top_p
        total = (probabilities * nucleus).sum(-1, keepdim=True)
        target = torch.from_numpy(uniforms).to(logits.device).unsqueeze(-1) * total
        index = torch.searchsorted(cumulative, target, right=True).clamp(
            max=nucleus.sum(-1, keepdim=True) - 1
        )
        return list(order.gather(-1, index).squeeze(-1).tolist())


def _largest(logits: torch.Tensor) -> tuple[list[int], bool]:
    """The token of every row's largest logit, the first of equal ones; and whether all those are numbers."""
    if logits.device.type != "cpu":
        largest = logits.max(-1)
        return largest.indices.tolist(), bool(largest.values.isfinite().all())
    # Ten times as fast; for both a NaN is the largest.
    array = logits.float().numpy()
    tokens = array.argmax(-1)
    return tokens.tolist(), bool(np.isfinite(np.take_along_axis(array, tokens[:, None], -1)).all())


class StopCheck:
    """Says whether a row's answer is complete; looks at the text only when the last token allows it.

    lead: what the prompts end in. quiet: tokens that were last before and end no answer. thoughts: of models
    that think, whose rows never end inside a thought but for want of room."""

    def __init__(self, tokenizer: Any, lead: Lead = "thought", thoughts: ThoughtRules | None = None) -> None:
        self._tokenizer, self.lead = tokenizer, lead
        self.quiet: set[int] = set()
        self._ending: set[int] = set()
        self._no_marker: set[int] = set()
        self._skip_special = thoughts is None or not shows_special(tokenizer, thoughts.thinking)
        self.watch = None if thoughts is None else TagWatch(thoughts, self.text)

    def begin(self) -> list[int]:
        """What a row has written before it has written anything."""
        return [] if self.watch is None else self.watch.begin()

    def ended(self, written: list[int]) -> str | None:
        """Why a row (of `begin`) ends with its last token: complete, or, of models that think, limit; None
        where it goes on. To be asked behind every token."""
        if self.watch is None:
            return "complete" if self(written) else None
        assert isinstance(written, Written)
        self.watch.see(written)
        thought_only = self.watch.rules.thought_only
        if not written.inside and (written.behind > 0 if thought_only else self(written)):
            return "complete"
        return "limit" if self.watch.is_spent(written) else None

    def __call__(self, ids: Sequence[int]) -> bool:
        last = ids[-1]
        if last in self.quiet:
            return False
        if last not in self._ending:
            self._learn(last)
        if last not in self._ending:
            return False
        # Full stops come in every thought: it is not read as long as no marker can be in it.
        behind = ids[max(0, ids.behind - 1) :] if isinstance(ids, Written) else ids
        if self.lead == "thought" and self._no_marker.issuperset(behind):
            return False
        text = self.text(ids)
        start = 0 if self.watch is None else self.watch.rules.thinking.answer_start(text)
        return start is not None and is_complete(text[start:], self.lead)

    def _learn(self, token: int) -> None:
        piece = self.text([token])
        (self._ending if needs_check(piece) else self.quiet).add(token)
        if not can_end_marker(piece):
            self._no_marker.add(token)

    def text(self, ids: Sequence[int]) -> str:
        """What `ids` spell, as the parser reads it: without special tokens, unless they are tags."""
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=self._skip_special, clean_up_tokenization_spaces=False
            )
        )


class Generator:
    """One model with its stop rules; calls are independent."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        sampling: SamplingSpec,
        lead: Lead = "thought",
        thoughts: ThoughtRules | None = None,
    ) -> None:
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling
        self.stop = StopCheck(tokenizer, lead, thoughts)
        self.eos = eos_ids(model.generation_config, tokenizer)
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0

    def __call__(
        self, prompts: Sequence[Sequence[int]], request_ids: Sequence[bytes], hooks: StreamHooks
    ) -> list[Generated]:
        """Answers to `prompts` (token ids), in their order."""
        import torch

        with torch.inference_mode():
            return self._generate(prompts, TokenChooser(self.sampling, request_ids), hooks)

    def _generate(
        self, prompts: Sequence[Sequence[int]], choose: TokenChooser, hooks: StreamHooks
    ) -> list[Generated]:
        live = _LiveRows(self, prompts, hooks)
        done: dict[int, Generated] = {}
        written = [self.stop.begin() for _ in prompts]
        for step in range(self.sampling.most_tokens):
            tokens = choose(live.logits, live.rows, step)
            going_on: list[int] = []
            for index, (row, token) in enumerate(zip(live.rows, tokens, strict=True)):
                finish = self.finish(written[row], token, step)
                if finish is None:
                    going_on.append(index)
                else:
                    done[row] = Generated(tuple(written[row]), self.stop.text(written[row]), finish)
            if not going_on:
                break
            live.advance(going_on, tokens)
        return [done[row] for row in range(len(prompts))]

    def finish(self, written: list[int], token: int, step: int) -> str | None:
        """Takes `token` into `written`; the reason to stop, or None to go on."""
        if token in self.eos:
            return "eos"
        written.append(token)
        if (reason := self.stop.ended(written)) is not None:
            return reason
        return "limit" if step + 1 == self.sampling.most_tokens else None


class _LiveRows:
    """The rows that still generate: their numbers, cache, mask and newest logits."""

    def __init__(self, generator: Generator, prompts: Sequence[Sequence[int]], hooks: StreamHooks) -> None:
        from transformers import DynamicCache

        self._model, self._hooks = generator.model, hooks
        device = str(generator.model.device)
        batch = pad_batch(prompts, generator.pad, device)
        self.rows = list(range(len(prompts)))
        self._mask = batch.mask
        self._next_position = batch.positions[:, -1:] + 1
        self._cache = DynamicCache(config=generator.model.config)
        with hooks.prefill(batch):
            self.logits = self._forward(batch.ids, batch.positions)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        output = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()

    def advance(self, going_on: list[int], tokens: list[int]) -> None:
        """One step with their `tokens` for the rows at `going_on`; the others leave the batch."""
        import torch

        if len(going_on) < len(self.rows):
            index = torch.tensor(going_on, device=self._mask.device)
            self._cache.batch_select_indices(index)
            self._mask, self._next_position = self._mask[index], self._next_position[index]
            self.rows = [self.rows[i] for i in going_on]
            self._hooks.keep(going_on)
        ids = torch.tensor([[tokens[i]] for i in going_on], device=self._mask.device)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(going_on), 1)], dim=1)
        with self._hooks.decode() or nullcontext():
            self.logits = self._forward(ids, self._next_position)
        self._next_position = self._next_position + 1


def eos_ids(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a sequence by the model's generation settings or by its tokenizer."""
    configured = getattr(generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in itertools.chain(ids, [tokenizer.eos_token_id]) if i is not None)


def in_batches(order: Sequence[int], size: int) -> Iterator[list[int]]:
    """Consecutive groups of at most `size`."""
    for start in range(0, len(order), size):
        yield list(order[start : start + size])


def with_smaller_batches(run: Callable[[list[int]], None], rows: list[int], *, device: str) -> None:
    """`run(rows)`; when a GPU has no memory for them, the two halves one after the other."""
    import torch

    try:
        run(rows)
        return
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    with_smaller_batches(run, rows[:middle], device=device)
    with_smaller_batches(run, rows[middle:], device=device)
