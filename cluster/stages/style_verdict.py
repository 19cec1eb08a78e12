"""What a run's response style comes to, in a sentence or two: the stage `score` stores it, text and report
show it."""

from __future__ import annotations

import polars as pl

from axiograph.engine.scoring.style import StyleVariance

ONE_WORD = 0.9  # of a role's answers: more alike, and it hardly answers the questionnaire
MUCH = 0.2  # of the variance of a value's scores
_NAMED = 5


def style_verdict(shares: pl.DataFrame, variance: StyleVariance, shifts: pl.DataFrame, profile: str) -> str:
    """How much of the roles' scores is saying yes, and whether profiles are free of it. Tables as in
    engine.scoring.style; `profile`: the study's scoring.profile."""
    sentences = [_over_roles(shares, variance, profile)]
    moved = shifts.filter(pl.col("subtracted")).height
    if moved:
        done = "taken out of the profiles" if profile == "content" else "left in (scoring.profile is mean)"
        sentences.append(
            f"Under {moved} of {shifts.height} conditions the roles say yes more or less often than under "
            "the "
            f"baseline: {done}."
        )
    drawn = shares["draw_share"][0]
    if drawn is not None and drawn >= 0.01:
        done = "" if profile == "content" else " (left in, since scoring.profile is mean)"
        sentences.append(
            f"Which items a role has answers to makes {_percent(drawn)} of the variance of the plain "
            f"means{done}."
        )
    return " ".join(sentences)


def _over_roles(shares: pl.DataFrame, variance: StyleVariance, profile: str) -> str:
    everything = shares.row(0, named=True)
    if variance.variance is None:
        return (
            "How much of the roles' scores is saying yes whatever is asked cannot be known: "
            f"{variance.reason}. "
            "Give at least two values items of both keys."
        )
    share, low, high = (everything[f"style_share{end}"] for end in ("", "_low", "_high"))
    if share is None:
        return "The roles' scores do not vary, so that none of it can be saying yes."
    over = f"{_percent(share)}{_range(low, high)} of the variance of the roles' plain scores"
    if not variance.is_there:
        p = "" if variance.p is None else f" (p = {variance.p:.2g})"
        most = (
            ""
            if high is None
            else f", and makes at most {_percent(high)} of the variance of their plain scores"
        )
        return (
            f"That roles differ in saying yes whatever is asked is not told from chance{p}{most}. "
            "Nothing is taken out of their scores."
        )
    much = shares.filter(pl.col("value").is_not_null() & (pl.col("style_share") >= MUCH))
    much = much.sort("style_share", descending=True)
    named = [f"{v} ({_percent(s)})" for v, s in much.select("value", "style_share").head(_NAMED).iter_rows()]
    more = f" and {much.height - _NAMED} more" if much.height > _NAMED else ""
    most = f", and of {', '.join(named)}{more}" if named else ""
    done = (
        "taken out of the profiles"
        if profile == "content"
        else "left in the profiles (scoring.profile is mean)"
    )
    return f"Saying yes whatever is asked makes {over}{most}: {done}."


def one_word_verdict(one_word: pl.DataFrame) -> str | None:
    """Which conditions are answered with one word; None where none is. `one_word`: as in
    cluster.stages.quality."""
    alike = one_word.filter(pl.col("same_answer") >= ONE_WORD)
    if alike.is_empty():
        return None
    rows = alike.sort("same_answer", descending=True, maintain_order=True).head(3).iter_rows(named=True)
    named = "; ".join(f"{r['condition']}: {_percent(r['same_answer'])}, most often {r['word']}" for r in rows)
    return (
        f"Under {alike.height} of {one_word.height} conditions a role gives the same word to nearly "
        "everything "
        f"({named}): the model hardly answers the questionnaire there."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95 %: {100 * low:.0f} to {_percent(high)})"
