"""How much of a difference of two scores is arithmetic.

Scores of generate mode are counted answers: they are equal or they differ. In logprob mode a score is
tanh(log-odds / 2) of two logits, and a model that is asked the same in another batch adds in another order:
the last digits of the logits differ. Logits of yes and no are mostly below 16, where neighbouring numbers lie
8 ε apart (ε = 2⁻²³ in float32, 2⁻¹⁰ in float16, 2⁻⁷ in bfloat16). Two logits that are each off by half of
that change the log-odds by 8 ε, and a score, whose slope is at most ½, by 4 ε: 0.004 in float16, 0.03 in
bfloat16. In float32 sums over layers make more of it than the last digit: there it is ROUNDING, which also
stands for everything else (discovery.numerics.intervals).

Roles are counted as raised or lowered beyond this only. The tests of changes need no such limit: noise of
either sign is part of the variance that they measure.
"""

from __future__ import annotations

from collections.abc import Iterable

from axiograph.discovery.numerics.intervals import ROUNDING

_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


def score_rounding(mode: str, dtypes: Iterable[str]) -> float:
    """The difference of two scores up to which a role counts as unchanged; `mode`: generate or logprob,
    `dtypes`: of the models that answered."""
    if mode != "logprob":
        return ROUNDING
    return max([ROUNDING, *(4 * _EPSILON[dtype] for dtype in dtypes if dtype in _EPSILON)])
