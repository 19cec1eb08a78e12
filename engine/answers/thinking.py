"""Thinking: where the thought of a model that thinks at length begins and ends, by its tags.

Only what stands behind the last end tag is judged. A text that ends inside a thought is `unfinished`, a state
of its own; a text without a thought is judged as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# How thoughts of well-known models begin and end; the last one is what decoding leaves of gpt-oss' channels.
_KNOWN = re.compile(
    r"</?think(?:ing)?>|</?thought>|</?reasoning>|\[/?THINK\]|<\|channel\|>|<\|(?:begin|end)_of_thought\|>"
    r"|\Aanalysis(?=.*assistantfinal)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Thinking:
    """The tags between which a model thinks; `opened`: the prompt ends in the first of them, so that a text
    begins inside a thought."""

    begin: str
    end: str
    opened: bool = False

    @classmethod
    def of(cls, tags: tuple[str, str], prompt: str) -> Thinking:
        """Of a text that follows `prompt`."""
        return cls(*tags, opened=prompt.rstrip().endswith(tags[0].strip()))

    def answer_start(self, text: str) -> int | None:
        """Where in `text` that begins which is judged; None where it ends inside a thought."""
        end = text.rfind(self.end)
        behind = 0 if end < 0 else end + len(self.end)
        if self.begin in text[behind:] or (end < 0 and self.opened):
            return None
        return behind

    def thought(self, text: str) -> str:
        """`text` without the tags at its edges."""
        return text.strip().removeprefix(self.begin).removesuffix(self.end).strip()


def tag_in(text: str) -> str | None:
    """The first tag of a thought, as well-known models write them, or None."""
    found = _KNOWN.search(text)
    return None if found is None else found.group()
