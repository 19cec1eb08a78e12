"""Response style in the report: how much of the scores it is, and one-word answering; shown in the section on
the questionnaire."""

from __future__ import annotations

from axiograph.cluster.stages.style_verdict import one_word_verdict
from axiograph.report.artefacts import Artefacts, read_json
from axiograph.report.blocks.section import Block, Heading, Note, Text
from axiograph.report.blocks.table import Column, Table


def style_verdict_of(artefacts: Artefacts) -> str | None:
    """The sentences that the stage `score` stored; None for a run that an earlier version scored."""
    path = None if artefacts.run is None else artefacts.run.scores / "style.json"
    return None if path is None or not path.is_file() else str(read_json(path)["verdict"])


def style_blocks(artefacts: Artefacts) -> list[Block]:
    """Verdict, shares by value, saying yes and one-word answering by condition; nothing of an earlier
    version."""
    verdict, shares = style_verdict_of(artefacts), artefacts.scores("style")
    words = artefacts.scores("one_word")
    if verdict is None or shares is None or words is None:
        return []
    blocks: list[Block] = [Text(verdict)]
    alike = one_word_verdict(words)
    if alike is not None:
        blocks.append(Note(alike, "warning"))
    rows = [
        [
            "all values" if r["value"] is None else r["value"],
            r["key_balance"],
            (r["style_share"], r["style_share_low"], r["style_share_high"]),
            r["draw_share"],
            r["roles"],
        ]
        for r in shares.iter_rows(named=True)
    ]
    balance = "1: all items keyed positively; 0: as many negatively"
    columns = (
        Column("value"),
        Column("key balance", "number", 2, signed=True, note=balance),
        Column("style", "estimate", 3, note="share of the variance of the roles' plain scores"),
        Column("drawn items", "number", 3, note="share that is due to which items a role has answers to"),
        Column("roles", "count"),
    )
    caption = (
        "How much of the variance of plain scores over baseline roles is response style, with a 95 % "
        "interval "
        "from the half-differences of the values with items of both keys (Feldt 1965)."
    )
    return [*blocks, Table("style", caption, columns, rows), *_shifts(artefacts), *_one_word(artefacts)]


def _shifts(artefacts: Artefacts) -> list[Block]:
    table = artefacts.scores("style_conditions")
    if table is None or table.is_empty():
        return []
    rows = [
        [r["condition"], (r["shift"], r["low"], r["high"]), r["p_adjusted"], r["p_values"], r["roles"]]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("condition"),
        Column("to the baseline", "estimate", 3, signed=True),
        Column("p (Holm)", "number", 4),
        Column("p over values", "number", 4),
        Column("roles", "count"),
    )
    caption = (
        "How much more the roles say yes whatever is asked than under the baseline (on the scale from −1 to "
        "1), "
        "by t tests over roles and over values. Where both are below 0.05 it is taken out of contents."
    )
    return [Table("style-conditions", caption, columns, rows)]


def _one_word(artefacts: Artefacts) -> list[Block]:
    table = artefacts.scores("one_word")
    if table is None or table["word"].null_count() == table.height:  # log-odds have no words
        return []
    rows = [
        [r["condition"], r["same_answer"], r["word"], r["word_share"], r["one_word_roles"], r["roles"]]
        for r in table.iter_rows(named=True)
    ]
    same = "share of a role's answers that are its most frequent word, mean over roles"
    columns = (
        Column("condition"),
        Column("same word", "number", 3, note=same),
        Column("most often"),
        Column("its share", "number", 3, note="of all answers"),
        Column("one word only", "number", 3, note="share of roles that gave no other"),
        Column("roles", "count"),
    )
    return [Table("one-word", "One-word answering by condition.", columns, rows)]


def split_blocks(artefacts: Artefacts) -> list[Block]:
    """Differences to the baseline as content and style; nothing where a run has no such table."""
    table = artefacts.effects("style")
    if table is None or table.is_empty():
        return []
    rows = [
        [
            r["condition"],
            r["value"],
            *((r[part], r[f"{part}_low"], r[f"{part}_high"]) for part in ("plain", "content", "style")),
            r["items"],
            "yes" if r["subtracted"] else "no",
            r["pairs"],
        ]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("condition"),
        Column("value"),
        *(Column(part, "estimate", 3, signed=True) for part in ("plain", "content", "style")),
        Column(
            "items", "number", 3, signed=True, note="what is owed to answers that lack under one of the two"
        ),
        Column("taken out", note="whether profiles are free of the style of this condition"),
        Column("roles", "count"),
    )
    caption = (
        "Mean difference of the plain score to the baseline, and its parts: content, and saying yes more or "
        "less "
        "often (key balance × shift), with pointwise intervals over roles (Student's t)."
    )
    return [Heading("Content and style"), Table("effects-style", caption, columns, rows, keys=2)]
