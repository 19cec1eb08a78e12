"""What the stage `discover` prints: the edges of the graph with their frequencies, and what was left out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.discover import Discovery
from axiograph.discovery.graph.export import MASS, edge_rows
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.matrix.profiles import MUCH_DROPPED
from axiograph.discovery.resampling.bootstrap import Inflation
from axiograph.discovery.verdict.judgement import Answering, judge
from axiograph.texts.plain import WIDTH
from axiograph.texts.verdict import verdict_text

_SHOWN = 12  # differences named

SHOWN_NAMES = 5


def discovery_text(discovery: Discovery, answering: Answering | None = None) -> str:
    """The edges of the graph, what was left out, and the verdict; `answering`: what a run knows of the
    answers behind the scores."""
    lines = [
        _counts_line(discovery),
        *_inflation_lines(discovery.bootstrap.inflation),
        *_correction_lines(discovery),
        *_experiment_lines(discovery),
    ]
    lines += [*_borderline_lines(discovery), *discovery.remarks, "", *_edge_lines(discovery)]
    cycles = discovery.graph.cycles()
    lines += [f"directed cycle (reported, not resolved): {', '.join(cycle)}" for cycle in cycles]
    profiles, replicates = discovery.profiles, discovery.bootstrap.replicates
    lines += _dropped_lines(discovery)
    for reason in sorted(set(profiles.excluded.values())):
        names = [name for name, why in profiles.excluded.items() if why == reason]
        lines.append(f"values left out ({len(names)}), {reason}: {_listed(names)}")
    lines += [f"replicates failed ({count}): {reason}" for reason, count in replicates.failed.items()]
    some = {name: k for name, k in replicates.constant.items() if name not in profiles.excluded}
    why = "constant" if discovery.correction is None else "constant or without reliability"
    lines += [f"{why} in {count} replicates: {name}" for name, count in some.items()]
    verdict = judge(discovery.evidence, discovery.simulated_as, answering)
    return "\n".join([*lines, "", verdict_text(verdict), *_prediction_lines(discovery)]) + "\n"


def _experiment_lines(discovery: Discovery) -> list[str]:
    if discovery.interventional is None:
        return []
    tried = discovery.interventional.experiments
    text = (
        f"with what {len(tried.conditions)} conditions of {len(set(tried.levers))} levers did to "
        f"{tried.n_roles} roles"
    )
    left_out = (f"condition left out: {name}, {why}" for name, why in tried.left_out.items())
    return [textwrap.fill(line, WIDTH) for line in (text, *left_out)]


def _prediction_lines(discovery: Discovery) -> list[str]:
    """What the graph is worth: how well it says what levers do that it has not seen."""
    if discovery.interventional is None:
        return []
    said = discovery.interventional.prediction.in_words()
    return ["", textwrap.fill(f"Prediction: {said}", WIDTH, subsequent_indent="  ")]


def _dropped_lines(discovery: Discovery) -> list[str]:
    """How many roles were left out, with the first names; a warning where it costs much."""
    used, listwise = discovery.profiles, discovery.spec.missing == "listwise"
    if not used.dropped_roles:
        return []
    left_out = "with a row left out" if used.indicators else "left out"
    why = "for missing scores" if listwise else "without any score"
    count = len(used.dropped_roles)
    lines = [f"roles {left_out} {why} ({count}): {_first(used.dropped_roles)}"]
    everyone = used.n_roles if used.indicators else used.n_roles + count
    if listwise and count > MUCH_DROPPED * everyone:
        lines.append(
            f"Warning: `missing: listwise` costs {count} of {everyone} roles, and the rest may be others "
            "than those left out; `missing: em` uses every score that is there."
        )
    return lines


def _first(names: Sequence[str]) -> str:
    shown = [name or "(no role)" for name in names[:SHOWN_NAMES]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _counts_line(discovery: Discovery) -> str:
    spec, used, replicates = discovery.spec, discovery.profiles, discovery.bootstrap.replicates
    rows = "" if used.n_rows == used.n_roles else f" ({used.n_rows} rows, counted as {used.n_roles})"
    marks = f" and {len(used.indicators)} indicators" if used.indicators else ""
    head = f"{used.n_roles} roles{rows}, {_values(discovery)} values{marks}, {_level(discovery)}: "
    tail = (
        f"{discovery.graph.n_edges} edges in {spec.threshold:.0%} of the replicates or more "
        f"({replicates.used} of {replicates.asked} used; {spec.resample.replace('_', ' ')}, "
        f"{replicates.rows} rows)"
    )
    return textwrap.fill(head + tail, WIDTH)


def _borderline_lines(discovery: Discovery) -> list[str]:
    """Said only where there are such tests: they are rare in data that is not nearly collinear."""
    graph, replicates = discovery.borderline, discovery.bootstrap.replicates.borderline
    if not graph and not replicates:
        return []
    return [f"tests that rounding decides: {graph} in all roles, {replicates} in the replicates"]


def _correction_lines(discovery: Discovery) -> list[str]:
    used, replicates = discovery.correction, discovery.bootstrap.replicates
    if used is None:
        return []
    if discovery.spec.missing == "em" and not used.reliability:
        return [
            "missing scores: correlations by EM from all scores that there are; tests count "
            f"{used.tested_roles} of {discovery.profiles.n_roles} roles"
        ]
    projected = f"all roles: {_yes(used.projected)}, replicates: {replicates.projected} of {replicates.used}"
    roles = f"{used.tested_roles} of {discovery.profiles.n_roles} roles"
    counted = f"tests count {roles}; made positive definite: {projected}"
    if not used.reliability:
        return [f"correlations over the roles that have both scores; {counted}"]
    defined = [rho for rho in used.reliability.values() if rho is not None]
    span = f"{min(defined):.2f} to {max(defined):.2f}"
    return [f"correlations corrected for measurement error, reliability {span}; {counted}"]


def _values(discovery: Discovery) -> int:
    return sum(name not in discovery.profiles.indicators for name in discovery.graph.names)


def _level(discovery: Discovery) -> str:
    """PC's alpha, as ever; of any other algorithm its name too."""
    return f"alpha {discovery.spec.alpha:g}" if discovery.spec.algorithm == "pc" else discovery.method


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _inflation_lines(inflation: Inflation) -> list[str]:
    line = f"edges: {inflation.full} in all roles, {_mean(inflation.replicates)} a replicate"
    if inflation.runs:
        line += (
            f"; columns permuted ({inflation.runs} runs): {_mean(inflation.null_full)} in all roles, "
            f"{_mean(inflation.null_replicates)} a replicate"
        )
    return [line]


