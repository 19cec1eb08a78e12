"""Side effects: what the others did when a value changed, by the run's graph, a reference and random ones."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.cluster.stages.reference import REFERENCE
from axiograph.discovery.effects.relations import judges_note
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import RELATION_COLOURS, Chart
from axiograph.report.blocks.section import Block, Heading, Note, Section, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import RELATIONS, pooled, sources
from axiograph.report.sections.effects.between_roles import role_blocks
from axiograph.report.sections.effects.by_condition import condition_blocks
from axiograph.report.sections.effects.by_value import target_blocks
from axiograph.report.style import split_blocks


def effects_section(artefacts: Artefacts) -> Section:
    """Expected, possible and unexpected change with intervals, and the random-graph control."""
    section = Section("effects", "Side effects")
    graphs = sources(artefacts)
    if not graphs:
        section.add(Note(_nothing(artefacts)))
    else:
        section.add(Text(_how_to_read(artefacts)))
        for name, against in graphs.items():
            section.add(*_notes(artefacts, name, against))
        section.add(
            overall_chart(pooled(artefacts, graphs, "all conditions")),
            overall_table(pooled(artefacts, graphs, "all conditions")),
        )
        section.add(Heading("By condition"), *condition_blocks(artefacts, graphs))
        section.add(Heading("By the value that changed"), *target_blocks(artefacts, graphs))
    section.add(*split_blocks(artefacts))
    section.add(Heading("Between roles, without steering"), *role_blocks(artefacts))
    if artefacts.run is not None and REFERENCE not in graphs.values():
        section.add(
            Note(
                f"No reference graph given: `axiograph report {artefacts.where} --reference FILE` "
                "(JSON, GraphML or CSV of edges) tests the same changes against it."
            )
        )
    return section


def _nothing(artefacts: Artefacts) -> str:
    if artefacts.run is None:
        return "No effects here: this part needs the directory of a run."
    if artefacts.effects("changes") is not None:
        return (
            "Changes were tested without a graph: which of them one would expect is not said. With more "
            f"roles, `axiograph discover {artefacts.where}` and `axiograph effects {artefacts.where}` say it."
        )
    return (
        "No condition besides the baseline was tested: steering or hints in the study file, then "
        f"`axiograph effects {artefacts.where}`, would fill this part."
    )


def _how_to_read(artefacts: Artefacts) -> str:
    about = artefacts.effects_settings()
    return (
        "When a value changed, its descendants in the graph are expected to change too, possible "
        "descendants may, and the "
        "others should stay. By the graph: a value has a relation or not. By frequency: it counts "
        "with the share of replicates in "
        f"which it has the relation. Intervals ({100 * (1 - about.get('level', 0.05)):g} %, pointwise) are "
        "over roles, the changed values held fixed; "
        "by frequency over roles and graphs together. Size: mean absolute difference, less what "
        "noise alone adds."
    )


def _notes(artefacts: Artefacts, name: str, against: str | None) -> list[Block]:
    about = artefacts.effects_settings(against)
    notes: list[Block] = [Text(line) for line in judges_note(about.get("judges", {}), name)]
    notes += [
        Note(
            f"Directed cycle in the {name}: {', '.join(cycle)}; its members are mutually possible.", "warning"
        )
        for cycle in about.get("cycles", [])
    ]
    if about.get("not_in_graph"):
        notes.append(
            Note(f"Not in the {name}, so without a relation: {', '.join(about['not_in_graph'])}.", "warning")
        )
    if not about.get("graph_replicates"):
        notes.append(Text(f"The {name} has no replicates: no weights by frequency."))
    return notes


def overall_chart(data: pl.DataFrame) -> Chart:
    """Bars of expected, possible and unexpected change over all conditions: a figure for papers."""
    import altair as alt

    panels = [
        _bars(
            alt,
            data.rename({"shown_low": "share_shown_low", "shown_high": "share_shown_high"}),
            "share",
            "share of the others that changed too",
        ),
        _bars(alt, data, "size", "mean |difference|, noise taken off"),
    ]
    chart = alt.hconcat(*panels, spacing=30).resolve_scale(color="shared")
    caption = (
        "Over all conditions: how often and how much other values changed when one did, by "
        "their relation to it. Whiskers: intervals."
    )
    return Chart.of(
        "side-effects",
        caption,
        "Bars of expected, possible and unexpected change; the table below holds the numbers.",
        chart,
    )


def _bars(alt: Any, data: pl.DataFrame, measure: str, title: str) -> Any:
    columns = ["source", "relation", measure, f"{measure}_shown_low", f"{measure}_shown_high", "n"]
    rows = data.select(columns).drop_nulls(measure)
    base = alt.Chart(rows).encode(y=alt.Y("relation:N", sort=list(RELATIONS), title=None))
    tip = [
        "source:N",
        "relation:N",
        alt.Tooltip(f"{measure}:Q", format=".3f"),
        alt.Tooltip(f"{measure}_shown_low:Q", title="low", format=".3f"),
        alt.Tooltip(f"{measure}_shown_high:Q", title="high", format=".3f"),
        "n:Q",
    ]
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X(
            f"{measure}:Q",
            title=title,
            stack=None,
            **({"scale": alt.Scale(domain=[0, 1])} if measure == "share" else {}),
        ),
        color=alt.Color(
            "relation:N",
            scale=alt.Scale(domain=list(RELATIONS), range=list(RELATION_COLOURS.values())),
            legend=None,
        ),
        tooltip=tip,
    )
    whiskers = base.mark_rule(color="#7a7a7a", strokeWidth=2).encode(
        x=f"{measure}_shown_low:Q", x2=f"{measure}_shown_high:Q"
    )
    layered = (bars + whiskers).properties(width=330, height=alt.Step(20))
    return layered.facet(
        row=alt.Row(
            "source:N",
            title=None,
            sort=rows["source"].unique(maintain_order=True).to_list(),
            header=alt.Header(labelAngle=0, labelAnchor="start", labelOrient="top"),
        ),
        spacing=8,
    )


def overall_table(data: pl.DataFrame) -> Table:
    """What the bars show, with its counts."""
    rows = [
        [
            r["source"],
            r["relation"],
            r["n"],
            r["changed"],
            r["weight"],
            (r["share"], r["shown_low"], r["shown_high"]),
            (r["size"], r["size_shown_low"], r["size_shown_high"]),
            (r["roles_share"], r["roles_share_low"], r["roles_share_high"]),
            r["reason"],
        ]
        for r in data.iter_rows(named=True)
    ]
    columns = (
        Column("graph and weights"),
        Column("relation"),
        Column("others", "count", note="pairs of a changed value and another one that were tested"),
        Column("changed", "number", 1),
        Column("of", "number", 1),
        Column("share", "estimate", 2),
        Column("size", "estimate", 3),
        Column(
            "roles' share",
            "estimate",
            2,
            note="the paper's: of the roles in which the value moved, in how many another did too (no test)",
        ),
        Column("why none"),
    )
    return Table(
        "side-effects",
        "All conditions together: what the other values did, by their relation to the value that changed.",
        columns,
        rows,
        keys=2,
    )
