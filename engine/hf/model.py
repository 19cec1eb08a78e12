"""Packed passes through a model: many rows in one line of tokens, with what they share computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from axiograph.engine.hf.attention import laid_out, packed
from axiograph.engine.hf.last_layer import LastLayer
from axiograph.engine.hf.layout import PromptLayout, StepLayout, Stretch
from axiograph.engine.hf.prefixes import Evidence, LayerCache, PrefixCache
from axiograph.engine.hf.sharing import Group, shared_lengths
from axiograph.engine.kernels.products import Products
from axiograph.engine.workers.machine import Budget, budget

if TYPE_CHECKING:
    import torch

# Fewer shared tokens than that are computed again rather than waited for.
WORTH_WAITING = 16
# Prefixes that stay although no row uses them: what the next ones begin with.
SPARE_PREFIXES = 8
_ROUNDED = 32
NO_SLOT = -1


@dataclass(frozen=True)
class Tokens:
    """The tokens of one pass: token i stands at `positions[i]` of row `rows[i]`, counted from the row's own
    beginning. `written`: they were written by the model, not put to it. `stored`: they become part of stored
    prefixes; `rows` then names any one of the rows that begin with them."""

    rows: np.ndarray
    positions: np.ndarray
    ids: np.ndarray
    written: bool = False
    stored: bool = False


class PackedHooks(Protocol):
    """What a worker that changes the residual stream says about its rows, and is told about each pass."""

    def marks(self, row: int) -> np.ndarray:
        """One number per prompt token of `row`, int64 below 2**32: equal where the same is done, 0 for
        nothing."""

    def around(self, tokens: Tokens) -> AbstractContextManager[None]:
        """Entered around the pass over `tokens`."""

    def evidence(self, n: int) -> Evidence:
        """What was proven about the `n` tokens of the last pass."""

    def admit(self, rows: Sequence[int], ids: np.ndarray, evidence: Evidence) -> None:
        """`rows` start, behind a stored prefix of these tokens of which this was proven."""


class NoPackedHooks:
    """The plain sampler: nothing touches the stream."""

    def __init__(self, prompts: Sequence[Sequence[int]]) -> None:
        self._prompts = prompts

    def marks(self, row: int) -> np.ndarray:
        return np.zeros(len(self._prompts[row]), dtype=np.int64)

    def around(self, tokens: Tokens) -> AbstractContextManager[None]:
        return nullcontext()

    def evidence(self, n: int) -> Evidence:
        return Evidence.none(n)

    def admit(self, rows: Sequence[int], ids: np.ndarray, evidence: Evidence) -> None:
        return None


@dataclass(frozen=True)
class Needs:
    """Largest sizes among the prompts of a call, in tokens: stored prefixes, what rows hold beside them."""

    prefixes: int
    prefix: int
    row: int


class PackedModel:
    """A model with its caches: stored prefixes (kept from call to call) and the rows under way."""

    def __init__(self, model: Any, pass_tokens: int | None = None) -> None:
        """`pass_tokens`: about how many prompt tokens go through the model at once."""
        self.model = model
        self.devices = sorted({p.device for p in model.parameters()}, key=str)
        on_gpu = any(device.type == "cuda" for device in self.devices)
        self.pass_tokens = pass_tokens or (8192 if on_gpu else 2048)
        self._token_bytes = _token_bytes(model)
        self._products = Products(model)
        self.last_layer = LastLayer(model)
        self.prefixes = PrefixCache(1, 1)
        self.rows = LayerCache(1, 1)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within, the model's passes are packed ones (`run`); afterwards it is as before."""
        with packed(self.model), self._products.used():
            yield

    def rows_at_once(self, needs: Needs, requests: int, limit: int | None) -> int:
        """How many rows may be under way together: within `limit`, or as memory allows."""
        allowed: Budget = budget(self.devices)
        # A row may need a prefix to itself; what is already held counts as free.
        held = self.prefixes.slots * self.prefixes.width + self.rows.slots * self.rows.width
        alone = self._token_bytes * (needs.row + needs.prefix)
        spare = self._token_bytes * SPARE_PREFIXES * needs.prefix
        fits = (allowed.bytes + held * self._token_bytes - spare) // max(1, alone)
        return int(max(1, min(requests, limit or allowed.rows, fits)))

    def make_room(self, rows: int, needs: Needs, prefixes: int) -> None:
        """Caches for that many rows, and prefixes at once; stored ones are kept where memory allows it."""
        slots = min(prefixes, needs.prefixes) + SPARE_PREFIXES
        width, row_width = (-(-n // _ROUNDED) * _ROUNDED for n in (max(1, needs.prefix), needs.row))
        if rows > self.rows.slots or row_width > self.rows.width or row_width * 4 < self.rows.width:
            self.rows = LayerCache(rows, row_width)
        old = self.prefixes
        larger = max(slots, old.slots), max(width, old.width)
        if larger == (old.slots, old.width):
            return
        # Both the old and the new cache are there while the one is copied into the other.
        both = self._token_bytes * (larger[0] * larger[1] + old.slots * old.width)
        if both <= budget(self.devices).bytes:
            self.prefixes = old.larger(*larger)
        else:
            self.prefixes = PrefixCache(slots, width)

    def forget(self) -> None:
        """Drop all caches."""
        self.prefixes, self.rows = PrefixCache(1, 1), LayerCache(1, 1)
        for device in self.devices:
            if device.type == "cuda":
                import torch

                torch.cuda.empty_cache()

    def run(
        self,
        layout: PromptLayout | StepLayout,
        ids: np.ndarray,
        positions: np.ndarray,
        keep: np.ndarray | None,
    ) -> torch.Tensor:
        """Logits [len(keep), vocabulary] in float32 behind the tokens `keep` of a pass over `ids`; None keeps
        all of them."""
        import torch

        device = self.model.device
        with laid_out(layout), self.last_layer.only(layout, keep):
            output = self.model(
                input_ids=torch.from_numpy(ids).to(device)[None],
                position_ids=torch.from_numpy(positions).to(device)[None],
                use_cache=False,
                # 0 means all of them.
                logits_to_keep=0 if keep is None else torch.from_numpy(keep).to(device),
            )
        logits: torch.Tensor = output.logits[0]
        return logits.float()


def _token_bytes(model: Any) -> int:
    """Bytes of one token's keys and values over all layers."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * config.num_hidden_layers * key_heads * size * model.dtype.itemsize)


class Prefixes:
    """The stored prefixes that the groups of one call need, computed when their rows come up."""

    def __init__(
        self,
        packed: PackedModel,
        groups: Sequence[Group],
        keys: Sequence[np.ndarray],
        hooks: PackedHooks,
    ) -> None:
        self._packed, self._groups, self._keys, self._hooks = packed, groups, keys, hooks

    def _prefix(self, group: int) -> np.ndarray:
        rows, length = self._groups[group].rows, self._groups[group].length
        return self._keys[rows[0]][:length]

    def ready(self, groups: Sequence[int]) -> dict[int, int]:
        """Slots of as many of `groups` (in order) as there is room for, one use each: `release` them.

        NO_SLOT for a group without a prefix.
        """
        cache = self._packed.prefixes
        slots: dict[int, int] = {}
        missing: list[int] = []
        for group in groups:
            if self._groups[group].length == 0:
                slots[group] = NO_SLOT
                continue
            slot = cache.find(self._prefix(group))
            if slot is None:
                missing.append(group)
            else:
                slots[group] = slot
                cache.use(slot)
        # What waits for a free slot comes with the next rows; one is left for what others are copied from.
        for wave in self._waves(missing[: max(0, cache.free_slots() - 1)]):
            slots.update(self._compute(wave))
        return {group: slots[group] for group in groups if group in slots}

    def release(self, slot: int) -> None:
        """One use less of a slot that `ready` or `share` has handed out."""
        if slot != NO_SLOT:
            self._packed.prefixes.release(slot)

    def share(self, slot: int) -> None:
        """One more use of a slot that is in use."""
        if slot != NO_SLOT:
            self._packed.prefixes.use(slot)

    def _waves(self, groups: list[int]) -> list[list[int]]:
        """`groups` in the order of computing: who can begin with a good part of another comes after it."""
        prefixes = [self._prefix(group) for group in groups]
        shared = shared_lengths(prefixes)
        stored = np.array([self._packed.prefixes.longest(prefix)[1] for prefix in prefixes])
        waves: list[list[int]] = []
        left = list(range(len(groups)))
        while left:
            wave: list[int] = []
            later: list[int] = []
            for i in left:
                gain = shared[i, wave].max(initial=0)
                (later if gain >= stored[i] + WORTH_WAITING else wave).append(i)
            waves.append([groups[i] for i in wave])
            stored = np.maximum(stored, shared[:, wave].max(1))
            left = later
        return waves

    def _compute(self, groups: list[int]) -> dict[int, int]:
        """Compute the prefixes of `groups`, each behind the longest stored beginning of it."""
        cache = self._packed.prefixes
        slots: dict[int, int] = {}
        todo: list[tuple[int, int, int]] = []
        for group in groups:
            keys = self._prefix(group)
            source, length = cache.longest(keys)
            cache.use(source)  # so that it is not given away for its own copy
            slot = cache.reserve()
            cache.release(source)
            slots[group] = slot
            if length:
                cache.begin_with([slot], [source], length)
            todo += [
                (group, start, min(start + self._packed.pass_tokens, len(keys)))
                for start in range(length, len(keys), self._packed.pass_tokens)
            ]
        for part in _in_passes(todo, self._packed.pass_tokens):
            self._pass(part, slots)
        return slots

    def _pass(self, parts: list[tuple[int, int, int]], slots: dict[int, int]) -> None:
        """One pass over (group, start, end) parts of prefixes; at most one of each group."""
        cache = self._packed.prefixes
        stretches = [Stretch(end - start, slots[group], start) for group, start, end in parts]
        sizes = [stretch.tokens for stretch in stretches]
        positions = np.concatenate([np.arange(start, end) for _, start, end in parts])
        into = np.repeat([slots[group] for group, _, _ in parts], sizes)
        keys = [self._prefix(group)[start:end] for group, start, end in parts]
        ids = token_ids(np.concatenate(keys))
        rows = np.repeat([self._groups[group].rows[0] for group, _, _ in parts], sizes)
        layout = PromptLayout(stretches, cache, cache, into, positions)
        with self._hooks.around(Tokens(rows, positions, ids, stored=True)):
            self._packed.run(layout, ids, positions, np.zeros(1, dtype=np.int64))
        evidence = self._hooks.evidence(len(ids))
        end = 0
        for (group, _, _), part in zip(parts, keys, strict=True):
            start, end = end, end + len(part)
            proven = Evidence(evidence.claims[start:end], evidence.errors[start:end])
            cache.extend(slots[group], part, proven)


def token_ids(keys: np.ndarray) -> np.ndarray:
    """The ids of token keys (engine.hf.sharing.token_keys)."""
    return (keys & np.uint64(2**32 - 1)).astype(np.int64)


def _in_passes(parts: list[tuple[int, int, int]], most: int) -> list[list[tuple[int, int, int]]]:
    """Parts of about `most` tokens together, no group twice in one pass."""
    passes: list[list[tuple[int, int, int]]] = []
    tokens = 0
    for part in parts:
        size = part[2] - part[1]
        if passes and tokens + size <= most and all(other[0] != part[0] for other in passes[-1]):
            passes[-1].append(part)
            tokens += size
        else:
            passes.append([part])
            tokens = size
    return passes
