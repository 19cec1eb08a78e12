"""Requests: what steering is wanted, by which levers, for which judges and by which graphs.

The reference graph of a request is compared with the run's, and, on request, kept to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from axiograph.discovery.comparison.graphs import Comparison, compare
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.reading import read_graph
from axiograph.discovery.guide.targets import TOLERANCE, Wishes, parse_wishes
from axiograph.engine.errors import InputError


@dataclass(frozen=True)
class WishTexts:
    """Values to raise, to lower and to hold still, as texts for discovery.guide.targets.parse_wishes.
    `tolerance`: how far a held value may be expected to move, in standard deviations over roles."""

    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    tolerance: float = TOLERANCE

    def parse(self, names: Sequence[str]) -> Wishes:
        """As wishes for the values `names` of a run. Raises InputError as parse_wishes does."""
        return parse_wishes(self.raised, self.lowered, self.held, names, self.tolerance)


@dataclass(frozen=True)
class Limits:
    """What may be proposed. `method`: any, sae (features), hint, or role (roles and their traits); `budget`:
    the most features together; `most`: the largest |strength|, None for the sweep's; `without`: features or
    hints not to be used, several in one text with commas."""

    method: str = "any"
    budget: int = 3
    most: float | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judging:
    """Whom the predictions are for. `roles`: the number of judges; `file`: a file of roles, none of them the
    run's, which then are the judges, all of them; None: roles of the run's study that had no part in
    choosing."""

    roles: int = 40
    file: Path | None = None


@dataclass(frozen=True)
class Graphs:
    """`file`: another graph than the run's (graph.json). `reference`: FILE or FILE#NAME of a graph to compare
    with, in any form that discovery.graph.reading knows; `keep_reference`: hold what that graph does not
    expect to follow."""

    file: Path | None = None
    reference: str | None = None
    keep_reference: bool = False


@dataclass(frozen=True)
class GuideRequest:
    """What proposals are asked for: at most `top` of each kind. `seed`: of the draws behind the intervals."""

    wishes: WishTexts = WishTexts()
    limits: Limits = Limits()
    judging: Judging = Judging()
    graphs: Graphs = Graphs()
    top: int = 3
    seed: int = 0


def compared_with_reference(
    graphs: Graphs, graph: CausalGraph | None, wishes: Wishes, names: Sequence[str]
) -> tuple[Comparison | None, tuple[str, ...]]:
    """How the run's `graph` compares with the reference, and the values of the run (`names`) that must stay
    still for its sake. Raises InputError for a reference without any of the targets, or none to keep to."""
    if graphs.reference is None:
        if graphs.keep_reference:
            raise InputError("--keep-reference", "--reference", "none", "Give the graph to keep to.")
        return None, ()
    whole = Path(graphs.reference)
    file, _, key = graphs.reference.rpartition("#")
    path, name = (whole, None) if whole.exists() or not file else (Path(file), key)
    reference = read_graph(path, name).graph
    compared = None if graph is None else compare(graph, reference)
    if not graphs.keep_reference:
        return compared, ()
    return compared, _still(graphs.reference, reference, wishes, names)


def _still(where: str, reference: CausalGraph, wishes: Wishes, names: Sequence[str]) -> tuple[str, ...]:
    """Values of the run that the reference does not let follow any of the targets."""
    wished = {target.value for target in wishes.targets}
    targets = [target.value for target in wishes.targets if target.value in reference.names]
    if not targets:
        wanted = ", ".join(target.value for target in wishes.targets)
        raise InputError(f"reference {where}", f"a graph with {wanted}", "none of them", "Check its names.")
    follows = reference.definite_descendants() | reference.possible_descendants()
    free = {
        reference.names[k] for name in targets for k in np.flatnonzero(follows[reference.names.index(name)])
    }
    return tuple(n for n in reference.names if n in names and n not in free | wished)
