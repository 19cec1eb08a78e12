"""Counts of guided steering against its targets: reached, held, covered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.guide.proposal import Proposal
from axiograph.discovery.guide.validation import HELD, Judged
from benchmarks.guide_scenarios import HOLD, SINGLE, UPSTREAM, Scenario


@dataclass(frozen=True)
class Outcome:
    """Of one scenario: `reached` measured change of the target over the wanted one; `guided`, `unguided` sums
    of |change| of the held values in standard deviations at equal target change (None without any); the
    intervals that hold what the judges showed; `many_*`: the same with a great many judges, if any."""

    scenario: Scenario
    proposal: str
    predicted: float | None
    reached: float | None
    guided: float | None
    unguided: float | None
    inside: int
    intervals: int
    many_reached: float | None
    many_guided: float | None
    many_unguided: float | None
    refused: str


def outcome(
    scenario: Scenario, proposal: Proposal | None, judged: Judged | None, many: Judged | None, refused: str
) -> Outcome:
    if proposal is None or judged is None:
        return Outcome(scenario, "", None, None, None, None, 0, 0, None, None, None, refused)
    inside, intervals = judged.coverage()
    return Outcome(
        scenario,
        proposal.name,
        next(iter(proposal.reached.values())),
        *_measured(judged),
        inside,
        intervals,
        *(_measured(many) if many is not None else (None, None, None)),
        refused,
    )


def _measured(judged: Judged, rank: int = 1) -> tuple[float | None, float | None, float | None]:
    own = judged.predictions.filter(pl.col("proposal") == rank)
    target = own.filter(pl.col("wish").is_in(["raise", "lower"])).row(0, named=True)
    groups = judged.comparison.filter(
        (pl.col("proposal") == rank) & (pl.col("group") == HELD) & pl.col("value").is_null()
    )
    held = groups.row(0, named=True) if groups.height else {}
    return target["measured"] / target["wanted"], held.get("guided"), held.get("unguided")


def report(found: list[Outcome]) -> str:
    lines = []
    for kind in (SINGLE, HOLD, UPSTREAM):
        own = [o for o in found if o.scenario.kind == kind]
        lines += _kind(kind, own) if own else []
    inside, total = sum(o.inside for o in found), sum(o.intervals for o in found)
    lines.append(
        f"intervals at 95 %: {inside} of {total} hold the judges' mean ({inside / max(total, 1):.1%})"
    )
    refused = [o for o in found if o.refused]
    lines += [f"refused: {o.scenario.name}: {o.refused}" for o in refused[:5]]
    return "\n".join(lines)


def _kind(kind: str, found: list[Outcome]) -> list[str]:
    lines = [f"{kind}: {len(found)} wishes, {sum(bool(o.refused) for o in found)} refused"]
    for label, reached, guided, unguided in (
        ("judges", "reached", "guided", "unguided"),
        ("very many judges", "many_reached", "many_guided", "many_unguided"),
    ):
        shares = np.array([getattr(o, reached) for o in found if getattr(o, reached) is not None])
        if not shares.size:
            continue
        near = int((np.abs(shares - 1) <= 0.1).sum())
        lines.append(
            f"  {label}: {np.mean(shares):.2f} of the wanted change on average, within 10 % in {near} of "
            f"{shares.size} (mean distance {np.mean(np.abs(shares - 1)):.1%})"
        )
        pairs = [(getattr(o, guided), getattr(o, unguided)) for o in found if getattr(o, guided) is not None]
        if pairs:
            ours, theirs = np.array(pairs).T
            clear = theirs > 0.2
            fifth = int((ours[clear] < theirs[clear] / 5).sum())
            lines.append(
                f"    held values: {ours.sum():.2f} against {theirs.sum():.2f} standard deviations unguided, "
                f"ratio {ours.sum() / theirs.sum():.2f}; under a fifth in {fifth} of {int(clear.sum())} "
                "wishes in which the unguided one moves them by 0.2 or more"
            )
    return lines
