"""Layouts: which tokens of a packed pass see which, for passes over prompts and for steps.

A token sees a stored prefix, which it shares with others, and tokens of its own row. Both are read apart and
joined by their log-sum-exp, so that a prefix is never copied, not for a row and not for a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from axiograph.engine.hf.attention import Heads
from axiograph.engine.hf.prefixes import Reading
from axiograph.engine.kernels.hidden import HIDDEN

if TYPE_CHECKING:
    import torch

    from axiograph.engine.hf.prefixes import LayerCache, PrefixCache
    from axiograph.engine.kernels.attention import Reads


@dataclass(frozen=True)
class Stretch:
    """Consecutive tokens of one row in a pass: `tokens` of them, behind `length` tokens in prefix `slot`, and
    behind `row_length` further ones of the row in slot `row_slot` of the cache of rows."""

    tokens: int
    slot: int
    length: int
    row_slot: int = 0
    row_length: int = 0


Attended = tuple["torch.Tensor", "torch.Tensor"]  # the result, and the log-sum-exp of the scores


def _joined(*parts: Attended | None) -> torch.Tensor:
    """Attention over all keys, from that over each part of them, weighted by their shares of the sum."""
    (out, lse), *others = [part for part in parts if part is not None]
    joined = out
    for number, (other, other_lse) in enumerate(others, start=1):
        share = (other_lse - lse).float().sigmoid().unsqueeze(-1)
        joined = joined.float().lerp(other.float(), share)
        if number < len(others):
            lse = lse.float().logaddexp(other_lse.float())
    return joined.to(out.dtype)


def _as_slot(heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
    """The keys and values of a pass as those of the only slot of a cache."""
    return heads.k.transpose(0, 1).unsqueeze(0), heads.v.transpose(0, 1).unsqueeze(0)


class PromptLayout:
    """A pass over stretches of prompts. Keys and values are written into `into` where that is given:
    token i to column `columns[i]` of slot `slots[i]`. Stretches behind further tokens of their rows read
    these in `rows`."""

    def __init__(
        self,
        stretches: Sequence[Stretch],
        prefixes: PrefixCache,
        into: LayerCache | None,
        slots: np.ndarray,
        columns: np.ndarray,
        rows: LayerCache | None = None,
    ) -> None:
        sizes = np.array([s.tokens for s in stretches])
        starts = np.cumsum(sizes) - sizes
        lengths, row_lengths = (
            np.repeat([getattr(s, name) for s in stretches], sizes) for name in ("length", "row_length")
        )
        self._offsets = np.arange(sizes.sum()) - np.repeat(starts, sizes)
        self.positions = lengths + row_lengths + self._offsets
        slots_read, row_slots = (
            np.repeat([getattr(s, name) for s in stretches], sizes) for name in ("slot", "row_slot")
        )
        # What is read beside the pass itself: cache, and for every token slot, length and position there.
        self._held: list[tuple[LayerCache, np.ndarray, np.ndarray, np.ndarray]] = [
            (prefixes, slots_read, lengths, self.positions)
        ]
        if rows is not None:
            self._held.append((rows, row_slots, row_lengths, self.positions - lengths))
        self._readings = self._readings_of(slice(None))
        self._into, self._slots, self._columns = into, slots, columns
        self._sizes, self._starts = sizes, starts
        self._reads: dict[int | None, Reads] = {}
        self._index: dict[torch.device, tuple[torch.Tensor, ...]] = {}

    def _readings_of(self, tokens: slice | np.ndarray) -> list[Reading]:
        return [
            Reading(cache, slots[tokens], lengths[tokens], positions[tokens])
            for cache, slots, lengths, positions in self._held
        ]

    def attend(self, heads: Heads) -> torch.Tensor:
        """What every token of the pass reads, [tokens, heads, head size]."""
        self.store(heads)
        row = self._in_blocks(heads) if heads.in_blocks else self._padded(heads)
        return _joined(row, *(reading(heads) for reading in self._readings))

    def store(self, heads: Heads) -> None:
        """Write keys and values of all tokens to where the layout keeps them, if it does."""
        if self._into is not None:
            _, _, slots, columns = self._on(heads.q.device)
            self._into.write(heads.layer, slots, columns, heads.k, heads.v)

    def attend_from(self, keep: np.ndarray, heads: Heads) -> torch.Tensor:
        """What the tokens `keep` alone read, whose queries are those of `heads`; its keys and values are
        those of all tokens."""
        row = self._kept_in_blocks(keep, heads) if heads.in_blocks else self._kept_padded(keep, heads)
        return _joined(row, *(reading(heads) for reading in self._readings_of(keep)))

    def _kept_in_blocks(self, keep: np.ndarray, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
        """What the tokens `keep` read of their own stretches."""
        from axiograph.engine.kernels.attention import Reads, read

        offsets, tokens = self._offsets[keep], np.arange(len(keep))
        reads = Reads(
            slot=np.zeros_like(tokens),
            first=keep - offsets,
            n=offsets + 1,
            start=tokens,
            end=tokens + 1,
            tokens=tokens,
            lo=self._first_seen(heads)[keep],
            hi=offsets + 1,
        )
        return read(heads.q, *_as_slot(heads), reads, heads.scale)

    def _first_seen(self, heads: Heads) -> np.ndarray:
        """The first token of its stretch that each token sees."""
        return np.maximum(0, self._offsets + 1 - (heads.window or len(self._offsets)))

    def _kept_padded(self, keep: np.ndarray, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
        """The same by PyTorch."""
        import torch

        offsets = self._offsets[keep]
        columns = np.arange(offsets.max() + 1)
        device = heads.q.device
        seen = torch.from_numpy((keep - offsets)[:, None] + np.minimum(columns, offsets[:, None])).to(device)
        visible = columns <= offsets[:, None]
        if heads.window is not None:
            visible &= columns > offsets[:, None] - heads.window
        hidden = torch.from_numpy(np.where(visible, 0.0, HIDDEN).astype(np.float32))
        k, v = (tensor[seen].transpose(1, 2) for tensor in (heads.k, heads.v))
        q = heads.fold(heads.q.unsqueeze(1))
        return heads.unfold(*heads.read(q, k, v, hidden[:, None, None].to(device), False), 1)

    def _in_blocks(self, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of every stretch over itself."""
        from axiograph.engine.kernels.attention import Reads, read

        if heads.window not in self._reads:
            self._reads[heads.window] = Reads(
                slot=np.zeros_like(self._sizes),
                first=self._starts,
                n=self._sizes,
                start=self._starts,
                end=self._starts + self._sizes,
                tokens=np.arange(len(self._offsets)),
                lo=self._first_seen(heads),
                hi=self._offsets + 1,
            )
        return read(heads.q, *_as_slot(heads), self._reads[heads.window], heads.scale)

    def _padded(self, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
        """The same by PyTorch, stretches padded at their ends to one width."""
        import torch

        pad, back, _, _ = self._on(heads.q.device)
        m, width = len(self._sizes), int(self._sizes.max())
        shape = (m, width)
        q, k, v = (
            tensor.unsqueeze(0) if m == 1 else tensor[pad].unflatten(0, shape)
            for tensor in (heads.q, heads.k, heads.v)
        )
        if heads.groups > 1:
            k, v = k.repeat_interleave(heads.groups, 2), v.repeat_interleave(heads.groups, 2)
        hidden = None
        if heads.window is not None and width > heads.window:
            far = np.subtract.outer(np.arange(width), np.arange(width))
            seen = (far >= 0) & (far < heads.window)
            band = torch.from_numpy(np.where(seen, 0.0, HIDDEN).astype(np.float32))
            hidden = band.to(heads.q.device)[None, None]
        q, k, v = (tensor.transpose(1, 2) for tensor in (q, k, v))
        out, lse = heads.read(q, k, v, hidden, hidden is None)
        out, lse = out.transpose(1, 2).flatten(0, 1), lse.transpose(1, 2).flatten(0, 1)
        return (out, lse) if m == 1 else (out[back], lse[back])

    def _on(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        import torch

        if device not in self._index:
            width = int(self._sizes.max())
            columns = np.arange(width)
            pad = self._starts[:, None] + np.minimum(columns, self._sizes[:, None] - 1)
            back = np.flatnonzero(columns < self._sizes[:, None])
            arrays = (pad.ravel(), back, self._slots, self._columns)
            self._index[device] = tuple(torch.from_numpy(array).to(device) for array in arrays)
        return self._index[device]


class StepLayout:
    """One new token for each of the first n slots of `rows`, which hold `lengths` [n] tokens each so far."""

    def __init__(self, reading: Reading, rows: LayerCache, lengths: np.ndarray) -> None:
        self._reading, self._rows, self._lengths = reading, rows, lengths
        self._index: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}
        self._hidden: dict[tuple[int | None, torch.device], torch.Tensor] = {}

    def attend(self, heads: Heads) -> torch.Tensor:
        """What every row's new token reads, [rows, heads, head size]; its key and value go into the row."""
        row = self._by_step(heads) if heads.is_plain_float32 else self._by_torch(heads)
        return _joined(row, self._reading(heads))

    def _by_step(self, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
        from axiograph.engine.kernels.steps import read_own

        held = self._rows.layer(heads.layer, heads.k, heads.v)
        first = np.zeros_like(self._lengths)
        if heads.window is not None:
            first = np.maximum(first, self._lengths + 1 - heads.window)
        return read_own(heads.q, (heads.k, heads.v), held, self._lengths, first, heads.scale)

    def _by_torch(self, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
        slots, columns = self._on(heads.q.device)
        self._rows.write(heads.layer, slots, columns, heads.k, heads.v)
        n, width = len(self._lengths), int(self._lengths.max()) + 1
        k = self._rows.keys[heads.layer][:n, :, :width]
        v = self._rows.values[heads.layer][:n, :, :width]
        q = heads.fold(heads.q.unsqueeze(1))
        return heads.unfold(*heads.read(q, k, v, self._hiding(heads), False), 1)

    def _on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        if device not in self._index:
            slots = torch.arange(len(self._lengths), device=device)
            self._index[device] = slots, torch.from_numpy(self._lengths).to(device)
        return self._index[device]

    def _hiding(self, heads: Heads) -> torch.Tensor:
        """[rows, 1, 1, width]: 0 for what a row holds and sees."""
        import torch

        key = (heads.window, heads.q.device)
        if key not in self._hidden:
            columns, lengths = np.arange(int(self._lengths.max()) + 1), self._lengths[:, None]
            seen = columns <= lengths
            if heads.window is not None:
                seen &= columns > lengths - heads.window
            hidden = torch.from_numpy(np.where(seen, 0.0, HIDDEN).astype(np.float32))
            self._hidden[key] = hidden[:, None, None].to(heads.q.device, heads.q.dtype)
        return self._hidden[key]
