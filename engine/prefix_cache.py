"""The prefix cache: keys and values of prompt beginnings, each computed once and read by many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_NOTHING = np.uint64(2**64 - 1)


@dataclass
class Evidence:
    """What was proven about tokens [n]: `claims` number what was done to the stream there (0: nothing),
    `errors` are the largest differences from what should have been done."""

    claims: np.ndarray
    errors: np.ndarray

    @classmethod
    def none(cls, n: int) -> Evidence:
        return cls(np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.float32))

    def first(self, n: int) -> Evidence:
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
        places: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Token i [key-value heads, head size] goes to `places[i]` of `slots[i]`."""
        held_keys, held_values = self.layer(layer, keys, values)
        held_keys[slots, :, places] = keys
        held_values[slots, :, places] = values

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

    A prefix is its token keys (engine.sharing.token_keys). Slots in use are never given away; of the others
    the one that was used longest ago is.
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
        made = PrefixCache(slots, width)
        for old, new in ((self.keys, made.keys), (self.values, made.values)):
            for layer in list(old):
                tensor = old.pop(layer)
                new[layer] = tensor.new_zeros(slots, tensor.shape[1], width, tensor.shape[3])
                new[layer][: self.slots, :, : self.width] = tensor
        for name in ("_lengths", "_users", "_used"):
            getattr(made, name)[: self.slots] = getattr(self, name)
        made._tokens[: self.slots, : self.width] = self._tokens
        for before, after in zip(self._evidence, made._evidence, strict=False):
            after.claims[: self.width], after.errors[: self.width] = before.claims, before.errors
        made._clock = self._clock
        return made

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
        self._users[slot] += 1
        self._touch(slot)

    def release(self, slot: int) -> None:
        self._users[slot] -= 1

    def _touch(self, slot: int) -> None:
        self._clock += 1
        self._used[slot] = self._clock

    def free_slots(self) -> int:
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
        return self._evidence[slot].first(length)
