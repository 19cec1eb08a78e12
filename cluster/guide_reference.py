"""The reference graph of a guided steering: compared with the run's, and, on request, kept to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cluster.guide_request import GuideRequest
from discovery.comparison import Comparison, compare
from discovery.graph import CausalGraph
from discovery.guide_targets import Wishes
from discovery.reference import read_graph
from engine.errors import InputError


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
