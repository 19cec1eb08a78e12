"""Thoughts under way: where the tags stand among the tokens that a row has written, and what room is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from axiograph.engine.answers.parsing import UNCLOSED, UNFINISHED
from axiograph.engine.answers.thinking import Thinking

MARGIN = 8  # tokens without a character of their own, such as parts of one


@dataclass(frozen=True)
class ThoughtRules:
    """`max_thought_tokens`: of one thought with its tags; `max_tokens`: of what follows it.
    `thought_only`: a row ends with its thought, behind which options are read."""

    thinking: Thinking
    max_thought_tokens: int
    max_tokens: int
    thought_only: bool = False


class Written(list[int]):
    """The tokens of one row. `behind`: how many there are up to the end of its last thought (0: none ended);
    `inside`: whether it is in a thought."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.behind, self.inside = 0, inside


class TagWatch:
    """Follows rows through their thoughts, token by token; `text` decodes token ids."""

    def __init__(self, rules: ThoughtRules, text: Callable[[Sequence[int]], str]) -> None:
        self.rules, self._text = rules, text
        self._tags = (rules.thinking.begin, rules.thinking.end)
        self._window = max(map(len, self._tags)) + MARGIN
        self._can_end: dict[int, bool] = {}

    def begin(self) -> Written:
        """A row that has written nothing."""
        return Written(self.rules.thinking.opened)

    def see(self, row: Written) -> None:
        """Take notice of the row's last token, in which a tag may end."""
        last = row[-1]
        if last not in self._can_end:
            self._can_end[last] = self._may_end_tag(self._text([last]))
        if not self._can_end[last]:
            return
        tokens = row[-self._window :]
        now, before = self._text(tokens), self._text(tokens[:-1])
        ended = [tag for tag in self._tags if now.count(tag) > before.count(tag)]
        for tag in sorted(ended, key=now.rfind):
            row.inside = tag == self.rules.thinking.begin
            if not row.inside:
                row.behind = len(row)

    def _may_end_tag(self, piece: str) -> bool:
        if "\ufffd" in piece:
            return True
        return any(
            tag in piece or any(piece.lstrip().startswith(tag[-n:].lstrip()) for n in range(1, len(tag) + 1))
            for tag in self._tags
        )

    def is_spent(self, row: Written) -> bool:
        """Whether there is no more room for the thought, or the answer, that the row is in."""
        room = self.rules.max_thought_tokens if row.inside else self.rules.max_tokens
        return len(row) - row.behind >= room


def shows_special(tokenizer: Any, thinking: Thinking) -> bool:
    """Whether a tag holds a special token of the tokenizer, which decoding would leave out."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    special |= set(tokenizer.all_special_tokens)
    return any(token and token in tag for token in special for tag in (thinking.begin, thinking.end))


def unfinished_columns(order: Sequence[int]) -> dict[str, Any]:
    """The columns that say of a response that its thought came to no end; `order` of the options that were
    shown, empty without a scale."""
    return {"state": UNFINISHED, "reason": UNCLOSED} | ({"order": list(order)} if order else {})
