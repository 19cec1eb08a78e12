"""What `axiograph guide` prints: proposals, what each is predicted to do, and how they fared with judges."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.guide.proposing import Guided
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.proposal import Bounds, Carrier, Proposal
from axiograph.discovery.guide.validation import HELD, Judged
from axiograph.engine.study.roles import shown
from axiograph.texts.plain import number, table

DETAILED = 3  # proposals whose values are all shown


def guide_text(found: Guided) -> str:
    """Ranked proposals, then the first ones value by value, then where the files are."""
    parts = [_head(found), _overview(found)]
    for rank, proposal in enumerate(found.proposals[:DETAILED], start=1):
        parts.append(_details(found, rank, proposal))
    parts += [f"Note: {note}" for note in found.notes]
    parts.append(_files(found))
    return "\n\n".join(part for part in parts if part)


def _head(found: Guided) -> str:
    other = "other items" if found.judges.new_items else "the same items"
    level = 1 - found.model.level
    lines = [
        f"Wanted: {found.wishes.words()}.",
        f"Chosen by {_choosers(found)}; predicted for {len(found.judges.roles)} others "
        f"({found.judges.source}) asked {other}.",
        f"Changes are in points of the mean score (−1 to 1); intervals at {level:.0%} for the mean of those "
        "roles: over roles, replicates of the graph, curves and sums"
        + (", and items." if found.judges.new_items else "."),
    ]
    if found.refused is not None:
        lines.append(f"No feature or hint will do: {found.refused}")
    if found.search.keep_still:
        lines.append(f"Held for the reference graph: {', '.join(found.search.keep_still)}.")
    if found.reference is not None:
        shared = found.reference.counts
        lines.append(
            f"The run's graph and the reference share {shared['shared_edges']} of "
            f"{shared['reference_edges']} edges of the reference (SHD {found.reference.shd})."
        )
    return "\n".join(lines)


def _choosers(found: Guided) -> str:
    """Features and hints are chosen by the part that was steered, roles and traits by all who were asked."""
    by_roles = [p.reliability.roles for p in found.proposals if p.kind in (LeverKind.ROLE, LeverKind.TRAIT)]
    levers = f"{len(found.model.measured.baseline)} roles (the {found.chosen.part} part)"
    if not by_roles:
        return levers
    whole = f"the baseline of {max(by_roles)} roles"
    if len(by_roles) == len(found.proposals):
        return whole
    return f"{levers}, roles and traits by {whole}"


def _overview(found: Guided) -> str:
    first = found.wishes.targets[0].value
    rows = []
    for rank, proposal in enumerate(found.proposals, start=1):
        own = proposal.table(found.model, found.wishes)
        target = own.row(by_predicate=pl.col("value") == first, named=True)
        reached = proposal.reached[first]
        rows.append(
            [
                f"{rank}. {_shown(proposal)}",
                str(proposal.kind),
                number(target["change"], "+.2f"),
                "-" if reached is None else f"{reached:.0%}",
                _largest(own.filter(pl.col("wish") == "hold")),
                _largest(own.filter(pl.col("wish").is_null())),
            ]
        )
    header = ["proposal", "kind", first, "reached", "held (SD)", "others (SD)"]
    return table(header, rows)


def _shown(proposal: Proposal) -> str:
    return shown(proposal.name) if proposal.kind is LeverKind.ROLE else proposal.name


def _largest(rows: pl.DataFrame) -> str:
    """The largest predicted change, in standard deviations."""
    known = rows.drop_nulls("change_sd")
    if known.is_empty():
        return "-"
    largest = known.sort(pl.col("change_sd").abs(), descending=True).row(0, named=True)
    return f"{largest['change_sd']:+.2f} {largest['value']}"


def _details(found: Guided, rank: int, proposal: Proposal) -> str:
    own = proposal.table(found.model, found.wishes)
    rows = [
        [
            row["value"],
            row["wish"] or "",
            _says(row),
            number(row["change"], "+.2f"),
            f"[{number(row['low'], '+.2f')}, {number(row['high'], '+.2f')}]",
            number(row["change_sd"], "+.2f"),
        ]
        for row in own.iter_rows(named=True)
    ]
    header = ["value", "wish", "graph (replicates)", "change", "interval", "SD"]
    lines = [f"{rank}. {_shown(proposal)}", *_about(found, proposal), "", table(header, rows)]
    return "\n".join(lines)


def _says(row: dict[str, object]) -> str:
    share = row["graph_share"]
    return str(row["graph"]) + (f" ({share:.0%})" if isinstance(share, float) else "")


def _about(found: Guided, proposal: Proposal) -> list[str]:
    lines = [
        f"   {lever}: {found.model.lever(lever).about}"
        for lever in proposal.settings
        if proposal.kind in (LeverKind.SAE, LeverKind.HINT)
    ]
    if proposal.kind in (LeverKind.ROLE, LeverKind.TRAIT):
        lines.append(_by_roles(proposal))
    lines += [_bounds(bounds) for bounds in proposal.reliability.bounds if bounds.unit]
    lines += [text for carrier in proposal.reliability.carriers if (text := _carrier(carrier))]
    if rival := found.unguided.get(_rank(found, proposal)):
        lever, strength = next(iter(rival.settings.items()))
        said = lever if rival.kind is LeverKind.HINT else f"{lever} {strength:+g}"
        lines.append(f"   unguided, for comparison: {said}, the single one with the largest effect")
    return lines


def _by_roles(proposal: Proposal) -> str:
    known = proposal.reliability
    if proposal.kind is LeverKind.ROLE:
        return f"   one of {known.roles} roles that were asked the same, judged by its baseline"
    return (
        f"   {known.sharing} of {known.roles} roles have it; predicted is what it does to the {known.judges} "
        "judges who lack it, given in place of theirs"
    )


def _rank(found: Guided, proposal: Proposal) -> int:
    return found.proposals.index(proposal) + 1


def _bounds(bounds: Bounds) -> str:
    breaks = [f"{b:+g}" for b in (bounds.breaks_below, bounds.breaks_above) if b is not None]
    said = f"it breaks the model from {' and '.join(breaks)} on" if breaks else "no strength broke the model"
    settled = "" if bounds.settled else " (not settled: too few roles)"
    return f"   {bounds.lever} may go from {bounds.low:+g} to {bounds.high:+g} {bounds.unit}; {said}{settled}"


def _carrier(carrier: Carrier) -> str:
    if carrier.target is None:
        return f"   {carrier.lever} steers {carrier.steered}, against what the others do"
    if carrier.steered == carrier.target:
        return f"   {carrier.lever} steers {carrier.target} itself"
    if carrier.frequency is None:
        return f"   {carrier.lever} steers {carrier.steered}"
    return (
        f"   {carrier.lever} steers {carrier.steered}, of which {carrier.target} is a descendant in "
        f"{carrier.frequency:.0%} of the replicates, possibly one in {number(carrier.possible, '.0%')}"
    )


def _files(found: Guided) -> str:
    folder = found.folder
    return "\n".join(
        [
            f"Everything is in {folder}:",
            "  proposals.csv, .parquet, .json  every proposal, value by value",
            "  proposal-1.yaml …  studies that test them: `axiograph run` on one asks the new roles",
        ]
    )


def judged_text(found: Guided, judged: Judged) -> str:
    """Predicted against measured, guided against unguided."""
    inside, total = judged.coverage()
    lines = [
        f"Measured on the judges: {inside} of {total} intervals ({_share(inside, total)}) hold the change."
    ]
    for rank, proposal in enumerate(found.proposals[:DETAILED], start=1):
        own = judged.predictions.filter(pl.col("proposal") == rank)
        if own.is_empty():
            continue
        rows = [
            [
                row["value"],
                row["wish"] or "",
                number(row["wanted"], "+.2f"),
                number(row["change"], "+.2f"),
                f"[{number(row['low'], '+.2f')}, {number(row['high'], '+.2f')}]",
                number(row["measured"], "+.2f"),
                "" if row["inside"] else "outside",
            ]
            for row in own.iter_rows(named=True)
        ]
        header = ["value", "wish", "wanted", "predicted", "interval", "measured", ""]
        lines += ["", f"{rank}. {_shown(proposal)}", "", table(header, rows)]
        lines += [text for text in _compared(judged, rank) if text]
    lines += ["", f"Tables and the figure (calibration.png) are in {found.folder}"]
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return "-" if not whole else f"{part / whole:.0%}"


def _compared(judged: Judged, rank: int) -> list[str]:
    groups = judged.comparison.filter((pl.col("proposal") == rank) & pl.col("value").is_null())
    lines = []
    for row in groups.iter_rows(named=True):
        what = "held values" if row["group"] == HELD else "all other values"
        lines.append(
            f"   {what}, guided against unguided at equal change of the target: {row['guided']:.2f} against "
            f"{row['unguided']:.2f} standard deviations in sum, ratio {number(row['ratio'])} "
            f"[{number(row['ratio_low'])}, {number(row['ratio_high'])}], p {row['p']:.4f}"
        )
    return lines
