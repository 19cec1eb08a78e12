"""What a thought says by itself, so that those which go against the answer behind them can be counted."""

from __future__ import annotations

import re

from axiograph.engine.answers.classification import begins_with_verdict, closing_verdict, judge, normal

_SENTENCE = re.compile(r"(?<=[.!?…。\n])\s+")


def thought_verdict(thought: str) -> str | None:
    """yes or no where a sentence of the thought is one ("No, I never would.", "So the answer is yes."), None
    where there is none or sentences differ. A thought without these words is not interpreted."""
    verdicts = set()
    for sentence in _SENTENCE.split(thought):
        state, _ = judge(sentence)
        says = begins_with_verdict(sentence) or closing_verdict(normal(sentence)) is not None
        if state in ("yes", "no") and says:
            verdicts.add(state)
    return verdicts.pop() if len(verdicts) == 1 else None
