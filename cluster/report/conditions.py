"""The conditions of a run by kind and in the order of the study."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.report.artefacts import Artefacts
from engine.conditions import BASELINE

STEERING, HINT = "steering", "hint"


def condition_kinds(found: Artefacts) -> dict[str, str]:
    """Condition → steering or hint, in the order of the study, without the baseline."""
    if found.run is None:
        return {}
    conditions = found.run.inputs().conditions
    return {c.name: STEERING if c.is_steered else HINT for c in conditions if c.name != BASELINE}


def in_order(found: Artefacts, names: Iterable[str]) -> list[str]:
    """These conditions in the order of the study."""
    present = set(names)
    return [name for name in condition_kinds(found) if name in present]
