"""Steering beside hints with the same aim: the steered condition is chosen on the training roles, and both
are counted on the test roles."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from axiograph.discovery.effects.contrast import Triples
from axiograph.engine.study.conditions import Condition, Hint, hinted_value
from axiograph.engine.study.split import TEST, TRAIN

STATES = ("raised", "lowered", "unchanged")


def steering_against_hints(conditions: Sequence[Condition], counts: pl.DataFrame) -> pl.DataFrame:
    """A row per hint and value that it names: inclination, value, hint and steering (names of conditions),
    hint_raised, hint_lowered, hint_unchanged, steering_raised, … (test roles).

    The steered condition is the one that moved most training roles, net, in the direction of the hint. Values
    without counts of both have no row. `counts`: discovery.effects.contrast.sign_table."""
    hints = {c.name: c.hint for c in conditions if c.hint is not None and not c.is_steered}
    steered = [c.name for c in conditions if c.is_steered and c.hint is None]
    train, test = _triples(counts, TRAIN), _triples(counts, TEST)
    rows = []
    for name, hint in hints.items():
        for value in _named_values(hint, counts["value"].unique(maintain_order=True).to_list()):
            both = [c for c in steered if (c, value) in train and (c, value) in test]
            if (name, value) not in test or not both:
                continue
            sign = 1 if hint.inclination == "inclined" else -1
            best = max(both, key=lambda c: sign * net_share(train[c, value]))
            rows.append((hint.inclination, value, name, best, *test[name, value], *test[best, value]))
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(
        ("inclination", "value", "hint", "steering"), pl.String
    )
    schema |= {f"{method}_{state}": pl.Int64 for method in ("hint", "steering") for state in STATES}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _named_values(hint: Hint, values: Sequence[str]) -> list[str]:
    return [value for value in values if hinted_value(hint, value) == value]


def _triples(counts: pl.DataFrame, part: str) -> Triples:
    columns = [f"{part}_{state}" for state in STATES]
    return {
        (condition, value): (up, down, same)
        for condition, value, up, down, same in counts.select("condition", "value", *columns).iter_rows()
        if up is not None
    }


def net_share(triple: tuple[int, int, int]) -> float:
    """Share of roles raised less share lowered."""
    return (triple[0] - triple[1]) / sum(triple)
