"""The texts of options, where a prompt or an instruction says them: "1 denotes 'disagree', 2 …"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from axiograph.engine.study.scales import Scale

_LINK = r"(?:denotes|means|is|=|:|to indicate|indicates|stands for)"
_QUOTED = r"(?:\"[^\"]+\"|'[^']+'|“[^”]+”)"
_FORMS = (
    re.compile(rf"(?<![\w.])['\"]?(\d+)['\"]?\s*{_LINK}\s*({_QUOTED})"),  # 1 denotes 'disagree'
    re.compile(r"(?<![\w.])(\d+)\s*\(([^()]+)\)"),  # 1 (disagree)
    re.compile(
        rf"(?<![\w.])(\d+)\s*{_LINK}\s*([A-Za-z][^,;.\d]*?)(?=\s*(?:,|;|\.|\band\b\s*\d|$))"
    ),  # 1 = disagree, 2 = agree
)
_ASKING = re.compile(
    r"^you can only reply|^here are the (statements|questions)|output your score", re.IGNORECASE
)
# What is left of a sentence once its list of options is cut off.
_TAIL = re.compile(
    r"[\s,:;('\"]*(?:\b(?:by )?(?:using|on|with) (?:the|a|an) (?:following )?(?:scales?|numbers?)(?: from)?)?"
    r"[\s,:;('\"]*$"
)
_EMPTY_TAIL = re.compile(r"(as follows|following scales?|\bscale)$", re.IGNORECASE)


def anchors(text: str, codes: Sequence[int]) -> dict[int, str]:
    """The texts that a prompt gives to these codes, by the form that finds most: to all of them or at least
    to the lowest and the highest, otherwise {}.

    "1 denotes 'disagree', 2 denotes 'agree'", "1 = disagree", "1: 'disagree'" and "1 (disagree)" are
    understood. ValueError where a code has two texts: then they are not the same for all items."""
    best: dict[int, str] = {}
    for form in _FORMS:
        found: dict[int, str] = {}
        for match in form.finditer(text):
            if (code := int(match[1])) in codes:
                label = match[2].strip("\"'“” \n")
                if found.setdefault(code, label).lower() != label.lower():
                    raise ValueError(f"one text for {code}, not {found[code]!r} and {label!r}")
        if len(found) > len(best):
            best = found
    return best if {codes[0], codes[-1]} <= set(best) else {}


def scale_of(name: str, codes: Sequence[int], texts: dict[int, str]) -> Scale:
    """A scale whose options are these codes, low to high, called by their texts, or by the code where there
    is none. ValueError as Scale.of."""
    return Scale.of(name, [texts.get(code, str(code)) for code in codes], codes=codes)


def without_options(prompt: str, codes: Sequence[int]) -> str:
    """The prompt as an instruction: without its list of options, and without how an answer should be
    formed, both of which axiograph says in its own way."""
    kept = []
    for sentence in re.split(r"(?<=[.:!?])\s+(?=[A-Z])", " ".join(prompt.split())):
        if _ASKING.search(sentence):
            continue
        starts = [
            match.start() for form in _FORMS for match in form.finditer(sentence) if int(match[1]) in codes
        ]
        if starts:
            sentence = _TAIL.sub("", sentence[: min(starts)]).rstrip(".")
            if len(sentence.split()) < 3 or _EMPTY_TAIL.search(sentence):
                continue
            sentence += "."
        kept.append(sentence)
    return " ".join(kept)
