"""The verdict on a graph as text."""

from __future__ import annotations

import textwrap

from axiograph.discovery.verdict.judgement import Verdict
from axiograph.texts.plain import WIDTH


def verdict_text(verdict: Verdict) -> str:
    """The headline, then what it rests on, what stands against the graph, and what is needed to know more."""
    lines = textwrap.wrap(f"Verdict: {verdict.headline}", WIDTH)
    for head, sentences in (
        ("", verdict.because),
        ("Caution: ", verdict.cautions),
        ("To know more: ", verdict.needs),
    ):
        for sentence in sentences:
            lines += textwrap.wrap(head + sentence, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)
