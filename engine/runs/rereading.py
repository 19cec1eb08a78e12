"""Answers that an earlier version read, read anew: texts are kept, so better reading asks nothing again.

State and reason are what the rules made of a text. A part says by which rules (`READING_VERSION`); where they
are older ones, its answers are judged again when they are read. An answer that stopped early says the same as
one that did not, so that what was generated under the older rules can be read by the newer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from axiograph.engine.answers.parsing import READING_VERSION, parse_answer
from axiograph.engine.runs.parts import Part, opened

READING = b"axiograph.reading"
VERSION = b"axiograph.responses"
OF_SCALES = ("chosen", "probabilities", "entropy", "order")  # columns that parts of version 1 lack
JUDGED = ("state", "reason")
_NEEDED = ("mode", "finish", "text")
Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


def read_by_older_rules(part: Part) -> bool:
    """Whether the answers of a part were read by the rules of an earlier version."""
    with opened(part) as file:
        version = (file.schema_arrow.metadata or {}).get(READING, b"1")
    return bool(int(version) < READING_VERSION)


def of_version_1(part: Part) -> bool:
    """Whether a part was written before there were answer scales: it lacks their columns."""
    with opened(part) as file:
        return (file.schema_arrow.metadata or {}).get(VERSION) == b"1"


def without_scales(columns: Sequence[str]) -> list[str]:
    """`columns` but for those of answer scales."""
    return [name for name in columns if name not in OF_SCALES]


def with_columns(rows: Rows, schema: pa.Schema) -> Rows:
    """`rows` with the columns of `schema`, those that they lack null."""
    for field in schema:
        if field.name not in rows.schema.names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names)


def columns_to_reread(columns: Sequence[str]) -> list[str]:
    """`columns` with those that are needed to judge the answers again."""
    return list(dict.fromkeys((*columns, *JUDGED, *_NEEDED)))


def reread(rows: Rows) -> Rows:
    """`rows` with state and reason of every generated yes or no by the rules of today. Log-odds are no text,
    what failed has none, and what a server's filter took is none of the model's; there were no answer scales
    when these rules were older."""
    judged = pc.and_(
        pc.equal(rows["mode"].cast(pa.string()), "generate"),
        pc.invert(pc.is_in(rows["finish"].cast(pa.string()), pa.array(["failed", "filtered"]))),
    ).to_pylist()
    texts = rows["text"].to_pylist()
    states, reasons = (rows[name].cast(pa.string()).to_pylist() for name in JUDGED)
    for number, text in enumerate(texts):
        if judged[number]:
            answer = parse_answer(text)
            states[number], reasons[number] = answer.state, answer.reason
    for name, values in zip(JUDGED, (states, reasons), strict=True):
        index, field = rows.schema.get_field_index(name), rows.schema.field(name)
        rows = rows.set_column(
            index, field, pa.array(values, pa.string()).dictionary_encode().cast(field.type)
        )
    return rows
