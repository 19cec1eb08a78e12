"""What the answers of a pilot show: states, sides, mass, differences of roles, contradictory thoughts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from axiograph.discovery.numerics.intervals import wilson
from axiograph.engine.answers.parsing import STATES, UNFINISHED, Lead, parse_answer
from axiograph.engine.answers.thinking import Thinking, tag_in
from axiograph.engine.answers.thoughts import thought_verdict
from axiograph.engine.runs.store import FAILED
from axiograph.engine.scoring.role_differences import RoleDifferences, role_differences
from axiograph.engine.scoring.scores import plain_score
from axiograph.engine.study.questionnaire import Item

SHOWN = 3  # commonest texts
# Of a response, as far as it is looked at here.
COLUMNS = (
    "request_id", "role", "condition", "item_id", "repeat", "mode", "state", "reason", "text", "finish",
    "log_odds", "mass", "fallback", "chosen", "probabilities",
)  # fmt: skip


@dataclass(frozen=True)
class Share:
    """`count` of `of`, with its 95 % interval (Wilson)."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def percent(self) -> str:
        return "-" if self.value is None else f"{100 * self.value:.0f} %"

    @property
    def interval(self) -> tuple[float, float]:
        """(0, 1) of none."""
        if not self.of:
            return 0.0, 1.0
        low, high = wilson(np.array(float(self.count)), np.array(float(self.of)))
        return float(low), float(high)


@dataclass(frozen=True)
class Findings:
    """Of `answers` rows: `states`, counts by state; `usable`: yes, no, chosen and unsure; `yes`: among yes
    and no; `top_option`: the option of an answer scale that is chosen most often, and how often among the
    chosen; `cut`: generated answers that reached the limit of tokens; `unfinished`: thoughts that came to no
    end; `tag`: a tag of thoughts in texts of a model that is not said to think, and how many have one;
    `unread`: the commonest texts that were not read, with their counts; `failed`: answers that could not be
    had.

    Generate mode: `contradictions`: of thoughts that say yes or no themselves, those whose answer is the
    other. Logprob mode: `mass`, the median, `low_mass` and `fallback` rows, `spread`: the standard deviation
    of the log-odds over items and roles. `differences`: None where there is too little to compare."""

    answers: int
    mode: str
    states: dict[str, int]
    usable: Share
    yes: Share
    top_option: tuple[str, Share]
    cut: Share
    unfinished: Share
    tag: tuple[str, Share]
    unread: tuple[tuple[str, int], ...]
    failed: int
    contradictions: Share
    mass: float | None
    low_mass: Share
    fallback: Share
    spread: float | None
    differences: RoleDifferences | None


def find(
    frame: pl.DataFrame, items: Sequence[Item], lead: Lead, thinking: Thinking | None = None
) -> Findings:
    """`frame`: responses (COLUMNS at least) of one condition, each role and item at most once; `lead`: what
    their prompts lead to; `thinking`: of a model that is said to think."""
    frame = frame.with_columns(pl.col("role", "item_id", "mode", "state", "finish", "reason").cast(pl.String))
    answered = frame.filter(pl.col("finish") != FAILED)
    mode = frame["mode"][0] if frame.height else "generate"
    counts = dict(answered["state"].value_counts().iter_rows())
    states = {state: int(counts.get(state, 0)) for state in STATES}
    n, decided = answered.height, states["yes"] + states["no"]
    unread = answered.filter(pl.col("state") == "unparsed")
    scored = mode == "logprob"
    odds = answered["log_odds"].drop_nulls().to_numpy()
    return Findings(
        answers=n,
        mode=mode,
        states=states,
        usable=Share(decided + states["chosen"] + states["unsure"], n),
        yes=Share(states["yes"], decided),
        top_option=_top_option(answered, items),
        cut=Share(_cut(answered), 0 if scored else n),
        unfinished=Share(states[UNFINISHED], 0 if thinking is None else n),
        tag=("", Share(0, 0)) if thinking else _tags(answered),
        unread=tuple(Counter(map(_one_line, unread["text"].fill_null(""))).most_common(SHOWN)),
        failed=frame.height - n,
        contradictions=Share(0, 0) if scored else _contradictions(answered, lead, thinking),
        mass=float(np.median(answered["mass"].drop_nulls().to_numpy())) if scored and n else None,
        low_mass=Share(int((answered["reason"] == "low-mass").sum()), n if scored else 0),
        fallback=Share(int(answered["fallback"].sum()), n if scored else 0),
        spread=float(odds.std(ddof=1)) if scored and len(odds) > 1 else None,
        differences=_differences(answered, items),
    )


def response_frame(tables: Iterable[pa.Table]) -> pl.DataFrame:
    """Tables of responses as one frame."""
    return pl.DataFrame(pl.from_arrow(pa.concat_tables(tables).unify_dictionaries()))


def _top_option(answered: pl.DataFrame, items: Sequence[Item]) -> tuple[str, Share]:
    labels = {item.item_id: item.scale.labels for item in items if item.scale is not None}
    chosen = answered.filter(pl.col("state") == "chosen")
    given = Counter(labels[item][k] for item, k in chosen.select("item_id", "chosen").iter_rows())
    label, count = given.most_common(1)[0] if given else ("", 0)
    return label, Share(count, chosen.height)


def _cut(answered: pl.DataFrame) -> int:
    """Answers that reached the limit; thoughts that did are another thing."""
    return answered.filter((pl.col("finish") == "limit") & (pl.col("state") != UNFINISHED)).height


def _tags(answered: pl.DataFrame) -> tuple[str, Share]:
    tags = Counter(tag for text in answered["text"].fill_null("") if (tag := tag_in(text)) is not None)
    return (tags.most_common(1)[0][0] if tags else ""), Share(tags.total(), answered.height)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _contradictions(answered: pl.DataFrame, lead: Lead, thinking: Thinking | None) -> Share:
    said = against = 0
    for state, text in answered.select("state", "text").iter_rows():
        if state not in ("yes", "no"):
            continue
        verdict = thought_verdict(parse_answer(text or "", lead=lead, thinking=thinking).thought)
        said += verdict is not None
        against += verdict is not None and verdict != state
    return Share(against, said)


def _differences(answered: pl.DataFrame, items: Sequence[Item]) -> RoleDifferences | None:
    by_id = {item.item_id: item for item in items}
    names = sorted(set(answered["item_id"]))
    roles = sorted(set(answered["role"]))
    values = {value: number for number, value in enumerate(sorted({by_id[name].value for name in names}))}
    table = np.full((len(roles), len(names)), np.nan)
    row = {role: number for number, role in enumerate(roles)}
    column = {name: number for number, name in enumerate(names)}
    scores = {item.item_id: list(item.scale.scores) for item in items if item.scale is not None}
    worth = pl.col("item_id").replace_strict(scores, default=None, return_dtype=pl.List(pl.Float64))
    plain_answer = plain_score(scales=True) if scores else plain_score()
    plain = answered.with_columns(option_scores=worth if scores else pl.lit(None))
    for role, name, answer in plain.select("role", "item_id", plain_answer.alias("answer")).iter_rows():
        if answer is not None:
            table[row[role], column[name]] = answer
    owner = np.array([values[by_id[name].value] for name in names], int)
    agreement = np.array([by_id[name].agreement for name in names], float)
    return role_differences(table, owner, agreement)
