"""Spellings of yes and no: their token ids, and their log-probabilities read batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.answers.parsing import NO_SPELLINGS, YES_SPELLINGS
from axiograph.engine.workers.generation import StreamHooks, pad_batch
from axiograph.engine.workers.log_odds import LogOdds, Spelling

if TYPE_CHECKING:
    import torch

    from axiograph.engine.prompting.prompts import PromptBuilder
    from axiograph.engine.workers.worker import Request, WorkerConfig

HooksFor = Callable[[Sequence["Request"]], StreamHooks]


def spelling_ids(builder: PromptBuilder) -> tuple[tuple[Spelling, ...], tuple[Spelling, ...]]:
    """Token ids of the yes and the no spellings, sorted, without repetition.

    A spelling that begins with another of the same or the other side (as token sequences) is left out:
    its probability is part of that one's.
    """
    yes = {tuple(builder.continuation(text)) for text in YES_SPELLINGS}
    no = {tuple(builder.continuation(text)) for text in NO_SPELLINGS}
    every = yes | no

    def without_longer(side: set[Spelling]) -> tuple[Spelling, ...]:
        shortest = (ids for ids in side if not any(o != ids and ids[: len(o)] == o for o in every))
        return tuple(sorted(shortest))

    return without_longer(yes), without_longer(no)


@dataclass(frozen=True)
class _Batch:
    """One batch: `logp` [rows, vocabulary] are the log-probabilities of the first token behind its prompts;
    `first` has those of the spellings' first tokens, row by row."""

    prompts: Sequence[Sequence[int]]
    logp: torch.Tensor
    first: list[dict[int, float]]
    hooks_for: HooksFor
    rows: Sequence[Request]


class LogprobScorer:
    """Reads log P(spelling | prompt) for every spelling and makes log-odds and mass of them."""

    def __init__(self, model: Any, pad: int, config: WorkerConfig) -> None:
        """`pad`: the id that fills batches up."""
        self._model, self._pad, self._rule = model, pad, LogOdds(config)

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        hooks: StreamHooks,
        hooks_for: HooksFor,
        rows: Sequence[Request],
    ) -> list[dict[str, Any]]:
        """One result per prompt. `hooks` serves the first pass; spellings of several tokens need a pass
        each, with hooks of their own from `hooks_for`."""
        import torch

        tokens = self._rule.first_tokens
        with torch.inference_mode():
            logp = self._last_logp(prompts, hooks, 1)[:, 0]
            first = [dict(zip(tokens, row, strict=True)) for row in logp[:, tokens].tolist()]
            batch = _Batch(prompts, logp, first, hooks_for, rows)
            yes, no = (self._side(side, batch) for side in self._rule.sides)
        return [self._rule.columns(*sides) for sides in zip(yes, no, strict=True)]

    def _side(self, side: Sequence[Spelling], batch: _Batch) -> list[list[float]]:
        """Per prompt the log-probabilities of one side's spellings; a row is spared the passes for those that
        could not change its result."""
        logps = [[first[ids[0]] for ids in side if len(ids) == 1] for first in batch.first]
        worth = [self._rule.longer(side, first) for first in batch.first]
        for ids in (ids for ids in side if len(ids) > 1):
            chosen = [row for row, longer in enumerate(worth) if ids in longer]
            if chosen:
                for row, logp in zip(chosen, self._spelling(ids, chosen, batch), strict=True):
                    logps[row].append(logp)
        return logps

    def _spelling(self, ids: Spelling, chosen: list[int], batch: _Batch) -> list[float]:
        """log P(ids | prompt) by the chain rule, for the chosen prompts."""
        extended = [[*batch.prompts[row], *ids[:-1]] for row in chosen]
        hooks = batch.hooks_for([batch.rows[row] for row in chosen])
        logp = self._last_logp(extended, hooks, len(ids))
        return list(sum(logp[:, k, token] for k, token in enumerate(ids)).tolist())  # type: ignore[union-attr]

    def _last_logp(self, prompts: Sequence[Sequence[int]], hooks: StreamHooks, count: int) -> torch.Tensor:
        """Log-probabilities [rows, count, vocabulary] at the last `count` positions."""
        batch = pad_batch(prompts, self._pad, str(self._model.device))
        with hooks.prefill(batch):
            output = self._model(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                position_ids=batch.positions,
                use_cache=False,
                logits_to_keep=count,
            )
        return output.logits.float().log_softmax(-1)
