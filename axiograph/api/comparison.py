"""Two graphs, of runs or of files, held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from axiograph.api.display import Shown, frames_html, text_html
from axiograph.api.run import Run
from axiograph.cluster.stages.comparison import Compared, compare_paths
from axiograph.discovery.comparison.figure import comparison_figure
from axiograph.discovery.stored import GraphChoice
from axiograph.texts.comparison import comparison_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class ComparisonResult(Shown):
    """`compared` holds both graphs, the counts and the spread over pairs of replicates; the second graph is
    the reference."""

    compared: Compared
    shown_tables: ClassVar[tuple[str, ...]] = ()

    @property
    def edges(self) -> pl.DataFrame:
        """Every pair of values that either graph joins, with both edges and their frequencies."""
        return self.compared.edges

    @property
    def shd(self) -> int:
        """Structural Hamming distance over the values that both graphs have."""
        return self.compared.comparison.shd

    def figure(self, *, reduced: bool = False) -> Figure:
        """Both graphs beside each other; `reduced`: without edges that longer paths imply."""
        names = (self.compared.a.name, self.compared.b.name)
        return comparison_figure(self.compared.comparison, names, reduced=reduced)

    def save(self, directory: Path | str, *, reduced: bool = False) -> None:
        """Write comparison.json, the edges as CSV and Parquet, and the figure as PNG, SVG and PDF."""
        self.compared.save(Path(directory), reduced=reduced)

    @property
    def text(self) -> str:
        return comparison_text(self.compared)

    def _repr_html_(self) -> str:
        return text_html(self.text) + frames_html({"pairs": self.edges})


def compare(
    a: Run | Path | str,
    b: Run | Path | str,
    *,
    graph: str | None = None,
    threshold: float | None = None,
    names: tuple[str, str] | None = None,
    complete: bool = False,
) -> ComparisonResult:
    """Compare two graphs over the values that they share; `b` is the reference.

    Each is a run, a folder with graph.json, or a file of a graph. `graph`: which graph of a run (graph,
    all_roles, averaged); `threshold`: instead, the pairs in this share of its replicates or more.
    `complete`: values that a list of edges does not name have no edge in it. Raises InputError for what
    cannot be read or compared."""
    choice = None if graph is None else GraphChoice(graph)
    first, second = (item.where if isinstance(item, Run) else str(item) for item in (a, b))
    return ComparisonResult(
        compare_paths(first, second, choice=choice, threshold=threshold, names=names, complete=complete)
    )
