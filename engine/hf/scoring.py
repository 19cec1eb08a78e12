"""Packed scoring: log-odds of yes and no in passes over many prompts, with what they share computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.engine.hf.generation import Prompts, admit_rows
from axiograph.engine.hf.layout import PromptLayout, Stretch
from axiograph.engine.hf.model import PackedHooks, PackedModel, Prefixes, Tokens, token_ids
from axiograph.engine.workers.log_odds import LogOdds, Spelling
from axiograph.engine.workers.machine import MemoryEndedError, memory_watched

if TYPE_CHECKING:
    from axiograph.engine.workers.worker import WorkerConfig

# Makes the hooks of the prompts that these of the rows are put to the model with.
HooksOf = Callable[[Sequence[int], list[list[int]]], PackedHooks]


class PackedScorer:
    """Reads what engine.workers.spellings.LogprobScorer reads: log P(spelling | prompt) for every
    spelling."""

    def __init__(self, passes: PackedModel, config: WorkerConfig) -> None:
        self._passes, self._rule = passes, LogOdds(config)

    def __call__(
        self, prompts: list[list[int]], hooks_of: HooksOf
    ) -> tuple[list[dict[str, Any]], PackedHooks]:
        """One result per prompt, and the hooks of the first pass over them.

        Spellings of several tokens that count (as in LogprobScorer) are read in a second pass, all at once.
        MemoryEndedError where there is no memory for these prompts together.
        """
        import torch

        rule, every = self._rule, list(range(len(prompts)))
        hooks = hooks_of(every, prompts)
        firsts: list[Spelling] = [(token,) for token in rule.first_tokens]
        with torch.inference_mode():
            first = self._read(prompts, hooks, [firsts] * len(prompts))
            logps = [dict(zip(firsts, row, strict=True)) for row in first]
            by_token = [dict(zip(rule.first_tokens, row, strict=True)) for row in first]
            pairs = [
                (row, ids) for row in every for side in rule.sides for ids in rule.longer(side, by_token[row])
            ]
            if pairs:
                longer = [[*prompts[row], *ids[:-1]] for row, ids in pairs]
                hooks_of_longer = hooks_of([row for row, _ in pairs], longer)
                read = self._read(longer, hooks_of_longer, [[ids] for _, ids in pairs])
                for (row, ids), (logp,) in zip(pairs, read, strict=True):
                    logps[row][ids] = logp
        return [self._columns(logp) for logp in logps], hooks

    def _columns(self, logps: dict[Spelling, float]) -> dict[str, Any]:
        yes, no = ([logps[ids] for ids in side if ids in logps] for side in self._rule.sides)
        return self._rule.columns(yes, no)

    def _read(
        self, prompts: list[list[int]], hooks: PackedHooks, wanted: Sequence[Sequence[Spelling]]
    ) -> list[list[float]]:
        """For every prompt the log-probability of each wanted spelling, all but whose last token end it."""
        longest = max(len(ids) for row in wanted for ids in row)
        together = Prompts.of(prompts, hooks, longest)
        logps: dict[int, list[float]] = {}
        with self._passes.entered(), memory_watched():
            try:
                needs = together.needs(0)
                slots = self._passes.rows_at_once(needs, len(together.groups), None)
                self._passes.make_room(1, needs, slots)
                prefixes = Prefixes(self._passes, together.groups, together.keys, hooks)
                for start in range(0, len(together.groups), slots):
                    groups = list(range(start, min(start + slots, len(together.groups))))
                    logps.update(self._score_groups(groups, together, prefixes, hooks, wanted))
            except BaseException:
                self._passes.forget()
                raise
        return [logps[row] for row in range(len(prompts))]

    def _score_groups(
        self,
        groups: list[int],
        prompts: Prompts,
        prefixes: Prefixes,
        hooks: PackedHooks,
        wanted: Sequence[Sequence[Spelling]],
    ) -> dict[int, list[float]]:
        """The same for the rows of `groups`, whose prefixes are computed together before."""
        slots = prefixes.ready(groups)
        if len(slots) < len(groups):
            raise MemoryEndedError("no room for the prefixes of one pass")
        logps: dict[int, list[float]] = {}
        for part in _passes(prompts, groups, self._passes.pass_tokens):
            logps.update(self._score(part, prompts, slots, hooks, wanted))
        for slot in slots.values():
            prefixes.release(slot)
        return logps

    def _score(
        self,
        chosen: list[int],
        prompts: Prompts,
        slots: Mapping[int, int],
        hooks: PackedHooks,
        wanted: Sequence[Sequence[Spelling]],
    ) -> dict[int, list[float]]:
        """The same for the rows `chosen`, in one pass behind their prefixes, which lie in `slots`."""
        lengths = [prompts.length(row) for row in chosen]
        own_slots = [slots[prompts.group_of[row]] for row in chosen]
        admit_rows(self._passes.prefixes, hooks, prompts, chosen, own_slots)
        sizes = [prompts.unshared(row) for row in chosen]
        stretches = [Stretch(*s) for s in zip(sizes, own_slots, lengths, strict=True)]
        nowhere = np.zeros(0, dtype=np.int64)
        layout = PromptLayout(stretches, self._passes.prefixes, None, nowhere, nowhere)
        ids = token_ids(np.concatenate([prompts.keys[row][prompts.length(row) :] for row in chosen]))
        depth = max(len(spelling) for row in chosen for spelling in wanted[row])
        # A row of fewer tokens is not asked for what lies before them.
        keep = np.maximum(0, np.cumsum(sizes)[:, None] - depth + np.arange(depth)).ravel()
        with hooks.around(Tokens(np.repeat(chosen, sizes), layout.positions, ids)):
            logits = self._passes.run(layout, ids, layout.positions, keep)
        logp = logits.log_softmax(-1).unflatten(0, (len(chosen), depth))
        return _chained(chosen, logp, wanted)


def _chained(chosen: list[int], logp: Any, wanted: Sequence[Sequence[Spelling]]) -> dict[int, list[float]]:
    """log P of the wanted spellings by the chain rule; `logp` [rows, depth, vocabulary] ends behind each."""
    depth = logp.shape[1]
    picks = [
        (number, depth - len(ids) + k, token)
        for number, row in enumerate(chosen)
        for ids in wanted[row]
        for k, token in enumerate(ids)
    ]
    numbers, positions, tokens = (list(column) for column in zip(*picks, strict=True))
    values = iter(logp[numbers, positions, tokens].tolist())
    return {row: [sum(next(values) for _ in ids) for ids in wanted[row]] for row in chosen}


def _passes(prompts: Prompts, groups: Sequence[int], most: int) -> list[list[int]]:
    """The rows of `groups` in their order, in parts of `most` tokens that are not shared or fewer (a single
    row may have more), each about as large as the others."""
    rows = [row for group in groups for row in prompts.groups[group].rows]
    total = sum(prompts.unshared(row) for row in rows)
    enough = total / -(-total // most)
    parts: list[list[int]] = []
    tokens = most
    for row in rows:
        rest = prompts.unshared(row)
        if tokens >= enough or tokens + rest > most:
            parts.append([])
            tokens = 0
        parts[-1].append(row)
        tokens += rest
    return parts
