"""The options of an answer scale by their probabilities: spellings, the rule, and the columns of a response.

P(option) is the sum over its spellings of P(spelling) by the chain rule. A spelling that another option or a
longer number begins with ("1" and "10", "Agree" and "Agree strongly") counts as far as neither goes on: its
probability is multiplied by 1 − P(a token that would go on).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

from axiograph.engine.answers.parsing import logsumexp
from axiograph.engine.errors import RunError
from axiograph.engine.prompting.options import Order
from axiograph.engine.workers.log_odds import LogOdds, Logps, Readout
from axiograph.engine.workers.spelled_scales import SpelledScale

if TYPE_CHECKING:
    from axiograph.engine.workers.worker import Request, WorkerConfig


class OptionOdds(Readout):
    """The options of a scale in the order in which one request shows them."""

    def __init__(self, scale: SpelledScale, order: Order, mass_threshold: float) -> None:
        super().__init__(scale.of(order), scale.goes_on)
        self._order, self._mass_threshold = order, mass_threshold

    def columns(self, read: Logps) -> dict[str, Any]:
        logs = [logsumexp(spelled) for spelled in self.spelled(read)]
        if any(math.isnan(value) for value in logs):
            remedy = "Check the model's numbers: half precision can overflow, so try float32 or bfloat16."
            raise RunError("probabilities of an answer", "log-probabilities", "NaN", remedy)
        probabilities = [math.exp(value) for value in logs]
        mass = math.fsum(probabilities)
        known = mass > 0 and mass >= self._mass_threshold
        shares = [p / mass for p in probabilities if p > 0] if mass > 0 else []
        return {
            "state": "chosen" if known else "unparsed",
            "reason": "probabilities" if known else "low-mass",
            "text": "",
            "answer_ids": [],
            "finish": "scored",
            "mass": mass,
            "new_tokens": 0,
            "fallback": False,
            "chosen": probabilities.index(max(probabilities)) if known else None,
            "probabilities": probabilities,
            "entropy": -math.fsum(p * math.log(p) for p in shares) if shares else None,
            "order": list(self._order),
        }


class Readouts:
    """What is read behind the prompt of a request: yes and no, or the options of its scale."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._scales: dict[tuple[str, Order], Readout] = {}

    @cached_property
    def _yes_no(self) -> Readout:
        return LogOdds(self._config)

    def __call__(self, row: Request) -> Readout:
        if not row.scale:
            return self._yes_no
        key = row.scale, tuple(row.order)
        if key not in self._scales:
            threshold = self._config.mass_threshold
            self._scales[key] = OptionOdds(self._config.scales[row.scale], key[1], threshold)
        return self._scales[key]


def most_read_at_once(config: WorkerConfig) -> int:
    """Of how many tokens log-probabilities may be asked behind one prompt; at least 20."""
    readouts = [Readout(tuple(scale.spellings.values()), scale.goes_on) for scale in config.scales.values()]
    counts = [len(readout.first_tokens) for readout in readouts]
    counts += [len(tokens) for scale in config.scales.values() for tokens in scale.goes_on.values()]
    return max([20, *counts])
