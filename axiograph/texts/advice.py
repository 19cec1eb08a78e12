"""What `axiograph advise` prints: the design that would settle the directions, and what less would give."""

from __future__ import annotations

import textwrap

import polars as pl

from axiograph.discovery.interventions.design import SETTLED, WRONG, Advice, StudyDesign, TriedDesign
from axiograph.texts.plain import WIDTH, filled, number, percent, table

_SHOWN = 12


def advice_text(advice: Advice) -> str:
    """The advised design in words and as lines of a study file, beside cheaper ones."""
    best = advice.advised
    parts = [_headline(advice, best or advice.nearest, best is not None), _frontier(advice)]
    if advice.without_lever:
        parts.append(
            filled(
                f"No lever was seen to move these values: {', '.join(advice.without_lever)}. Directions "
                "between them are left to the roles."
            )
        )
    parts.append(_study((best or advice.nearest).design))
    parts.append(
        filled(
            "Simulated from the pilot: its graph stands in for the truth, its effects and their scatter for "
            "those to come. Where the pilot is small, ask the advised study, and for advice on that again."
        )
    )
    return "\n\n".join(parts)


def _headline(advice: Advice, chosen: TriedDesign, will_do: bool) -> str:
    design = chosen.design
    head = (
        f"Advised: {design.requests(advice.items):,} requests."
        if will_do
        else f"No design that was tried settles enough; the nearest has "
        f"{design.requests(advice.items):,} requests."
    )
    return filled(
        f"{head} {design.training} training roles under the baseline, {design.steered} steered ones under it "
        f"and {design.conditions} conditions of {len(design.levers)} levers, {percent(design.share)} of the "
        f"items. In {chosen.studies} simulated studies {percent(chosen.settled)} of the edges were found "
        f"with their direction, and {percent(chosen.wrong)} as many others (wanted: {percent(SETTLED)} or "
        f"more, {percent(WRONG)} or less); {chosen.distance:.2f} pairs off the directed graph on average."
    )


def _frontier(advice: Advice) -> str:
    """Designs to which nothing cheaper was as near."""
    rows = [
        [
            f"{row['requests']:,}",
            str(row["training"]),
            str(row["steered"]),
            f"{row['conditions']} of {row['levers']}",
            percent(row["share_of_items"]),
            percent(row["settled"]),
            percent(row["wrong"]),
            number(row["distance"]),
        ]
        for row in advice.table().filter(pl.col("frontier")).tail(_SHOWN).iter_rows(named=True)
    ]
    header = ["requests", "training", "steered", "conditions", "items", "settled", "wrong", "pairs off"]
    return table(header, rows)


def _study(design: StudyDesign) -> str:
    """What of it a study file says."""
    conditions = [name for lever in design.levers for name in lever.conditions]
    lines = ["Roles and conditions for the study file:"]
    lines.append(f"  training roles: {design.training}    steered roles: {design.steered}")
    lines += textwrap.wrap(
        f"conditions: {', '.join(conditions)}", WIDTH, initial_indent="  ", subsequent_indent="    "
    )
    if design.share < 1:
        lines.append(f"  items: {percent(design.share)} of those of each value, both keys alike")
    return "\n".join(lines)
