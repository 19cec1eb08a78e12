"""FCI: the graph where values may have hidden common causes, by causal-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from discovery.causal_learn import CausalLearnEngine, quiet, rows_of
from discovery.graph import CausalGraph, GraphKind
from discovery.pc import Question


class _Column(str):
    """A name for a column that sorts, and is kept in sets, by the column's number in every process."""

    number: int

    def __new__(cls, number: int) -> _Column:
        column = super().__new__(cls, f"{number:06d}")
        column.number = number
        return column

    def __hash__(self) -> int:
        return self.number


@dataclass(frozen=True)
class FCI(CausalLearnEngine):
    """causal-learn's `fci` with Fisher-z tests (Spirtes et al. 2000; rules of Zhang 2008, AIJ 172): a PAG.

    `max_conditioning`: the largest conditioning set of the adjacency search; causal-learn's second search,
    among the values that may separate a pair by way of hidden causes, has no limit, and its time doubles
    with each such value.

    causal-learn's result can depend on the order of a set of names, which is another in every process, so it
    is not the same twice: its names here are `_Column`s, and the result is one of causal-learn's, always the
    same one, whatever the values are called."""

    max_conditioning: int | None = None

    name: ClassVar[str] = "fci"
    kind: ClassVar[GraphKind] = GraphKind.PAG
    no_knowledge: ClassVar[str] = (
        "causal-learn's FCI turns 'a is no cause of b' into 'b is a cause of a', which is wrong where hidden "
        "common causes are allowed."
    )

    def find(self, asked: Question) -> CausalGraph:
        from causallearn.search.ConstraintBased.FCI import fci

        columns = [_Column(k) for k in range(len(asked.names))]
        depth = -1 if self.max_conditioning is None else self.max_conditioning
        with quiet("FCI"):
            found, _ = fci(
                rows_of(asked),
                alpha=float(asked.alpha),
                depth=depth,
                show_progress=False,
                node_names=columns,
            )
        return CausalGraph.from_causal_learn(asked.names, found.graph, GraphKind.PAG)
