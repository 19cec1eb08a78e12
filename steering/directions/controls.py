"""Controls: random features and random directions, as long as the direction that they stand in for.

They say how much steering does that is not the feature's own: any push of that length changes answers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from axiograph.engine.errors import InputError

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.conditions import OperationPoint
    from axiograph.steering.directions.saes import Sae


def control_feature(point: OperationPoint, sae: Sae) -> int:
    """The feature that stands in for that of `point`: drawn by seed and feature, none of those that the entry
    steers or excludes, and none with a decoder row of zeros. InputError where none is left."""
    spec = point.spec.controls
    assert spec is not None and point.control is not None and point.feature is not None
    order = _generator(spec.seed, "feature", point.feature).permutation(sae.n_features)
    apart: Collection[int] = {*point.spec.features, *spec.exclude}
    left = [int(f) for f in order if int(f) not in apart and bool(sae.w_dec[int(f)].any())]
    if len(left) < point.control.number:
        raise InputError(
            f"study, steering {point.label}, field controls.features",
            "fewer controls than the SAE has other features",
            f"{len(left)} left",
            "Lower it, or exclude fewer.",
        )
    return left[point.control.number - 1]


def control_direction(point: OperationPoint, width: int) -> torch.Tensor:
    """A direction of length 1, uniform over all, [width], float64: always the same for one seed, feature and
    number."""
    import torch

    spec = point.spec.controls
    assert spec is not None and point.control is not None
    # For a direction file there is no feature: its controls are those of the seed alone.
    feature = -1 if point.feature is None else point.feature
    drawn = _generator(spec.seed, "direction", feature, point.control.number).standard_normal(width)
    return torch.from_numpy(drawn / np.sqrt((drawn**2).sum()))


def with_norm_of(vector: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """`vector` with the L2 norm of `other`, in float32."""
    return (vector.double() * (other.double().norm() / vector.double().norm())).float()


def _generator(seed: int, kind: str, *numbers: int) -> np.random.Generator:
    kinds = ("feature", "direction")
    words = (seed, kinds.index(kind), *(number + 1 for number in numbers))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
