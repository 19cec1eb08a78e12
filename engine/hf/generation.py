"""Packed generation: prompts in, answers out, with rows that come and go at every step.

The answers are those of engine.workers.generation.Generator, which is the oracle in tests and what is used
for models that packed passes cannot do. A finished row leaves at once and the next takes its place.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from axiograph.engine.hf.layout import PromptLayout, StepLayout, Stretch
from axiograph.engine.hf.model import Needs, PackedHooks, PackedModel, Prefixes, Tokens, token_ids
from axiograph.engine.hf.prefixes import Evidence, PrefixCache, Reading
from axiograph.engine.hf.sharing import Group, flat, shared_prefixes, token_keys
from axiograph.engine.workers import generation
from axiograph.engine.workers.generation import Generated, Generator
from axiograph.engine.workers.machine import MemoryEndedError, memory_watched

if TYPE_CHECKING:
    import torch

log = logging.getLogger("axiograph.sampling")
# Newcomers wait until they are that share of the rows: a pass over few tokens costs as much as over many.
REFILL = 8
Choose = Callable[["torch.Tensor", Sequence[int], Sequence[int]], list[int]]


@dataclass(frozen=True)
class Prompts:
    """The prompts of one call as token keys, and the groups in which they share prefixes."""

    keys: list[np.ndarray]
    groups: list[Group]
    group_of: list[int]

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], hooks: PackedHooks, unshared: int = 1) -> Prompts:
        """`unshared`: how many tokens at its end every row must have to itself."""
        marks = [hooks.marks(row) for row in range(len(prompts))]
        lengths = [len(ids) for ids in prompts]
        assert lengths == [len(row_marks) for row_marks in marks]
        keys = np.split(token_keys(flat(prompts), np.concatenate(marks)), np.cumsum(lengths[:-1]))
        groups = shared_prefixes(keys, unshared)
        group_of = [0] * len(keys)
        for number, group in enumerate(groups):
            for row in group.rows:
                group_of[row] = number
        return cls(keys, groups, group_of)

    @property
    def order(self) -> list[int]:
        """All rows, those beside each other that share most."""
        return [row for group in self.groups for row in group.rows]

    def length(self, row: int) -> int:
        """How many tokens of `row` are its shared prefix."""
        return self.groups[self.group_of[row]].length

    def unshared(self, row: int) -> int:
        """How many tokens of `row` stand behind its shared prefix."""
        return len(self.keys[row]) - self.length(row)

    def needs(self, room: int) -> Needs:
        """`room`: tokens that a row may write."""
        longest = max(group.length for group in self.groups)
        rest = max(self.unshared(row) for row in range(len(self.keys)))
        return Needs(len(self.groups), longest, rest + room)


class PackedGenerator:
    """Answers as `simple` does, faster. `halvings` records how often memory ran out and what was done."""

    def __init__(self, simple: Generator, passes: PackedModel) -> None:
        self.simple, self.passes = simple, passes
        self.halvings: list[str] = []
        self._limit: int | None = None

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        request_ids: Sequence[bytes],
        hooks: PackedHooks,
        limit: int | None = None,
        choose: Choose | None = None,
    ) -> list[Generated]:
        """Answers to `prompts` (token ids), in their order; at most `limit` rows at once (None: what memory
        allows). `choose` stands for the TokenChooser of the sampling settings. MemoryEndedError where there
        is no memory for a single row."""
        import torch

        if not prompts:
            return []
        # Looked up when it is needed, so that tests can watch it.
        choose = choose or generation.TokenChooser(self.simple.sampling, request_ids)
        run = _Run(self, Prompts.of(prompts, hooks), choose, hooks)
        rows = self.passes.rows_at_once(run.needs, len(prompts), _smaller(limit, self._limit))
        with torch.inference_mode(), self.passes.entered():
            while True:
                try:
                    with memory_watched():
                        run(rows)
                    return run.answers()
                except MemoryEndedError as error:
                    if rows == 1:
                        self.passes.forget()
                        raise
                    rows = self._halve(rows, run, error)
                except BaseException:
                    # Its rows hold on to prefixes that nobody would release.
                    self.passes.forget()
                    raise

    def _halve(self, rows: int, run: _Run, error: MemoryEndedError) -> int:
        """Start the unfinished rows again with half as many at once, and remember it for later calls."""
        run.restart()
        self.passes.forget()
        self._limit = rows // 2
        self.halvings.append(f"{rows} rows at once: {error}; went on with {self._limit}")
        log.warning("memory ran out: %s", self.halvings[-1])
        return self._limit


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)


def admit_rows(
    cache: PrefixCache, hooks: PackedHooks, prompts: Prompts, rows: Sequence[int], slots: Sequence[int]
) -> None:
    """Tell `hooks` behind which stored tokens each of `rows` starts, and what was proven of them."""
    behind: dict[tuple[int, int], list[int]] = {}
    for row, slot in zip(rows, slots, strict=True):
        behind.setdefault((slot, prompts.length(row)), []).append(row)
    for (slot, length), together in behind.items():
        if length == 0:
            hooks.admit(together, np.zeros(0, dtype=np.int64), Evidence.none(0))
        else:
            hooks.admit(together, cache.ids(slot, length), cache.evidence(slot, length))


class _Run:
    """One call: who waits, who is under way in which slot of the row cache, who is done."""

    def __init__(
        self, generator: PackedGenerator, prompts: Prompts, choose: Choose, hooks: PackedHooks
    ) -> None:
        self._generator, self._simple = generator, generator.simple
        self._passes, self._hooks, self._prompts = generator.passes, hooks, prompts
        self._choose = choose
        self.needs = prompts.needs(self._simple.sampling.most_tokens)
        self._prefixes = Prefixes(self._passes, prompts.groups, prompts.keys, hooks)
        self._done: dict[int, Generated] = {}
        self._written: dict[int, list[int]] = {}
        self.restart()

    def restart(self) -> None:
        """Everybody who is not done waits again; what they had written is written again."""
        self._waiting = deque(row for row in self._prompts.order if row not in self._done)
        self._rows: list[int] = []
        self._slots: list[int] = []
        self._held: list[int] = []
        self._reading: Reading | None = None

    def answers(self) -> list[Generated]:
        """In the order of the prompts, once all are done."""
        return [self._done[row] for row in range(len(self._prompts.keys))]

    def __call__(self, at_once: int) -> None:
        self._passes.make_room(at_once, self.needs, at_once)
        while self._waiting or self._rows:
            free = at_once - len(self._rows)
            if self._waiting and (not self._rows or free * REFILL >= at_once):
                self._take_in(free)
            else:
                self._step()

    def _take_in(self, free: int) -> None:
        """The next rows, as many as there is room for: one pass over what they do not share."""
        chosen: list[int] = []
        tokens = 0
        while self._waiting and len(chosen) < free:
            tokens += self._prompts.unshared(self._waiting[0])
            if chosen and tokens > self._passes.pass_tokens:
                break
            chosen.append(self._waiting.popleft())
        groups = list(dict.fromkeys(self._prompts.group_of[row] for row in chosen))
        slots = self._prefixes.ready(groups)
        late = [row for row in chosen if self._prompts.group_of[row] not in slots]
        self._waiting.extendleft(reversed(late))
        rows = [row for row in chosen if self._prompts.group_of[row] in slots]
        first = len(self._rows)
        self._reading = None
        for row in rows:
            slot = slots[self._prompts.group_of[row]]
            self._prefixes.share(slot)
            self._rows.append(row)
            self._slots.append(slot)
            self._held.append(self._prompts.unshared(row))
            self._written[row] = self._simple.stop.begin()
        for slot in slots.values():
            self._prefixes.release(slot)
        if not rows:
            assert first, "no room for a single prefix"
            return
        logits = self._prompt_pass(rows, self._slots[first:], first)
        self._choose_next(logits, list(range(first, len(self._rows))))

    def _prompt_pass(self, rows: list[int], slots: list[int], first: int) -> torch.Tensor:
        """Logits behind the prompts of `rows`, which take the slots from `first` on."""
        lengths = [self._prompts.length(row) for row in rows]
        admit_rows(self._passes.prefixes, self._hooks, self._prompts, rows, slots)
        sizes = [self._prompts.unshared(row) for row in rows]
        stretches = [Stretch(*s) for s in zip(sizes, slots, lengths, strict=True)]
        columns = np.concatenate([np.arange(size) for size in sizes])
        into = np.repeat(np.arange(first, first + len(rows)), sizes)
        layout = PromptLayout(stretches, self._passes.prefixes, self._passes.rows, into, columns)
        keys = [self._prompts.keys[row][n:] for row, n in zip(rows, lengths, strict=True)]
        ids = token_ids(np.concatenate(keys))
        with self._hooks.around(Tokens(np.repeat(rows, sizes), layout.positions, ids)):
            return self._passes.run(layout, ids, layout.positions, np.cumsum(sizes) - 1)

    def _step(self) -> None:
        """One more token of every row under way."""
        held = np.array(self._held)
        lengths = np.array([self._prompts.length(row) for row in self._rows])
        positions = lengths + held
        # Windows move with the positions; without any, the same reading serves until rows change.
        if self._reading is None:
            self._reading = Reading(self._passes.prefixes, np.array(self._slots), lengths, positions)
        else:
            self._reading.move(positions)
        ids = np.array([self._written[row][-1] for row in self._rows])
        layout = StepLayout(self._reading, self._passes.rows, held)
        with self._hooks.around(Tokens(np.array(self._rows), positions, ids, written=True)):
            logits = self._passes.run(layout, ids, positions, None)
        self._held = (held + 1).tolist()
        self._choose_next(logits, list(range(len(self._rows))))

    def _choose_next(self, logits: torch.Tensor, indices: list[int]) -> None:
        """A token for the row in each of `indices`; those whose answer ends with it leave."""
        rows = [self._rows[index] for index in indices]
        steps = [len(self._written[row]) for row in rows]
        tokens = self._choose(logits, rows, steps)
        gone: list[int] = []
        for index, row, token, step in zip(indices, rows, tokens, steps, strict=True):
            written = self._written[row]
            finish = self._simple.finish(written, token, step)
            if finish is not None:
                self._done[row] = Generated(tuple(written), self._simple.stop.text(written), finish)
                gone.append(index)
        if gone:
            self._leave(gone)

    def _leave(self, gone: list[int]) -> None:
        """Take rows out; the last ones move into the gaps, so that rows lie side by side."""
        self._reading = None
        for index in gone:
            self._prefixes.release(self._slots[index])
            del self._written[self._rows[index]]
        left = len(self._rows) - len(gone)
        gaps = [index for index in gone if index < left]
        movers = sorted(set(range(left, len(self._rows))) - set(gone))
        if gaps:
            self._passes.rows.move(movers, gaps, max(self._held[index] for index in movers))
        for gap, mover in zip(gaps, movers, strict=True):
            self._rows[gap], self._slots[gap], self._held[gap] = (
                self._rows[mover],
                self._slots[mover],
                self._held[mover],
            )
        del self._rows[left:], self._slots[left:], self._held[left:]
