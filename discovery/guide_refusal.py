"""Refusals: why there is nothing to propose, and what to measure next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discovery.guide_levers import Lever
from discovery.guide_model import Prediction
from discovery.guide_objective import Objective
from discovery.guide_targets import Target
from engine.errors import InputError


def nothing_moves(objective: Objective, target: Target, levers: Sequence[Lever]) -> InputError:
    """No lever was found to move `target` the wanted way."""
    return InputError(
        target.words(),
        f"a feature or hint of the run ({tried(levers)}) that clearly {target.verb()}s {target.value} "
        "(by the test over roles)",
        "none",
        f"Measure next: {_next(objective, target.value)}.",
    )


def contradiction(objective: Objective, levers: Sequence[Lever], free: Prediction | None) -> InputError:
    """No set of levers meets all wishes; `free`: what would move the targets if nothing were held, None
    where nothing would."""
    names = ", ".join(objective.held)
    if not names:
        return InputError(
            objective.wishes.words(),
            "features or hints that move every target at least half as far as one alone can be moved",
            f"none among {tried(levers)}",
            "Measure next: features that move one target and not the others; or ask for less.",
        )
    return InputError(
        objective.wishes.words(),
        f"features that can move {', '.join(t.value for t in objective.wishes.targets)} and leave {names} "
        f"within {objective.wishes.tolerance:g} standard deviations",
        f"none among {tried(levers)}: what moves the targets also moves {_moved(objective, free)}",
        f"Measure next: a feature or hint that moves {names} and not the targets, to oppose it; or hold "
        "less, or give a larger --tolerance or --budget.",
    )


def tried(levers: Sequence[Lever]) -> str:
    """Names of levers, at most six."""
    names = [lever.name for lever in levers]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "none at all") + more


def _moved(objective: Objective, free: Prediction | None) -> str:
    """The held values that go beyond the tolerance."""
    if free is None:
        return "other values"
    found = free.mean / objective.model.measured.deviation
    places = [(name, float(found[objective.place(name)])) for name in objective.held]
    beyond = [
        f"{name} by {size:+.2f} standard deviations"
        for name, size in places
        if abs(size) > objective.wishes.tolerance
    ]
    return " and ".join(beyond) or "the other targets"


def _next(objective: Objective, value: str) -> str:
    """What could be measured where no lever moves `value`."""
    parts = ["other features of the SAE (`axiograph features STUDY` lists the active ones)"]
    above = _ancestors(objective, value)
    if above:
        parts.append(f"features or hints for its likely causes ({', '.join(above)})")
    roles = len(objective.model.measured.baseline)
    parts.append(f"a hint for {value}, larger strengths, or more roles than {roles}")
    return "; ".join(parts)


def _ancestors(objective: Objective, value: str) -> list[str]:
    weights = objective.weights
    if weights is None or value not in weights.names:
        return []
    share = weights.table[-1][:2, :, weights.names.index(value)].sum(axis=0)
    order = [int(i) for i in np.argsort(-share, kind="stable") if share[i] >= 0.3]
    return [f"{weights.names[i]}, in {share[i]:.0%} of the replicates" for i in order[:3]]
