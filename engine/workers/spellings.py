"""Spellings of yes and no: their token ids, and their log-probabilities read batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from axiograph.engine.answers.parsing import NO_SPELLINGS, YES_SPELLINGS
from axiograph.engine.workers.generation import StreamHooks, pad_batch
from axiograph.engine.workers.log_odds import Logps, Readout, Spelling

if TYPE_CHECKING:
    import torch

    from axiograph.engine.prompting.prompts import PromptBuilder
    from axiograph.engine.workers.worker import Request

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


class LogprobScorer:
    """Reads what a Readout wants behind prompts, with padded batches: slow and plain."""

    def __init__(self, model: Any, pad: int) -> None:
        """`pad`: the id that fills batches up."""
        self._model, self._pad = model, pad

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        rules: Sequence[Readout],
        hooks: StreamHooks,
        hooks_for: HooksFor,
        rows: Sequence[Request],
    ) -> list[Logps]:
        """What is read behind each prompt, as its rule in `rules` wants it. `hooks` serves the first pass;
        beginnings of spellings need passes with hooks of their own from `hooks_for`."""
        import torch

        with torch.inference_mode():
            logp = self._last_logp(prompts, hooks)
            read: list[dict[Spelling, Mapping[int, float]]] = []
            for row, rule in enumerate(rules):
                tokens = rule.first_tokens
                read.append({(): dict(zip(tokens, logp[row, tokens].tolist(), strict=True))})
            for beginning, chosen in self._wanted(rules, read).items():
                extended = [[*prompts[row], *beginning] for row in chosen]
                hooks = hooks_for([rows[row] for row in chosen])
                behind = self._last_logp(extended, hooks)
                for number, row in enumerate(chosen):
                    tokens = list(rules[row].next_tokens(beginning))
                    read[row][beginning] = dict(zip(tokens, behind[number, tokens].tolist(), strict=True))
        return list(read)

    def _wanted(self, rules: Sequence[Readout], read: Sequence[Logps]) -> dict[Spelling, list[int]]:
        """For every beginning the rows behind whose prompts it is read."""
        wanted: dict[Spelling, list[int]] = {}
        for row, rule in enumerate(rules):
            for beginning in rule.beginnings(read[row][()]):
                wanted.setdefault(beginning, []).append(row)
        return wanted

    def _last_logp(self, prompts: Sequence[Sequence[int]], hooks: StreamHooks) -> torch.Tensor:
        """Log-probabilities [rows, vocabulary] of the token behind each prompt."""
        batch = pad_batch(prompts, self._pad, str(self._model.device))
        with hooks.prefill(batch):
            output = self._model(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                position_ids=batch.positions,
                use_cache=False,
                logits_to_keep=1,
            )
        return output.logits[:, 0].float().log_softmax(-1)
