"""Stored prefixes: keys and values of prompt beginnings, each computed once and read by many rows.

PrefixCache holds them; Reading is how the tokens of a packed pass read those that they stand behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from axiograph.engine.hf.attention import Heads
from axiograph.engine.kernels.hidden import HIDDEN

if TYPE_CHECKING:
    import torch

    from axiograph.engine.kernels.attention import Reads

_NOTHING = np.uint64(2**64 - 1)


@dataclass
class Evidence:
    """What was proven about tokens [n]: `claims` number what was done to the stream there (0: nothing),
    `errors` are the largest differences from what should have been done."""

    claims: np.ndarray
    errors: np.ndarray

    @classmethod
    def none(cls, n: int) -> Evidence:
        """Of `n` tokens nothing was proven, and nothing was to be."""
        return cls(np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.float32))

    def first(self, n: int) -> Evidence:
        """Of the first `n` tokens; it shares their memory."""
        return Evidence(self.claims[:n], self.errors[:n])


class LayerCache:
    """Keys and values of every layer, [slots, key-value heads, width, head size], made at the first write on
    the device where the layer is."""

    def __init__(self, slots: int, width: int) -> None:
        self.slots, self.width = slots, width
        self.keys: dict[int, torch.Tensor] = {}
        self.values: dict[int, torch.Tensor] = {}

    def write(
        self,
        layer: int,
        slots: torch.Tensor,
        columns: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Token i [key-value heads, head size] goes to column `columns[i]` of slot `slots[i]`."""
        held_keys, held_values = self.layer(layer, keys, values)
        held_keys[slots, :, columns] = keys
        held_values[slots, :, columns] = values

    def layer(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values of `layer`; where there are none yet, room for such as the given ones."""
        if layer not in self.keys:
            shape = (self.slots, keys.shape[1], self.width)
            self.keys[layer] = keys.new_zeros(*shape, keys.shape[2])
            self.values[layer] = values.new_zeros(*shape, values.shape[2])
        return self.keys[layer], self.values[layer]

    def move(self, sources: list[int], targets: list[int], length: int) -> None:
        """The first `length` tokens of each source slot also become those of its target slot."""
        import torch

        for stored in (self.keys, self.values):
            for tensor in stored.values():
                read, written = (torch.tensor(slots, device=tensor.device) for slots in (sources, targets))
                held = tensor[:, :, :length]
                held.index_copy_(0, written, held.index_select(0, read))


class PrefixCache(LayerCache):
    """Which prefix lies in which slot, who uses it, and what was proven about it.

    A prefix is its token keys (engine.hf.sharing.token_keys). Slots in use are never given away; of the
    others the one that was used longest ago is.
    """

    def __init__(self, slots: int, width: int) -> None:
        super().__init__(slots, width)
        self._tokens = np.full((slots, width), _NOTHING, dtype=np.uint64)
        self._lengths = np.zeros(slots, dtype=np.int64)
        self._evidence = [Evidence.none(width) for _ in range(slots)]
        self._users = np.zeros(slots, dtype=np.int64)
        self._used = np.zeros(slots, dtype=np.int64)
        self._clock = 0

    def larger(self, slots: int, width: int) -> PrefixCache:
        """A cache of that size, no smaller than this one, that holds what this one does; this one is emptied,
        layer by layer."""
        larger = PrefixCache(slots, width)
        for old, new in ((self.keys, larger.keys), (self.values, larger.values)):
            for layer in list(old):
                tensor = old.pop(layer)
                new[layer] = tensor.new_zeros(slots, tensor.shape[1], width, tensor.shape[3])
                new[layer][: self.slots, :, : self.width] = tensor
        for name in ("_lengths", "_users", "_used"):
            getattr(larger, name)[: self.slots] = getattr(self, name)
        larger._tokens[: self.slots, : self.width] = self._tokens
        for before, after in zip(self._evidence, larger._evidence, strict=False):
            after.claims[: self.width], after.errors[: self.width] = before.claims, before.errors
        larger._clock = self._clock
        return larger

    def longest(self, keys: np.ndarray) -> tuple[int, int]:
        """(slot, n): the stored prefix that shares most leading keys with `keys`, and how many."""
        differ = self._tokens[:, : len(keys)] != keys
        shared = np.where(differ.any(1), differ.argmax(1), differ.shape[1])
        slot = int(shared.argmax())
        return slot, int(shared[slot])

    def find(self, keys: np.ndarray) -> int | None:
        """A slot whose prefix begins with `keys`."""
        slot, shared = self.longest(keys)
        return slot if shared == len(keys) else None

    def use(self, slot: int) -> None:
        """One more user of `slot`, which is not given away before all have released it."""
        self._users[slot] += 1
        self._touch(slot)

    def release(self, slot: int) -> None:
        """One user of `slot` less; its prefix stays until the slot is needed."""
        self._users[slot] -= 1

    def _touch(self, slot: int) -> None:
        self._clock += 1
        self._used[slot] = self._clock

    def free_slots(self) -> int:
        """How many slots nobody uses."""
        return int((self._users == 0).sum())

    def reserve(self) -> int:
        """An unused slot, emptied and in use from now on."""
        free = np.flatnonzero(self._users == 0)
        empty = free[self._lengths[free] == 0]
        slot = int(empty[0]) if len(empty) else int(free[self._used[free].argmin()])
        self._tokens[slot] = _NOTHING
        self._lengths[slot] = 0
        self.use(slot)
        return slot

    def begin_with(self, slots: list[int], sources: list[int], length: int) -> None:
        """`slots` begin with the first `length` tokens of `sources`, and with what was proven of them."""
        self.move(sources, slots, length)
        for slot, source in zip(slots, sources, strict=True):
            self._tokens[slot, :length] = self._tokens[source, :length]
            self._lengths[slot] = length
            old, new = self._evidence[source], self._evidence[slot]
            new.claims[:length], new.errors[:length] = old.claims[:length], old.errors[:length]

    def extend(self, slot: int, keys: np.ndarray, evidence: Evidence) -> None:
        """The tokens `keys` were computed behind what `slot` held."""
        start = int(self._lengths[slot])
        end = start + len(keys)
        self._tokens[slot, start:end] = keys
        self._evidence[slot].claims[start:end] = evidence.claims
        self._evidence[slot].errors[start:end] = evidence.errors
        self._lengths[slot] = end

    def ids(self, slot: int, length: int) -> np.ndarray:
        """The token ids of the first `length` tokens."""
        return (self._tokens[slot, :length] & np.uint64(2**32 - 1)).astype(np.int64)

    def evidence(self, slot: int, length: int) -> Evidence:
        """What was proven about the first `length` tokens."""
        return self._evidence[slot].first(length)


# What one further call costs beside the arithmetic, in scores computed.
CALL = 4096


class Reading:
    """How the tokens of a pass read the prefixes they stand behind."""

    def __init__(
        self, cache: LayerCache, slots: np.ndarray, lengths: np.ndarray, positions: np.ndarray
    ) -> None:
        """`slots`, `lengths`, `positions` [tokens], counted from the first held token; a length of 0 is no
        prefix."""
        self._cache, self._slots, self._lengths, self._positions = cache, slots, lengths, positions
        self._runs: _Runs | None = None
        self._reads: dict[int | None, Reads] = {}

    def move(self, positions: np.ndarray) -> None:
        """The same tokens of later `positions`: sliding windows have moved on."""
        self._positions = positions
        self._reads = {window: reads for window, reads in self._reads.items() if window is None}
        if self._runs is not None:
            self._runs.move(positions)

    def __call__(self, heads: Heads) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Result [tokens, heads, size] and log-sum-exp [tokens, heads]; None where no token has a prefix."""
        if not self._lengths.any():
            return None
        keys, values = self._cache.keys[heads.layer], self._cache.values[heads.layer]
        if heads.in_blocks:
            from axiograph.engine.kernels.attention import read

            if heads.window not in self._reads:
                self._reads[heads.window] = self._as_reads(heads.window)
            return read(heads.q, keys, values, self._reads[heads.window], heads.scale)
        if self._runs is None:
            self._runs = _Runs(self._slots, self._lengths, self._positions)
        return self._runs(heads, keys, values)

    def _as_reads(self, window: int | None) -> Reads:
        """One read for each prefix that is read to some length."""
        from axiograph.engine.kernels.attention import Reads

        tokens = np.flatnonzero(self._lengths)
        slots, lengths = self._slots[tokens], self._lengths[tokens]
        order = np.lexsort((lengths, slots))
        tokens, slots, lengths = tokens[order], slots[order], lengths[order]
        starts = np.flatnonzero(np.r_[True, (slots[1:] != slots[:-1]) | (lengths[1:] != lengths[:-1])])
        lo = np.zeros_like(tokens)
        if window is not None:
            lo = np.clip(self._positions[tokens] + 1 - window, 0, lengths)
        return Reads(
            slot=slots[starts],
            first=np.zeros_like(starts),
            n=lengths[starts],
            start=starts,
            end=np.r_[starts[1:], len(tokens)],
            tokens=tokens,
            lo=lo,
            hi=lengths,
        )


@dataclass(frozen=True)
class _Run:
    """Prefixes in consecutive slots lo … hi − 1 that are read in one call, by `width` queries each.

    queries: where these lie among all that read prefixes; lengths [hi − lo]: what they see of each;
    tokens [hi − lo, width]: which tokens of the pass the queries are.
    """

    lo: int
    hi: int
    width: int
    queries: slice
    lengths: np.ndarray
    tokens: np.ndarray


class _Runs:
    """How the tokens of a pass read their prefixes by PyTorch, prefixes in consecutive slots together."""

    def __init__(self, slots: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> None:
        self._positions = positions
        self._without = lengths == 0
        self._runs: list[_Run] = []
        self._taken: list[int] = []
        self._back = np.zeros(len(slots), dtype=np.int64)
        pairs = np.stack([slots, lengths], 1)[~self._without]
        tokens = np.flatnonzero(~self._without)
        kinds, kind_of = np.unique(pairs, axis=0, return_inverse=True)
        members = [tokens[kind_of == i] for i in range(len(kinds))]
        for lo, hi in _together(kinds, [len(m) for m in members]):
            self._add(kinds[lo:hi], members[lo:hi])
        self._hidden: dict[tuple[int | None, torch.device], list[torch.Tensor | None]] = {}
        self._index: dict[torch.device, tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = {}

    def move(self, positions: np.ndarray) -> None:
        self._positions = positions
        self._hidden = {key: hidden for key, hidden in self._hidden.items() if key[0] is None}

    def _add(self, kinds: np.ndarray, members: Sequence[np.ndarray]) -> None:
        width = max(len(m) for m in members)
        start = len(self._taken)
        for i, queries in enumerate(members):
            # Rows of fewer queries repeat their last one; nobody takes what it reads.
            self._taken += [*queries.tolist(), *[int(queries[-1])] * (width - len(queries))]
            self._back[queries] = start + i * width + np.arange(len(queries))
        taken = np.array(self._taken[start:]).reshape(len(members), width)
        self._runs.append(
            _Run(
                int(kinds[0, 0]),
                int(kinds[-1, 0]) + 1,
                width,
                slice(start, len(self._taken)),
                kinds[:, 1],
                taken,
            )
        )

    def __call__(
        self, heads: Heads, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        take, back, without = self._on(heads.q.device)
        q = heads.q[take]
        outs, sums = [], []
        for run, hidden in zip(self._runs, self._hiding(heads), strict=True):
            n = int(run.lengths.max())
            queries = q[run.queries].unflatten(0, (run.hi - run.lo, run.width))
            k, v = keys[run.lo : run.hi, :, :n], values[run.lo : run.hi, :, :n]
            out, lse = heads.unfold(*heads.read(heads.fold(queries), k, v, hidden, False), run.width)
            outs.append(out)
            sums.append(lse)
        out, lse = torch.cat(outs)[back], torch.cat(sums)[back]
        return out, lse if without is None else lse.masked_fill(without, HIDDEN)

    def _on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        import torch

        if device not in self._index:
            without = torch.from_numpy(self._without).unsqueeze(1).to(device) if self._without.any() else None
            take, back = torch.tensor(self._taken), torch.from_numpy(self._back)
            self._index[device] = take.to(device), back.to(device), without
        return self._index[device]

    def _hiding(self, heads: Heads) -> list[torch.Tensor | None]:
        """Per run what is added to its scores, the same in every layer of one window."""
        key = (heads.window, heads.q.device)
        if key not in self._hidden:
            self._hidden[key] = [_run_hidden(run, self._positions[run.tokens], heads) for run in self._runs]
        return self._hidden[key]


def _together(kinds: np.ndarray, counts: Sequence[int]) -> list[tuple[int, int]]:
    """Which (slot, length) kinds are read in one call: where padding costs less than a call of its own."""
    calls: list[tuple[int, int]] = []
    cost = 0
    for i, ((slot, length), count) in enumerate(zip(kinds.tolist(), counts, strict=True)):
        alone = length * count
        if calls:
            lo = calls[-1][0]
            width, longest = max(counts[lo : i + 1]), int(kinds[lo : i + 1, 1].max())
            joint = (i + 1 - lo) * width * longest
            if slot == kinds[i - 1, 0] + 1 and joint <= cost + alone + CALL:
                calls[-1] = (lo, i + 1)
                cost = joint
                continue
        calls.append((i, i + 1))
        cost = alone
    return calls


def _run_hidden(run: _Run, positions: np.ndarray, heads: Heads) -> torch.Tensor | None:
    """[prefixes, 1, queries or 1, keys] for queries at `positions` [prefixes, width], or None where every
    query sees all keys."""
    import torch

    n = int(run.lengths.max())
    uneven = bool((run.lengths < n).any())
    sliding = heads.window is not None and int(positions.max()) >= heads.window
    if not uneven and not sliding:
        return None
    columns = np.arange(n)
    seen = np.broadcast_to((columns < run.lengths[:, None])[:, None], (len(run.lengths), 1, n))
    if sliding:
        assert heads.window is not None
        seen = seen & (columns > positions[..., None] - heads.window)
        seen = np.tile(seen, (1, heads.groups, 1))
    hidden = torch.from_numpy(np.where(seen, 0.0, HIDDEN).astype(np.float32)).unsqueeze(1)
    return hidden.to(heads.q.device)
