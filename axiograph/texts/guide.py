"""What `axiograph guide` prints: proposals, what each is predicted to do, and how they fared with judges."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.guide.guided import Guided
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.proposal import Bounds, Carrier, Proposal
from axiograph.discovery.guide.validation import HELD, Judged
from axiograph.engine.study.roles import shown
from axiograph.texts.plain import number, table

DETAILED = 3  # proposals whose values are all shown


def guide_text(guided: Guided) -> str:
    """Ranked proposals, then the first ones value by value, then where the files are."""
    parts = [_head(guided), _overview(guided)]
    for rank, proposal in enumerate(guided.proposals[:DETAILED], start=1):
        parts.append(_details(guided, rank, proposal))
    parts += [f"Note: {note}" for note in guided.notes]
    parts.append(_files(guided))
    return "\n\n".join(part for part in parts if part)


def _head(guided: Guided) -> str:
    other = "other items" if guided.judges.new_items else "the same items"
    level = 1 - guided.model.level
    lines = [
        f"Wanted: {guided.wishes.words()}.",
        f"Chosen by {_choosers(guided)}; predicted for {len(guided.judges.roles)} others "
        f"({guided.judges.source}) asked {other}.",
        f"Changes are in points of the mean score (−1 to 1); intervals at {level:.0%} for the mean of those "
        "roles: over roles, replicates of the graph, curves and sums"
        + (", and items." if guided.judges.new_items else "."),
    ]
    if guided.refused is not None:
        lines.append(f"No feature or hint will do: {guided.refused}")
    if guided.search.keep_still:
        lines.append(f"Held for the reference graph: {', '.join(guided.search.keep_still)}.")
    if guided.reference is not None:
        shared = guided.reference.counts
        lines.append(
            f"The run's graph and the reference share {shared['shared_edges']} of "
            f"{shared['reference_edges']} edges of the reference (SHD {guided.reference.shd})."
        )
    return "\n".join(lines)


def _choosers(guided: Guided) -> str:
    """Features and hints are chosen by the part that was steered, roles and traits by all who were asked."""
    by_roles = [p.reliability.roles for p in guided.proposals if p.kind in (LeverKind.ROLE, LeverKind.TRAIT)]
    levers = f"{len(guided.model.measured.baseline)} roles (the {guided.evidence.part} part)"
    if not by_roles:
        return levers
    whole = f"the baseline of {max(by_roles)} roles"
    if len(by_roles) == len(guided.proposals):
        return whole
    return f"{levers}, roles and traits by {whole}"


def _overview(guided: Guided) -> str:
    first = guided.wishes.targets[0].value
    rows = []
    for rank, proposal in enumerate(guided.proposals, start=1):
        predicted = proposal.table(guided.model, guided.wishes)
        target = predicted.row(by_predicate=pl.col("value") == first, named=True)
        reached = proposal.reached[first]
        rows.append(
            [
                f"{rank}. {_shown(proposal)}",
                str(proposal.kind),
                number(target["change"], "+.2f"),
                "-" if reached is None else f"{reached:.0%}",
                _largest(predicted.filter(pl.col("wish") == "hold")),
                _largest(predicted.filter(pl.col("wish").is_null())),
            ]
        )
    header = ["proposal", "kind", first, "reached", "held (SD)", "others (SD)"]
    return table(header, rows)


def _shown(proposal: Proposal) -> str:
    return shown(proposal.name) if proposal.kind is LeverKind.ROLE else proposal.name


def _largest(rows: pl.DataFrame) -> str:
    """The largest predicted change, in standard deviations."""
    changes = rows.drop_nulls("change_sd")
    if changes.is_empty():
        return "-"
    largest = changes.sort(pl.col("change_sd").abs(), descending=True).row(0, named=True)
    return f"{largest['change_sd']:+.2f} {largest['value']}"


def _details(guided: Guided, rank: int, proposal: Proposal) -> str:
    predicted = proposal.table(guided.model, guided.wishes)
    rows = [
        [
            row["value"],
            row["wish"] or "",
            _says(row),
            number(row["change"], "+.2f"),
            f"[{number(row['low'], '+.2f')}, {number(row['high'], '+.2f')}]",
            number(row["change_sd"], "+.2f"),
        ]
        for row in predicted.iter_rows(named=True)
    ]
    header = ["value", "wish", "graph (replicates)", "change", "interval", "SD"]
    lines = [f"{rank}. {_shown(proposal)}", *_about(guided, rank, proposal), "", table(header, rows)]
    return "\n".join(lines)


def _says(row: dict[str, object]) -> str:
    share = row["graph_share"]
    return str(row["graph"]) + (f" ({share:.0%})" if isinstance(share, float) else "")


def _about(guided: Guided, rank: int, proposal: Proposal) -> list[str]:
    lines = [
        f"   {lever}: {guided.model.lever(lever).about}"
        for lever in proposal.settings
        if proposal.kind in (LeverKind.SAE, LeverKind.HINT)
    ]
    if proposal.kind in (LeverKind.ROLE, LeverKind.TRAIT):
        lines.append(_by_roles(proposal))
    lines += [_bounds(bounds) for bounds in proposal.reliability.bounds if bounds.unit]
    lines += [text for carrier in proposal.reliability.carriers if (text := _carrier(carrier))]
    if rival := guided.unguided.get(rank):
        lever, strength = next(iter(rival.settings.items()))
        single = lever if rival.kind is LeverKind.HINT else f"{lever} {strength:+g}"
        lines.append(f"   unguided, for comparison: {single}, the single one with the largest effect")
    return lines


def _by_roles(proposal: Proposal) -> str:
    by = proposal.reliability
    if proposal.kind is LeverKind.ROLE:
        return f"   one of {by.roles} roles that were asked the same, judged by its baseline"
    return (
        f"   {by.sharing} of {by.roles} roles have it; predicted is what it does to the {by.judges} "
        "judges who lack it, given in place of theirs"
    )


def _bounds(bounds: Bounds) -> str:
    breaks = [f"{b:+g}" for b in (bounds.breaks_below, bounds.breaks_above) if b is not None]
    broken = (
        f"it breaks the model from {' and '.join(breaks)} on" if breaks else "no strength broke the model"
    )
    settled = "" if bounds.settled else " (not settled: too few roles)"
    return (
        f"   {bounds.lever} may go from {bounds.low:+g} to {bounds.high:+g} {bounds.unit}; {broken}{settled}"
    )


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


def _files(guided: Guided) -> str:
    folder = guided.folder
    return "\n".join(
        [
            f"Everything is in {folder}:",
            "  proposals.csv, .parquet, .json  every proposal, value by value",
            "  proposal-1.yaml …  studies that test them: `axiograph run` on one asks the new roles",
        ]
    )


def judged_text(guided: Guided, judged: Judged) -> str:
    """Predicted against measured, guided against unguided."""
    inside, total = judged.coverage()
    lines = [
        f"Measured on the judges: {inside} of {total} intervals ({_share(inside, total)}) hold the change."
    ]
    for rank, proposal in enumerate(guided.proposals[:DETAILED], start=1):
        predictions = judged.predictions.filter(pl.col("proposal") == rank)
        if predictions.is_empty():
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
            for row in predictions.iter_rows(named=True)
        ]
        header = ["value", "wish", "wanted", "predicted", "interval", "measured", ""]
        lines += ["", f"{rank}. {_shown(proposal)}", "", table(header, rows)]
        lines += [text for text in _compared(judged, rank) if text]
    lines += ["", f"Tables and the figure (calibration.png) are in {guided.folder}"]
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
