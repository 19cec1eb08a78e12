"""The paper's Table 1: how many roles a condition raised, lowered or left unchanged, and whether training and
test roles agree in that. Any difference of a score counts; there is no test here."""

from __future__ import annotations

import numpy as np
import polars as pl

from discovery.contrast import sign_counts
from discovery.pairing import Pairing
from discovery.pc import FloatArray
from engine.split import TEST, TRAIN

Triples = dict[tuple[str, str], tuple[int, int, int]]
"""By condition and value: roles raised, lowered, unchanged."""

_STATES = ("raised", "lowered", "unchanged")
_COLUMNS = {part: [f"{part}_{state}" for state in _STATES] for part in (TRAIN, TEST)}


def sign_table(profiles: pl.DataFrame, names: list[str], baseline: str) -> pl.DataFrame:
    """A row per condition and value: condition, value, train_raised, train_lowered, train_unchanged, test_…
    (roles whose score is above, below or equal to their own baseline score; null where none has both),
    similarity (cosine of the two triples, as in the published Table 1; null without both)."""
    found = {part: _counts(profiles, part, names, baseline) for part in _COLUMNS}
    asked = profiles["condition"].unique(maintain_order=True)
    return counted_table([condition for condition in asked if condition != baseline], names, found)


def counted_table(conditions: list[str], names: list[str], found: dict[str, Triples]) -> pl.DataFrame:
    """`sign_table` of counts that are known already, by part of the roles; null where a part has none."""
    rows = []
    for condition, name in [(condition, name) for condition in conditions for name in names]:
        triples = {part: found[part].get((condition, name)) for part in _COLUMNS}
        train, test = triples[TRAIN], triples[TEST]
        known = train is not None and test is not None
        cells = [n for part in _COLUMNS for n in (triples[part] or (None, None, None))]
        alike = _cosine(np.array(train, float), np.array(test, float)) if known else None
        rows.append((condition, name, *cells, alike))
    schema: dict[str, type[pl.DataType]] = {"condition": pl.String, "value": pl.String}
    schema |= {column: pl.Int64 for columns in _COLUMNS.values() for column in columns}
    return pl.DataFrame(rows, schema=schema | {"similarity": pl.Float64}, orient="row")


def sign_similarity(counts: pl.DataFrame) -> pl.DataFrame:
    """A row per condition of `sign_table`: condition, values (with a similarity), mean_similarity (the
    published "Mean Similarity"), similarity (cosine over the triples of all these values joined)."""
    rows: list[tuple[object, ...]] = []
    for (condition,), group in counts.group_by("condition", maintain_order=True):
        known = group.drop_nulls("similarity")
        if known.is_empty():
            rows.append((condition, 0, None, None))
            continue
        train, test = (
            known.select(columns).to_numpy().astype(float).ravel() for columns in _COLUMNS.values()
        )
        rows.append(
            (condition, known.height, float(known["similarity"].to_numpy().mean()), _cosine(train, test))
        )
    schema = {"condition": pl.String, "values": pl.Int64, "mean_similarity": pl.Float64}
    return pl.DataFrame(rows, schema=schema | {"similarity": pl.Float64}, orient="row")


def _counts(profiles: pl.DataFrame, part: str, names: list[str], baseline: str) -> Triples:
    """Counts by condition and value, of the conditions and values that roles of the part have."""
    own = profiles.filter(pl.col("split") == part)
    if own.is_empty() or not (own["condition"] != baseline).any():
        return {}
    pairing = Pairing(own, baseline, names)
    found = {}
    for condition in pairing.conditions:
        up, down, same = sign_counts(pairing.differences(condition))
        for k, name in enumerate(names):
            if up[k] + down[k] + same[k]:
                found[condition, name] = (int(up[k]), int(down[k]), int(same[k]))
    return found


def _cosine(one: FloatArray, other: FloatArray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))
