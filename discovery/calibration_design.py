"""What a study asks, of how many, and how it is analysed: all that a calibration needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from discovery.bootstrap import Resample
from discovery.parts import Part
from engine.errors import InputError

Roles = Literal["train", "test", "all"]


@dataclass(frozen=True)
class Design:
    """Items: `agreement` ±1 and `owner`, the number of the value, one of each per item; `asked_train`,
    `asked_test`: whether training and test roles are asked it. `share`: of these, drawn for every role and
    value. Roles: of either part, and those that are `steered` and `tested`.

    `temperature` None is greedy; with one, every item is asked `repeats` times. `conditions`: steered or
    hinted conditions beside the baseline, each of which moves one value by `shift` in units of the value."""

    agreement: tuple[int, ...]
    owner: tuple[int, ...]
    asked_train: tuple[bool, ...]
    asked_test: tuple[bool, ...]
    train_roles: int
    test_roles: int
    share: float = 1.0
    mode: Literal["generate", "logprob"] = "generate"
    temperature: float | None = None
    top_p: float = 1.0
    repeats: int = 1
    steered: Roles = "all"
    tested: Roles = "test"
    conditions: int = 0
    shift: float = 1.0

    def __post_init__(self) -> None:
        for part, asked in (("training", self.asked_train), ("test", self.asked_test)):
            missing = set(range(self.values)) - {v for v, yes in zip(self.owner, asked, strict=True) if yes}
            if missing:
                raise InputError(
                    "calibration",
                    f"an item of every value for the {part} roles",
                    f"none for {len(missing)} of {self.values} values",
                    "Give these values more items, or leave them out.",
                )

    @classmethod
    def of(cls, values: int, items: int, train_roles: int, test_roles: int = 0, **more: Any) -> Design:
        """`values` with `items` each, keyed in turn, all asked of everybody."""
        everybody = (True,) * (values * items)
        keys = tuple(1 if i % 2 == 0 else -1 for _ in range(values) for i in range(items))
        owner = tuple(v for v in range(values) for _ in range(items))
        return cls(keys, owner, everybody, everybody, train_roles, test_roles, **more)

    @property
    def values(self) -> int:
        """How many."""
        return max(self.owner) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Of the simulated values."""
        return tuple(f"v{k}" for k in range(self.values))

    @property
    def effect_roles(self) -> dict[str, int]:
        """Part → how many of its roles are both steered and tested."""
        sizes = {"train": self.train_roles, "test": self.test_roles}
        kept = (self.steered, self.tested)
        return {part: n if all(k in ("all", part) for k in kept) else 0 for part, n in sizes.items()}

    def items_of(self, value: int) -> np.ndarray:
        """The numbers of its items."""
        return np.flatnonzero(np.array(self.owner) == value)


@dataclass(frozen=True)
class Analysis:
    """How the study is analysed, as arguments of discovery.discover and discovery.effects. `more`: further
    arguments of discover (algorithm, settings)."""

    alpha: float = 0.05
    replicates: int = 1000
    resample: Resample | str = Resample.HALF_OF_ROLES
    threshold: float = 0.5
    pairwise: bool = False
    correction: Part | None = None
    level: float = 0.05
    more: dict[str, Any] = field(default_factory=dict)
