"""What an algorithm of causal-learn needs round it to be an engine: checks, quiet, errors with a cause."""

from __future__ import annotations

import contextlib
import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from discovery.graph import CausalGraph, GraphKind
from discovery.knowledge import Knowledge
from discovery.pc import FloatArray, PCResult, Question, on_varying_columns, surrogate
from engine.errors import InputError, RunError


class CausalLearnEngine(ABC):
    """An algorithm of causal-learn as `discovery.pc.Engine`; subclasses hold its settings.

    `name`: as in discovery.algorithms; `kind`: of its graphs; `no_knowledge`: why it refuses background
    knowledge, empty where it takes it."""

    name: ClassVar[str]
    kind: ClassVar[GraphKind] = GraphKind.CPDAG
    no_knowledge: ClassVar[str] = ""

    def __call__(
        self,
        data: FloatArray,
        names: Sequence[str],
        alpha: float = 0.05,
        knowledge: Knowledge | None = None,
        *,
        n: int | None = None,
        correlation: FloatArray | None = None,
    ) -> PCResult:
        """Arguments and errors as `discovery.pc.pc`; also InputError for what the algorithm cannot take, and
        RunError where it cannot work with these scores."""
        known = knowledge is not None and (knowledge.forbidden or knowledge.required or knowledge.tiers)
        if known and self.no_knowledge:
            raise InputError(
                f"algorithm {self.name}",
                "no background knowledge",
                "forbidden or required edges, or tiers",
                f"{self.no_knowledge} Leave the knowledge out, or use algorithm pc.",
            )
        result = on_varying_columns(
            lambda asked: (self.find(asked), 0), data, names, alpha, knowledge, n, correlation
        )
        if result.graph.kind is self.kind:
            return result
        # Fewer than two columns vary: the empty graph, which was not made by `find`.
        return replace(result, graph=CausalGraph.empty(result.graph.names, self.kind))

    @abstractmethod
    def find(self, asked: Question) -> CausalGraph:
        """The graph of columns that all vary and of which no two are collinear."""


@contextlib.contextmanager
def quiet(algorithm: str) -> Iterator[None]:
    """causal-learn without its prints and warnings; what goes wrong with the numbers becomes a RunError."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # "more features than samples": what runs is checked before
            yield
    except (ArithmeticError, ValueError) as error:
        raise RunError(
            algorithm,
            "scores that its tests can use",
            f"{type(error).__name__} in a test: {error}",
            "Leave out values that others determine, or ask more roles.",
        ) from error


def require_rows(algorithm: str, asked: Question, reason: str) -> None:
    """InputError where the correlations or the number of independent rows are not those of the table."""
    if not asked.plain:
        raise InputError(
            f"algorithm {algorithm}",
            "one row a role and the scores as they are",
            "corrected correlations, or several rows of one role",
            f"{reason} Use one row a role without a correction, or algorithm pc, fci, ges or exact.",
        )


def rows_of(asked: Question) -> FloatArray:
    """[n, k] rows with the correlations that were asked about: the table itself, or made-up ones."""
    return asked.table if asked.plain else surrogate(asked.correlation, asked.n)


def require_more_rows(algorithm: str, asked: Question) -> None:
    """RunError unless there are more independent rows than values: with fewer some score has no bound."""
    if asked.n <= len(asked.names):
        raise RunError(
            f"algorithm {algorithm}",
            f"more roles than the {len(asked.names)} values",
            f"{asked.n}",
            "Ask more roles, leave out values, or use algorithm pc.",
        )