def _edge_lines(discovery: Discovery) -> list[str]:
    """The edges of the graph, the most frequent first, and how the search on all roles differs."""
    table, strengths = discovery.bootstrap.edges.table(), discovery.strengths(discovery.graph)
    rows = edge_rows(discovery.graph, table, strengths)
    rows.sort(key=lambda row: -(row["adjacent"] or 0))
    if not rows:
        return ["no edge in the graph", *_differences(discovery, table)]
    names = [f"{row['source']} {EdgeKind(row['kind']).symbol} {row['target']}" for row in rows]
    width = max(len(name) for name in names)
    lines = [f"{'edge':<{width}}  joined  so marked  strength [95 %]"]
    for name, row in zip(names, rows, strict=True):
        lines.append(
            f"{name:<{width}}  {_mean(row['adjacent']):>6}  {_mean(_marked(row)):>9}  {_strength(row)}"
        )
    return [*lines, *_KEY, *_differences(discovery, table)]


_KEY = (
    "(joined: share of the replicates in which an edge joins the two; so marked: of",
    "these, the share with the edge as shown; strength: standardised coefficient",
    "given the other causes; in brackets, where the direction is open, the partial",
    "correlation. Intervals are pointwise and take the graph as known.)",
)


def _marked(row: dict[str, Any]) -> float | None:
    """Of the replicates that join the pair, the share with this edge."""
    return row[MASS[EdgeKind(row["kind"])]] / row["adjacent"] if row["adjacent"] else None


def _strength(row: dict[str, Any]) -> str:
    name = "partial" if row["coefficient"] is None else "coefficient"
    if row[name] is None:
        return "-"
    text = f"{row[name]:+.2f} [{row[f'{name}_low']:+.2f}, {row[f'{name}_high']:+.2f}]"
    return f"({text})" if name == "partial" else text


def _differences(discovery: Discovery, table: pl.DataFrame) -> list[str]:
    """The pairs that the search on all roles marks otherwise, with its edge and how often they are joined."""
    graph, whole = discovery.graph, discovery.all_roles
    frequency = {(a, b): share for a, b, share in table.select("a", "b", "adjacent").iter_rows()}
    other = []
    for i, j in zip(*np.triu_indices(len(graph.names), k=1), strict=True):
        a, b = graph.names[i], graph.names[j]
        if graph.edge_kind(i, j) is not whole.edge_kind(i, j):
            edge = whole.edge_kind(i, j)
            pair = f"{a} {edge.symbol} {b}" if edge is not EdgeKind.NONE else f"no {a} · {b}"
            other.append(f"{pair} ({_mean(frequency[a, b])})")
    if not other:
        return ["One search on all roles gives the same graph."]
    shown = other[:_SHOWN] + ([f"{len(other) - _SHOWN} more"] if len(other) > _SHOWN else [])
    text = f"One search on all roles (all_roles.*) differs in {len(other)} pairs: {'; '.join(shown)}."
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(name or "(no role)" for name in names)
