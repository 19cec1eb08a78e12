"""Requests: what the command `guide` is asked for.

The reference graph of a guided steering: compared with the run's, and, on request, kept to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from axiograph.discovery.comparison.distances import Comparison, compare
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.reading import read_graph
from axiograph.discovery.guide.targets import TOLERANCE, Wishes
from axiograph.engine.errors import InputError


@dataclass(frozen=True)
class GuideRequest:
    """What the command line asks for. `budget`: the most features together; `most`: the largest |strength|;
    `without`: levers not to be used; `reference`: FILE or FILE#key of a graph; `keep`: hold what that graph
    does not expect to follow."""

    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    method: str = "any"
    budget: int = 3
    most: float | None = None
    tolerance: float = TOLERANCE
    top: int = 3
    judges: int = 40
    judge_file: Path | None = None
    reference: str | None = None
    keep: bool = False
    without: tuple[str, ...] = ()
    graph_file: Path | None = None
    seed: int = 0


def compared_with_reference(
    request: GuideRequest, graph: CausalGraph | None, wishes: Wishes, names: Sequence[str]
) -> tuple[Comparison | None, tuple[str, ...]]:
    """How the run's graph compares with the reference, and the values that must stay still for its sake."""
    if request.reference is None:
        if request.keep:
            raise InputError("--keep-reference", "--reference", "none", "Give the graph to keep to.")
        return None, ()
    whole = Path(request.reference)
    file, _, key = request.reference.rpartition("#")
    path, name = (whole, None) if whole.exists() or not file else (Path(file), key)
    reference = read_graph(path, name).graph
    compared = None if graph is None else compare(graph, reference)
    if not request.keep:
        return compared, ()
    return compared, _still(request.reference, reference, wishes, names)


def _still(where: str, reference: CausalGraph, wishes: Wishes, names: Sequence[str]) -> tuple[str, ...]:
    """Values of the run that the reference does not let follow any of the targets."""
    known = [target.value for target in wishes.targets if target.value in reference.names]
    if not known:
        wanted = ", ".join(target.value for target in wishes.targets)
        raise InputError(f"reference {where}", f"a graph with {wanted}", "none of them", "Check its names.")
    follows = reference.definite_descendants() | reference.possible_descendants()
    free = {
        reference.names[k] for name in known for k in np.flatnonzero(follows[reference.names.index(name)])
    }
    wished = {target.value for target in wishes.targets}
    return tuple(n for n in reference.names if n in names and n not in free | wished)
