"""What the items of a questionnaire come to, in sentences: which speak against their value, and which values'
scores are hardly more than noise. Text and report show them."""

from __future__ import annotations

import polars as pl

from axiograph.engine.scoring.reliability import WEAK_ALPHA

_NAMED = 8


def against_verdict(item_rest: pl.DataFrame) -> str | None:
    """Which items speak against their value; None where none does. `item_rest`: as in
    engine.scoring.item_rest."""
    against = item_rest.filter(pl.col("against"))
    if against.is_empty():
        return None
    named = [
        f"{i} ({v}, {r:+.2f})" for i, v, r in against.select("item_id", "value", "item_rest").iter_rows()
    ]
    items = "1 item speaks" if len(named) == 1 else f"{len(named)} items speak"
    return (
        f"{items} against the rest of the value (item–rest correlation with a 95 % interval below 0): "
        f"{_listed(named)}. Keyed the wrong way, or about something else: look at them before the results."
    )


def weak_verdict(reliability: pl.DataFrame) -> str | None:
    """Which values are measured so badly that graph and effects cannot be trusted for them; None where none
    is. `reliability`: as in engine.scoring.profiles.reliability; of an earlier version, without intervals."""
    low = pl.col("low") if "low" in reliability.columns else pl.lit(None, pl.Float64)
    defined = reliability.filter(pl.col("alpha").is_not_null())
    noise = (pl.col("alpha") <= 0) | (low <= 0).fill_null(False)
    sentences = []
    for rows, what in (
        (
            defined.filter(noise),
            "Not told from noise (Cronbach's alpha not above 0, or its interval holds 0)",
        ),
        (
            defined.filter(~noise & (pl.col("alpha") < WEAK_ALPHA)),
            f"Weakly measured (Cronbach's alpha below {WEAK_ALPHA:g})",
        ),
    ):
        if rows.height:
            named = [f"{v} ({a:.2f})" for v, a in rows.select("value", "alpha").iter_rows()]
            sentences.append(f"{what}: {_listed(named)}.")
    if not sentences:
        return None
    return " ".join([*sentences, "Edges and effects of these values say little, whatever their p."])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
