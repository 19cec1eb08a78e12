"""The verdict on the graph, before any number: what the answers can and cannot carry."""

from __future__ import annotations

from axiograph.cluster.stages.verdict import answering_of
from axiograph.discovery.verdict.evidence import GraphEvidence
from axiograph.discovery.verdict.judgement import Level, Verdict, judge
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.section import Block, Facts, Note, Section, Text


def verdict_section(artefacts: Artefacts) -> Section:
    """Headline, what it rests on, what stands against the graph, what is needed to know more."""
    section = Section("verdict", "Verdict")
    if artefacts.discovery is None:
        section.add(Note(f"No graph here yet: run `axiograph discover {artefacts.where}`."))
        return section
    verdict = stored_verdict(artefacts)
    if verdict is None:
        remedy = f"run `axiograph discover {artefacts.where}` again for one"
        section.add(Note(f"This graph was stored by a version that gave no verdict: {remedy}."))
        return section
    section.add(*_blocks(verdict))
    return section


def stored_verdict(artefacts: Artefacts) -> Verdict | None:
    """The verdict on the stored graph; None without one, or where an earlier version stored it."""
    settings = {} if artefacts.discovery is None else artefacts.discovery.settings
    if "evidence" not in settings:
        return None
    answering = None
    if artefacts.run is not None and artefacts.scores("reliability") is not None:
        answering = answering_of(artefacts.run)
    return judge(GraphEvidence(**settings["evidence"]), settings["algorithm"], answering)


def _blocks(verdict: Verdict) -> list[Block]:
    sure = verdict.level in (Level.GRAPH, Level.LINES)
    head = Text(verdict.headline) if sure else Note(verdict.headline, "warning")
    rows = [("What it rests on", sentence) for sentence in verdict.because]
    rows += [("Caution", sentence) for sentence in verdict.cautions]
    rows += [("To know more", sentence) for sentence in verdict.needs]
    return [head, Facts(rows)]
