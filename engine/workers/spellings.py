"""logprob mode: the probability of yes and of no, summed over their spellings (DESIGN 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.answers.parsing import (
    NO_SPELLINGS,
    YES_SPELLINGS,
    log_odds,
    logprob_state,
    logsumexp,
    marker_end,
)
from axiograph.engine.workers.generation import StreamHooks, pad_batch

if TYPE_CHECKING:
    import torch

    from axiograph.engine.prompting.prompts import PromptBuilder
    from axiograph.engine.workers.worker import Request, WorkerConfig

# Relative to what is known of a side: far below what float32 tells apart in a log-odds.
NEGLIGIBLE = 1e-8
HooksFor = Callable[[Sequence["Request"]], StreamHooks]


def spelling_ids(builder: PromptBuilder) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Token ids of the yes and the no spellings, without repetition.

    A spelling that begins with another of the same or the other side (as token sequences) is left out:
    its probability is part of that one's.
    """
    yes = {tuple(builder.continuation(text)) for text in YES_SPELLINGS}
    no = {tuple(builder.continuation(text)) for text in NO_SPELLINGS}
    every = yes | no

    def own(side: set[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        kept = (ids for ids in side if not any(o != ids and ids[: len(o)] == o for o in every))
        return tuple(sorted(kept))

    return own(yes), own(no)


def scored(odds: float | None, mass: float, mass_threshold: float) -> dict[str, Any]:
    """The columns of a response that was read from log-probabilities."""
    state = logprob_state(odds, mass, mass_threshold)
    return {
        "state": state,
        "reason": "low-mass" if state == "unparsed" else "log-odds",
        "text": "",
        "answer_ids": [],
        "finish": "scored",
        "log_odds": odds,
        "mass": mass,
        "new_tokens": 0,
        "fallback": False,
    }


@dataclass(frozen=True)
class _Reader:
    """One batch: `first` [rows, vocabulary] are the log-probabilities behind its prompts."""

    prompts: list[list[int]]
    first: torch.Tensor
    hooks_for: HooksFor
    rows: Sequence[Request]


class LogprobScorer:
    """Reads log P(spelling | prompt) for every spelling and makes log-odds and mass of them."""

    def __init__(self, model: Any, pad: int, config: WorkerConfig) -> None:
        self._model, self._pad, self._config = model, pad, config

    def __call__(
        self,
        prompts: list[list[int]],
        hooks: StreamHooks,
        hooks_for: HooksFor,
        rows: Sequence[Request],
    ) -> list[dict[str, Any]]:
        """One result per prompt. `hooks` serves the first pass; spellings of several tokens need a pass
        each, with hooks of their own from `hooks_for`."""
        import torch

        with torch.inference_mode():
            first = self._last_logp(prompts, hooks, 1)[:, 0]
            reader = _Reader(prompts, first, hooks_for, rows)
            yes = self._side(self._config.yes_ids, reader)
            no = self._side(self._config.no_ids, reader)
        pairs = zip(yes, no, strict=True)
        return [self._result(*log_odds(own_yes, own_no)) for own_yes, own_no in pairs]

    def _side(self, spellings: Sequence[tuple[int, ...]], reader: _Reader) -> list[list[float]]:
        """Per prompt the log-probabilities of one side's spellings.

        Spellings of several tokens need a pass each. A row is spared it where the spelling's first token
        has less than NEGLIGIBLE of what the side's one-token spellings have: it could not change the
        log-odds by more than that.
        """
        single = [ids[0] for ids in spellings if len(ids) == 1]
        found = [[float(row[token]) for token in single] for row in reader.first]
        known = [logsumexp(row) for row in found]
        for ids in (ids for ids in spellings if len(ids) > 1):
            begin = reader.first[:, ids[0]].tolist()
            chosen = [i for i, logp in enumerate(begin) if logp > known[i] + math.log(NEGLIGIBLE)]
            if chosen:
                for i, logp in zip(chosen, self._spelling(ids, chosen, reader), strict=True):
                    found[i].append(logp)
        return found

    def _result(self, odds: float | None, mass: float) -> dict[str, Any]:
        return scored(odds, mass, self._config.scoring.mass_threshold)

    def _spelling(self, ids: tuple[int, ...], chosen: list[int], reader: _Reader) -> list[float]:
        """log P(ids | prompt) by the chain rule, for the chosen prompts."""
        extended = [[*reader.prompts[i], *ids[:-1]] for i in chosen]
        hooks = reader.hooks_for([reader.rows[i] for i in chosen])
        logp = self._last_logp(extended, hooks, len(ids))
        return list(sum(logp[:, k, token] for k, token in enumerate(ids)).tolist())  # type: ignore[union-attr]

    def _last_logp(self, prompts: list[list[int]], hooks: StreamHooks, count: int) -> torch.Tensor:
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

    @staticmethod
    def up_to_marker(ids: Sequence[int], text: Callable[[Sequence[int]], str]) -> tuple[int, ...] | None:
        """The generated ids up to and including the first `Answer:`, or None where there is none."""
        for end in range(1, len(ids) + 1):
            if marker_end(text(ids[:end])) is not None:
                return tuple(ids[:end])
        return None
