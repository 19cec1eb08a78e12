"""Steering and hints as columns: what was done to the rows of a condition, as nodes of a pooled graph."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from engine.conditions import Condition, Control, OperationPoint
from engine.study import OperationSpec


def indicator_table(conditions: Sequence[Condition]) -> pl.DataFrame:
    """One row a condition: `condition`, and a Float64 column per direction and per hint.

    A direction that is added has its strength (0 where it is not), since what it does grows with it. A
    clamp to one strength, a direction projected out and a hint have 1 or 0. A direction added at two hook
    points, in two units or on two spans is two columns."""
    names = _operation_names(conditions)
    columns: dict[str, list[float]] = {name: [0.0] * len(conditions) for name in names.values()}
    for row, condition in enumerate(conditions):
        for point in condition.operations:
            columns[names[_key(point)]][row] = _amount(point)
        if condition.hint is not None:
            columns.setdefault(condition.name, [0.0] * len(conditions))[row] = 1.0
    return pl.DataFrame({"condition": [condition.name for condition in conditions], **columns})


_Key = tuple[OperationSpec, int | None, float | None, Control | None]


def _key(point: OperationPoint) -> _Key:
    """Operations that differ only in how much they add are one indicator."""
    spec = point.spec.model_copy(update={"features": (), "strengths": (), "controls": None})
    return spec, point.feature, None if point.kind == "add" else point.strength, point.control


def _amount(point: OperationPoint) -> float:
    return point.strength if point.kind == "add" and point.strength is not None else 1.0


def _operation_names(conditions: Sequence[Condition]) -> dict[_Key, str]:
    """Key → name, numbered where several operations would be called the same."""
    points = {_key(point): point for condition in conditions for point in condition.operations}
    wanted = {key: _name(point) for key, point in points.items()}
    names: dict[_Key, str] = {}
    for key, name in wanted.items():
        twins = [other for other in wanted if wanted[other] == name]
        names[key] = name if len(twins) == 1 else f"{name} ({twins.index(key) + 1})"
    return names


def _name(point: OperationPoint) -> str:
    direction, _, amount = point.label.partition(":")
    return f"steering {direction}" if point.kind == "add" else f"steering {direction}:{amount}"
