"""The pilot of a run: its requests are asked first, and the sweep stops there if nothing can be learned.

Its answers are those of the run and stay in its store, so that going on asks nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from axiograph.cluster.check.findings import Findings, find
from axiograph.cluster.check.selection import PilotFirst, PilotRows, choose_pilot
from axiograph.cluster.check.verdict import Verdict, judge
from axiograph.engine.errors import RunError
from axiograph.engine.plan.inputs import Inputs

SWEEP = 4  # times the pilot: a smaller study is over before it could be stopped


@dataclass
class PilotGate:
    """Sees every table of answers; once the pilot's are all there, RunError where the sweep is hopeless,
    unless `anyway`. `notify` is told what the pilot shows."""

    inputs: Inputs
    anyway: bool
    notify: Callable[[Findings, Verdict], None]
    _answers: list[pl.DataFrame] = field(default_factory=list)
    _seen: int = 0
    _done: bool = False

    def __post_init__(self) -> None:
        self.pilot: PilotRows = choose_pilot(self.inputs)

    def begins(self, planned: int) -> bool:
        """Whether a study of so many requests is a sweep, in front of which a pilot is worth its while."""
        return planned >= SWEEP * self.pilot.count

    def first(self, rows: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """Plan rows, those of the pilot before the others."""
        return PilotFirst(rows, self.pilot)

    def resume(self, stored: pl.LazyFrame) -> None:
        """The pilot's answers among those that are stored: the others are not held in memory."""
        self._see(self._of_pilot(stored.filter(self._candidates()).collect(engine="streaming")))

    def __call__(self, responses: pa.Table) -> None:
        if not self._done:
            self._see(self._of_pilot(pl.DataFrame(pl.from_arrow(responses)).filter(self._candidates())))

    def _see(self, ours: pl.DataFrame) -> None:
        if ours.height:
            self._answers.append(ours)
            self._seen += ours.height
        if self._seen >= self.pilot.count:
            self._done = True
            self._judge(pl.concat(self._answers))

    def _candidates(self) -> pl.Expr:
        """Rows of the pilot's roles under its condition."""
        roles = pl.col("role").cast(pl.String).is_in(list(self.pilot.items))
        return roles & (pl.col("condition").cast(pl.String) == self.pilot.condition) & (pl.col("repeat") == 0)

    def _of_pilot(self, rows: pl.DataFrame) -> pl.DataFrame:
        names = zip(rows["role"].cast(pl.String), rows["item_id"].cast(pl.String), strict=True)
        mask = [item in self.pilot.items[role] for role, item in names]
        plain = pl.col("role", "condition", "item_id", "mode", "state", "reason", "finish").cast(pl.String)
        columns = ["repeat", "text", "log_odds", "mass", "fallback", "request_id"]
        return rows.filter(pl.Series(mask, dtype=pl.Boolean)).select(plain, *columns).unique("request_id")

    def _judge(self, answers: pl.DataFrame) -> None:
        findings = find(answers, self.inputs.items)
        verdict = judge(findings, self.inputs)
        self.notify(findings, verdict)
        if verdict.hopeless and not self.anyway:
            reasons = "; ".join(concern.text for concern in verdict.concerns if concern.hopeless)
            raise RunError(
                f"pilot of {answers.height} answers, before the sweep",
                "answers from which something can be learned",
                reasons,
                "`axiograph check STUDY` says more and tries other ways of asking; --anyway goes on all the "
                "same. What was answered is stored.",
            )
