"""What a reader should know first: the verdict on the graph, before any number; then what was asked, what was
found, what to be careful about."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.stages.effects import check_fresh
from axiograph.cluster.stages.reference import REFERENCE
from axiograph.cluster.stages.verdict import answering_of
from axiograph.discovery.effects.relations import Source
from axiograph.discovery.result import simulated_as
from axiograph.discovery.verdict.evidence import GraphEvidence
from axiograph.discovery.verdict.judgement import Level, Verdict, judge
from axiograph.engine.answers.parsing import UNFINISHED
from axiograph.engine.errors import AxiographError
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.numbers import count, estimate
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
    return judge(
        GraphEvidence(**settings["evidence"]),
        simulated_as(settings["algorithm"], settings.get("rows", "baseline")),
        answering,
    )


def _blocks(verdict: Verdict) -> list[Block]:
    sure = verdict.level in (Level.GRAPH, Level.LINES)
    head = Text(verdict.headline) if sure else Note(verdict.headline, "warning")
    rows = [("What it rests on", sentence) for sentence in verdict.because]
    rows += [("Caution", sentence) for sentence in verdict.cautions]
    rows += [("To know more", sentence) for sentence in verdict.needs]
    return [head, Facts(rows)]


def overview_section(artefacts: Artefacts) -> Section:
    """Counts and headline numbers, each explained in its own section."""
    section = Section("overview", "Overview")
    rows = [
        *_asked(artefacts),
        *_graph(artefacts),
        *_effects(artefacts),
        *_replication(artefacts),
        *_compared(artefacts),
    ]
    section.add(Facts(rows))
    section.add(*(Note(text, "warning") for text in stale(artefacts)))
    return section


def stale(artefacts: Artefacts) -> list[str]:
    """What does not belong together any more: stages that were run again alone."""
    profiles = artefacts.scores("profiles")
    if artefacts.run is None or artefacts.discovery is None or profiles is None:
        return []
    notes = []
    graph_file = artefacts.discovery.file()
    try:
        check_fresh(artefacts.run, graph_file, profiles)
    except AxiographError as error:
        notes.append(f"The graph is out of date. {error}")
    changes = artefacts.run.effects / "changes.parquet"
    tested = artefacts.effects_settings().get("graph")
    if changes.is_file() and changes.stat().st_mtime < graph_file.stat().st_mtime:
        notes.append(f"The graph is newer than the effects: run `axiograph effects {artefacts.where}` again.")
    elif tested is not None and changes.is_file() and not str(tested).endswith(f"graph/{graph_file.name}"):
        what = "one search on all roles" if artefacts.discovery.is_earlier else f"{tested}"
        notes.append(
            f"The effects were tested against {what}, not against the run's graph: run `axiograph effects "
            f"{artefacts.where}` again to test them against it."
        )
    return notes


def _asked(artefacts: Artefacts) -> list[tuple[str, str]]:
    if artefacts.run is None:
        return []
    inputs = artefacts.run.inputs()
    split = list(inputs.role_split.values())
    steered = sum(c.is_steered for c in inputs.conditions)
    hinted = sum(c.hint is not None for c in inputs.conditions)
    rows = [
        ("Model", artefacts.model),
        (
            "Asked",
            f"{count(len(inputs.items))} items on {count(len(inputs.values))} values, of "
            f"{count(len(split))} roles ({split.count('train')} to learn the graph, "
            f"{split.count('test')} to test effects)",
        ),
        (
            "Conditions",
            f"the baseline, {steered} steered, {hinted} hinted; scores by {inputs.study.scoring.mode}",
        ),
    ]
    rates = artefacts.scores("rates")
    if rates is not None:
        shown = ["planned", "answered", "refused", "unparsed", *({UNFINISHED} & set(rates.columns))]
        total = rates.select(pl.col(shown).sum()).row(0, named=True)
        unfinished = total.get(UNFINISHED, 0)
        rows.append(
            (
                "Answers",
                f"{count(total['answered'])} of {count(total['planned'])}; "
                f"{count(total['refused'])} refused, {count(total['unparsed'])} unparsed"
                + (f", {count(unfinished)} unfinished thoughts" if unfinished else "")
                + " (these have no score)",
            )
        )
    return rows


def _graph(artefacts: Artefacts) -> list[tuple[str, str]]:
    if artefacts.discovery is None:
        return []
    graph, about = artefacts.discovery.graph(), artefacts.discovery.settings
    text = f"{graph.n_edges} edges between {len(graph.names)} values"
    if about:
        used = about["replicates"]
        text += (
            f", from {count(about['n_roles'])} roles; {count(used['used'])} of "
            f"{count(used['asked'])} replicates used"
        )
    return [("Graph", text)]


def _effects(artefacts: Artefacts) -> list[tuple[str, str]]:
    changes, rows = artefacts.effects("changes"), []
    if changes is not None and not changes.is_empty():
        tested = changes.filter(pl.col("p").is_not_null()).height
        rows.append(
            (
                "Changed values",
                f"{changes.filter(pl.col('changed')).height} of {tested} contrasts (condition × value)",
            )
        )
    rows += _prediction(artefacts)
    for name, against in (("Side effects, own graph", None), ("Side effects, reference graph", REFERENCE)):
        pooled = artefacts.effects("pooled", against)
        if pooled is None:
            continue
        whole = pooled.filter(
            (pl.col("scope") == "all conditions") & (pl.col("weights") == str(Source.GRAPH))
        )
        cells = [
            f"{r['relation']} {estimate((r['share'], r['share_low'], r['share_high']))}"
            for r in whole.iter_rows(named=True)
        ]
        rows.append((name, "share of others that changed too: " + ", ".join(cells)))
    return rows


def _prediction(artefacts: Artefacts) -> list[tuple[str, str]]:
    """Of a graph that was made with the run's effects."""
    stored = artefacts.discovery
    prediction = None if stored is None else stored.prediction
    if prediction is None:
        return []
    return [("Prediction", prediction.in_words())]


def _replication(artefacts: Artefacts) -> list[tuple[str, str]]:
    if artefacts.replication is None:
        return []
    return [
        (f"Replicated: {a['name']}", f"{count(a['equal'])} of {count(a['total'])} published cells equal")
        for a in artefacts.replication.document["artefacts"]
    ]


def _compared(artefacts: Artefacts) -> list[tuple[str, str]]:
    return [
        (
            f"Comparison with {c.names[1]}",
            f"structural Hamming distance {c.document['shd']['value']} of {count(c.document['pairs'])} pairs",
        )
        for c in artefacts.comparisons
    ]
