"""The pilot of a run: its requests are asked first, and the sweep stops there if nothing can be learned.

Its answers are those of the run and stay in its store, so that going on asks nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from axiograph.cluster.check.findings import COLUMNS, Findings, find, response_frame
from axiograph.cluster.check.selection import PilotFirst, PilotRows, choose_pilot
from axiograph.cluster.check.verdict import Verdict, judge
from axiograph.engine.answers.parsing import Lead
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.errors import RunError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.store import RESPONSE_SCHEMA, ResponseStore, columns_of

SWEEP = 4  # times the pilot: a smaller study is over before it could be stopped


@dataclass
class PilotGate:
    """Sees every table of answers; once the pilot's are all there, RunError where the sweep is hopeless,
    unless `anyway`. `lead`: what the study's prompts lead to; `thinking`: of a model that thinks.
    `notify` is told what the pilot shows."""

    inputs: Inputs
    lead: Lead
    anyway: bool
    notify: Callable[[Findings, Verdict], None]
    thinking: Thinking | None = None
    _answers: list[pa.RecordBatch] = field(default_factory=list)
    _ids: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pilot: PilotRows = choose_pilot(self.inputs)

    def begins(self, planned: int) -> bool:
        """Whether a study of so many requests is a sweep, in front of which a pilot is worth its while."""
        return planned >= SWEEP * self.pilot.count

    def first(self, rows: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """Plan rows, those of the pilot before the others."""
        return PilotFirst(rows, self.pilot)

    def resume(self, store: ResponseStore) -> None:
        """Sees what an earlier start has answered, as far as it is the pilot's."""
        for batch in store.batches(COLUMNS):
            self._see(batch)
            if self._is_done:
                return

    def __call__(self, responses: pa.Table) -> None:
        if not self._is_done:
            for batch in responses.select(COLUMNS).cast(columns_of(RESPONSE_SCHEMA, COLUMNS)).to_batches():
                self._see(batch)

    @property
    def _is_done(self) -> bool:
        return len(self._ids) >= self.pilot.count

    def _see(self, batch: pa.RecordBatch) -> None:
        """Keeps what is the pilot's, each answer once, and judges behind the last."""
        if self._is_done:
            return
        ours = batch.filter(pa.array(self.pilot.of(batch)))
        ours = ours.filter(pa.array([i not in self._ids for i in ours["request_id"].to_pylist()], pa.bool_()))
        self._ids.update(ours["request_id"].to_pylist())
        self._answers.append(ours)
        if self._is_done:
            self._judge(response_frame(map(_as_table, self._answers)))

    def _judge(self, answers: pl.DataFrame) -> None:
        findings = find(answers, self.inputs.items, self.lead, self.thinking)
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


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])
