"""logprob mode: the probability of yes and of no, summed over their spellings (DESIGN 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.answers import NO_SPELLINGS, YES_SPELLINGS, log_odds, logprob_state
from engine.generation import StreamHooks, pad_batch
from engine.prompts import PromptBuilder
from engine.worker import Request, WorkerConfig

if TYPE_CHECKING:
    import torch

_MARKER = re.compile(r"answer\s*:\s*$", re.IGNORECASE)

HooksFor = Callable[[Sequence[Request]], StreamHooks]


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
            yes = [self._spelling(ids, prompts, first, hooks_for, rows) for ids in self._config.yes_ids]
            no = [self._spelling(ids, prompts, first, hooks_for, rows) for ids in self._config.no_ids]
        results = []
        for i in range(len(prompts)):
            odds, mass = log_odds([column[i] for column in yes], [column[i] for column in no])
            results.append(self._result(odds, mass))
        return results

    def _result(self, odds: float | None, mass: float) -> dict[str, Any]:
        state = logprob_state(odds, mass, self._config.scoring.mass_threshold)
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

    def _spelling(
        self,
        ids: tuple[int, ...],
        prompts: list[list[int]],
        first: torch.Tensor,
        hooks_for: HooksFor,
        rows: Sequence[Request],
    ) -> list[float]:
        """log P(ids | prompt) per prompt, by the chain rule."""
        if len(ids) == 1:
            return list(first[:, ids[0]].tolist())
        extended = [[*prompt, *ids[:-1]] for prompt in prompts]
        logp = self._last_logp(extended, hooks_for(rows), len(ids))
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
            if _MARKER.search(text(ids[:end])):
                return tuple(ids[:end])
        return None
