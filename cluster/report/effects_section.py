"""Side effects: what the others did when a value changed, by the own graph, a reference and random ones."""

from __future__ import annotations

from cluster.report.artefacts import REFERENCE, Artefacts
from cluster.report.condition_blocks import condition_blocks
from cluster.report.effect_tables import pooled, sources
from cluster.report.overall_blocks import overall_chart, overall_table
from cluster.report.role_blocks import role_blocks
from cluster.report.section import Block, Heading, Note, Section, Text
from cluster.report.target_blocks import target_blocks


def effects_section(found: Artefacts) -> Section:
    """Expected, possible and unexpected change with intervals, and the random-graph control."""
    section = Section("effects", "Side effects")
    graphs = sources(found)
    if not graphs:
        section.add(Note(_nothing(found)))
    else:
        section.add(Text(_how_to_read(found)))
        for name, against in graphs.items():
            section.add(*_notes(found, name, against))
        section.add(
            overall_chart(pooled(found, graphs, "all conditions")),
            overall_table(pooled(found, graphs, "all conditions")),
        )
        section.add(Heading("By condition"), *condition_blocks(found, graphs))
        section.add(Heading("By the value that changed"), *target_blocks(found, graphs))
    section.add(Heading("Between roles, without steering"), *role_blocks(found))
    if found.run is not None and REFERENCE not in graphs.values():
        section.add(
            Note(
                f"No reference graph given: `axiograph report {found.where} --reference FILE` "
                "(JSON, GraphML or CSV of edges) tests the same changes against it."
            )
        )
    return section


def _nothing(found: Artefacts) -> str:
    if found.run is None:
        return "No effects here: this part needs the directory of a run."
    return (
        "No condition besides the baseline was tested: steering or hints in the study file, then "
        f"`axiograph effects {found.where}`, would fill this part."
    )


def _how_to_read(found: Artefacts) -> str:
    about = found.effects_settings()
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


def _notes(found: Artefacts, name: str, against: str | None) -> list[Block]:
    about = found.effects_settings(against)
    notes: list[Block] = [
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
