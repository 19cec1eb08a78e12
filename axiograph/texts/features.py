"""What `axiograph features` prints: features by activation, and by their measured effect."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.stages.features import Active
from axiograph.cluster.stages.pilot import Pilot
from axiograph.texts.plain import number, percent, table


def features_text(active: Active, top: int, ban: frozenset[int] = frozenset()) -> str:
    """The `top` most active features of every SAE that are not banned."""
    parts = [active.note]
    for (sae,), rows in active.table.group_by("sae", maintain_order=True):
        count = rows.filter(pl.col("max_activation") > 0).height
        shown = rows.filter(~pl.col("feature").is_in(sorted(ban)))
        body = [
            [
                str(r["feature"]),
                f"{r['max_activation']:.4g}",
                f"{r['mean_activation']:.4g}",
                percent(r["share_active"]),
                r["link"] or "",
            ]
            for r in shown.head(top).iter_rows(named=True)
        ]
        header = [
            "feature",
            "largest",
            "mean",
            "active on",
            "" if shown["link"].is_null().all() else "Neuronpedia",
        ]
        banned = rows.height - shown.height
        apart = f" ({banned} banned, not shown)" if banned else ""
        head = f"{sae}: {count} of {rows.height} features active on the span{apart}"
        parts.append(f"{head}\n{table(header, body)}")
    return "\n\n".join(parts)


def pilot_text(pilot: Pilot, top: int) -> str:
    """The `top` features that moved a value most, beside what random directions of the same length do."""
    rows = [
        [
            str(row["rank"]),
            str(row["feature"]),
            number(row["effect"], ".3f"),
            "-"
            if row["effect"] is None
            else f"{row['value']} {row['difference']:+.3f} at {row['strength']:+g}",
            str(row["changed"]),
            str(row["activation_rank"]),
            "breaks" if row["breaks"] else "",
            row["link"] or "",
        ]
        for row in pilot.table.head(top).iter_rows(named=True)
    ]
    header = ["rank", "feature", "effect", "largest on", "changed", "by activation", "", ""]
    lines = [
        table(header, rows),
        "(effect: the largest |mean difference| of a value to the baseline;",
        "changed: how many values changed by the test of `axiograph effects`)",
    ]
    return "\n".join(lines + _against_random(pilot))


def _against_random(pilot: Pilot) -> list[str]:
    """What the ranking is worth: a ranking of noise looks like any other."""
    found, control = pilot.against_random, pilot.control
    if found is None:
        return ["No random directions beside them: whether the features do more is not known."]
    lines = [
        f"{found.directions} random directions of the same length: effects from {control[-1]:.3f} to "
        f"{control[0]:.3f}, median {control[len(control) // 2]:.3f}.",
        f"{found.beyond} of {found.features} features lie beyond the largest of them, "
        f"{found.expected:.1f} would by chance (p {found.p:.3f}).",
    ]
    if found.p > 0.05:
        lines.append("These features are not told from random directions: the ranking may be noise.")
    return lines
