"""GES: the graph with the best score that a greedy search finds, by causal-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from discovery.causal_learn import CausalLearnEngine, quiet, require_more_rows
from discovery.graph import CausalGraph
from discovery.pc import Question


@dataclass(frozen=True)
class GES(CausalLearnEngine):
    """causal-learn's `ges` with the Gaussian BIC (Chickering 2002, JMLR 3): a CPDAG.

    `penalty`: λ in −n/2 log σ² − λ log n a parameter; 0.5 is BIC, more gives fewer edges. It takes the place
    of alpha, which is not used."""

    penalty: float = 0.5

    name: ClassVar[str] = "ges"
    no_knowledge: ClassVar[str] = "causal-learn's GES takes none."

    def find(self, asked: Question) -> CausalGraph:
        from causallearn.search.ScoreBased.GES import ges

        require_more_rows("ges", asked)
        # From correlations every graph's score differs from that of the covariances by the same number.
        with quiet("GES"):
            found = ges(
                cov=asked.correlation, n=asked.n, lambda_value=self.penalty, node_names=list(asked.names)
            )
        return CausalGraph.from_causal_learn(asked.names, found["G"].graph)
