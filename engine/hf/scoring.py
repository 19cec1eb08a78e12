"""Packed scoring: log-probabilities of answers in passes over many prompts, with what they share computed
once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from axiograph.engine.errors import RunError
from axiograph.engine.hf.generation import Prompts, admit_rows
from axiograph.engine.hf.layout import PromptLayout, Stretch
from axiograph.engine.hf.model import PackedHooks, PackedModel, Prefixes, Tokens, token_ids
from axiograph.engine.hf.prefixes import Evidence
from axiograph.engine.workers.log_odds import Logps, Readout, Spelling, longest
from axiograph.engine.workers.machine import MemoryEndedError, memory_watched

if TYPE_CHECKING:
    import torch

# Makes the hooks of the prompts that these of the rows are put to the model with.
HooksOf = Callable[[Sequence[int], list[list[int]]], PackedHooks]


# So many tokens of a pass over spellings: of each the logits of the whole vocabulary are needed.
KEPT_AT_ONCE = 512


class PackedScorer:
    """Reads what engine.workers.spellings.LogprobScorer reads, with what prompts share computed once, and the
    prompts themselves once for all spellings behind them."""

    def __init__(self, passes: PackedModel) -> None:
        self._passes = passes

    def __call__(
        self, prompts: list[list[int]], rules: Sequence[Readout], hooks_of: HooksOf
    ) -> tuple[list[Logps], PackedHooks]:
        """What is read behind each prompt, as its rule in `rules` wants it, and the hooks of the passes over
        the prompts. MemoryEndedError where there is no memory for these prompts together."""
        import torch

        hooks = hooks_of(list(range(len(prompts))), prompts)
        with torch.inference_mode(), self._passes.entered(), memory_watched():
            try:
                read = _Call(self._passes, prompts, rules, hooks, hooks_of)()
            except BaseException:
                self._passes.forget()
                raise
        return [read[row] for row in range(len(prompts))], hooks


class _Call:
    """One call of a PackedScorer: its prompts, and what was read behind them so far."""

    def __init__(
        self,
        passes: PackedModel,
        prompts: list[list[int]],
        rules: Sequence[Readout],
        hooks: PackedHooks,
        hooks_of: HooksOf,
    ) -> None:
        self._passes, self._ids, self._rules = passes, prompts, rules
        self._hooks, self._hooks_of = hooks, hooks_of
        self._prompts = Prompts.of(prompts, hooks)
        self._read: dict[int, dict[Spelling, Mapping[int, float]]] = {}

    def __call__(self) -> Mapping[int, Logps]:
        prompts, passes = self._prompts, self._passes
        needs = prompts.needs(0)
        at_once = passes.rows_at_once(needs, len(prompts.groups), None)
        prefixes = Prefixes(passes, prompts.groups, prompts.keys, self._hooks)
        for start in range(0, len(prompts.groups), at_once):
            groups = list(range(start, min(start + at_once, len(prompts.groups))))
            parts = _passes(prompts, groups, passes.pass_tokens)
            rows = max(map(len, parts)) if any(rule.is_longer for rule in self._rules) else 1
            passes.make_room(rows, needs, at_once)
            slots = prefixes.ready(groups)
            if len(slots) < len(groups):
                raise MemoryEndedError("no room for the prefixes of one pass")
            for part in parts:
                self._read_part(part, [slots[prompts.group_of[row]] for row in part])
            for slot in slots.values():
                prefixes.release(slot)
        return self._read

    def _read_part(self, rows: list[int], slots: list[int]) -> None:
        """What is wanted behind the prompts `rows`, whose prefixes lie in `slots`: one pass over the prompts,
        and one over the beginnings of spellings behind them."""
        evidence = self._first_tokens(rows, slots)
        stretches: list[_Beginning] = []
        for number, row in enumerate(rows):
            wanted = self._rules[row].beginnings(self._read[row][()])
            stretches += [_Beginning(row, number, slots[number], ids) for ids in longest(wanted)]
        if stretches:
            self._behind_beginnings(stretches, evidence)

    def _first_tokens(self, rows: list[int], slots: list[int]) -> list[Evidence]:
        """One pass over what `rows` do not share, which stays in the cache of rows where spellings may have
        to be read behind it; returns what was proven of each row's own tokens."""
        prompts, passes = self._prompts, self._passes
        admit_rows(passes.prefixes, self._hooks, prompts, rows, slots)
        sizes, lengths = [prompts.unshared(row) for row in rows], [prompts.length(row) for row in rows]
        stretches = [Stretch(*s) for s in zip(sizes, slots, lengths, strict=True)]
        into = passes.rows if any(self._rules[row].is_longer for row in rows) else None
        columns = np.concatenate([np.arange(size) for size in sizes])
        own_slots = np.repeat(np.arange(len(rows)), sizes)
        layout = PromptLayout(stretches, passes.prefixes, into, own_slots, columns)
        ids = token_ids(np.concatenate([prompts.keys[row][prompts.length(row) :] for row in rows]))
        with self._hooks.around(Tokens(np.repeat(rows, sizes), layout.positions, ids)):
            logits = passes.run(layout, ids, layout.positions, np.cumsum(sizes) - 1)
        wanted = [(number, self._rules[row].first_tokens) for number, row in enumerate(rows)]
        for row, values in zip(rows, _picked(logits, wanted), strict=True):
            self._read[row] = {(): values}
        proven, ends = self._hooks.evidence(len(ids)), np.cumsum(sizes)
        return [
            Evidence(proven.claims[end - size : end], proven.errors[end - size : end])
            for end, size in zip(ends, sizes, strict=True)
        ]

    def _behind_beginnings(self, stretches: list[_Beginning], evidence: list[Evidence]) -> None:
        """Read behind every token of `stretches`, each behind its prompt."""
        passes, prompts = self._passes, self._prompts
        chosen = [s.row for s in stretches]
        longer = [[*self._ids[s.row], *s.ids] for s in stretches]
        hooks = self._hooks_of(chosen, longer)
        for part in _in_parts(stretches, min(KEPT_AT_ONCE, passes.pass_tokens)):
            layout_stretches = []
            for number in part:
                s = stretches[number]
                self._admit(hooks, number, s, evidence[s.number])
                shared = prompts.length(s.row)
                layout_stretches.append(
                    Stretch(len(s.ids), s.slot, shared, s.number, prompts.unshared(s.row))
                )
            nowhere = np.zeros(0, dtype=np.int64)
            layout = PromptLayout(layout_stretches, passes.prefixes, None, nowhere, nowhere, passes.rows)
            ids = np.array([token for number in part for token in stretches[number].ids])
            sizes = [len(stretches[number].ids) for number in part]
            with hooks.around(Tokens(np.repeat(part, sizes), layout.positions, ids)):
                logits = passes.run(layout, ids, layout.positions, np.arange(len(ids)))
            self._keep([stretches[number] for number in part], logits)

    def _admit(self, hooks: PackedHooks, number: int, s: _Beginning, own: Evidence) -> None:
        """Tell `hooks` what was proven of the prompt that beginning `number` stands behind. What is done to
        the prompt's tokens must be the same there: else they may not be read."""
        shared = self._prompts.length(s.row)
        prompt = len(self._ids[s.row])
        if (hooks.marks(number)[:prompt] != self._hooks.marks(s.row)).any():
            raise RunError(
                f"prompt {s.row} and what is read behind it",
                "the same steering at the prompt's own tokens",
                "another one",
                "Report this as a bug.",
            )
        before = self._passes.prefixes.evidence(s.slot, shared) if shared else Evidence.none(0)
        proven = Evidence(
            np.concatenate([before.claims, own.claims]), np.concatenate([before.errors, own.errors])
        )
        hooks.admit([number], np.array(self._ids[s.row], dtype=np.int64), proven)

    def _keep(self, stretches: Sequence[_Beginning], logits: torch.Tensor) -> None:
        places, wanted = [], []
        end = 0
        for s in stretches:
            for k in range(1, len(s.ids) + 1):
                tokens = self._rules[s.row].next_tokens(s.ids[:k])
                places.append((s.row, s.ids[:k]))
                wanted.append((end + k - 1, tokens))
            end += len(s.ids)
        for (row, beginning), values in zip(places, _picked(logits, wanted), strict=True):
            self._read[row][beginning] = values


@dataclass(frozen=True)
class _Beginning:
    """The beginning `ids` of a spelling behind the prompt of `row`, which is number `number` of the pass over
    the prompts, its prefix in `slot`."""

    row: int
    number: int
    slot: int
    ids: Spelling


def _picked(logits: torch.Tensor, wanted: Sequence[tuple[int, Sequence[int]]]) -> list[dict[int, float]]:
    """log P of tokens: for each (row of `logits`, tokens), in order."""
    rows = [row for row, tokens in wanted for _ in tokens]
    tokens = [token for _, tokens in wanted for token in tokens]
    picked = logits[rows, tokens] - logits.logsumexp(-1)[rows]
    values = iter(picked.tolist())
    return [{token: next(values) for token in tokens} for _, tokens in wanted]


def _in_parts(stretches: Sequence[_Beginning], most: int) -> list[list[int]]:
    """The numbers of `stretches` in parts of at most `most` tokens."""
    parts: list[list[int]] = []
    tokens = most
    for number, stretch in enumerate(stretches):
        if tokens + len(stretch.ids) > most:
            parts.append([])
            tokens = 0
        parts[-1].append(number)
        tokens += len(stretch.ids)
    return parts


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
