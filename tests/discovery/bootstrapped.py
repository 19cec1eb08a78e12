"""The bootstrap, with all that can be set by keyword."""

from typing import Any

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.resampling.bootstrap import BootstrapResult, bootstrap
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search

TABLE, SEARCH, RUN = (
    ("groups", "indicators", "correction"),
    ("function", "alpha", "knowledge"),
    ("jobs", "progress"),
)


def bootstrapped(
    data: np.ndarray, names: tuple[str, ...] | str, full: CausalGraph | None = None, **settings: Any
) -> BootstrapResult:
    """`full`: a graph without edges where none is given."""
    table, search, run = (
        {name: settings.pop(name) for name in part if name in settings} for part in (TABLE, SEARCH, RUN)
    )
    return bootstrap(
        ScoreTable(data, names, **table),
        Search(**search),
        Resampling(**settings),
        full=CausalGraph.empty(names) if full is None else full,
        **run,
    )
