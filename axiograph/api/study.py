"""A study asked: whether its model answers, what it would cost, and the way from its file to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.results import Estimate, Notes, SampleCount
from axiograph.api.run import OnStep, Run, tell
from axiograph.api.settings import CORES, STALL_S, as_study
from axiograph.cluster.check import asking
from axiograph.cluster.check.findings import Findings
from axiograph.cluster.check.gate import PilotGate
from axiograph.cluster.check.selection import REQUESTS, ROLES
from axiograph.cluster.check.verdict import Verdict
from axiograph.cluster.sampling.estimate import estimate, stored_ids
from axiograph.cluster.sampling.loop import disk_free, sample
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.preparation import Prepared, enough_for_a_graph, prepare, study_notes
from axiograph.cluster.sampling.site import Site
from axiograph.cluster.site import site
from axiograph.cluster.stages.effects import has_contrasts
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, create_run, run_at
from axiograph.engine.study.loading import load_study as read_study
from axiograph.engine.study.schema import Study
from axiograph.texts.check import check_text, pilot_text

StudyOrFile = Study | Path | str


@dataclass(frozen=True, repr=False)
class Check(Shown):
    """What a pilot shows: `verdict` (good, or concerns with remedies; hopeless), `findings`, `answers`."""

    check: asking.Check

    @property
    def verdict(self) -> Verdict:
        return self.check.pilot.verdict

    @property
    def findings(self) -> Findings:
        return self.check.pilot.findings

    @property
    def answers(self) -> pl.DataFrame:
        """The pilot's responses, a row each."""
        return self.check.pilot.frame

    @property
    def text(self) -> str:
        return check_text(self.check)


@dataclass(frozen=True, repr=False)
class PilotShown(Shown):
    """What the pilot of a run shows, before the sweep."""

    findings: Findings
    verdict: Verdict

    @property
    def text(self) -> str:
        return f"Pilot of {self.findings.answers} answers:\n{pilot_text(self.findings, self.verdict)}\n"


def load_study(path: Path | str) -> Study:
    """A study from its file. InputError with the path of the field that is wrong."""
    return read_study(Path(path))


def plan(
    study: StudyOrFile,
    out: Path | str | None = None,
    *,
    calibrate_s: float = 30.0,
    on_step: OnStep | None = None,
) -> Estimate:
    """What would run: requests, tokens, disk, time. Stores nothing.

    `calibrate_s`: for so many seconds each kind of worker answers requests, to estimate the time; 0: no
    model is started and no time estimated. `on_step` is told what a person should know before that."""
    loaded = as_study(study)
    run = run_at(out or loaded.out)
    prepared = prepare(loaded, run, measure=False, mixed=True)
    notes = _notes(prepared)
    _tell_notes(on_step, notes)
    estimated = estimate(prepared, calibrate_s, stored_ids(run))
    return Estimate(estimated, notes, disk_free(run), run.where)


def check(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    roles: int = ROLES,
    requests: int = REQUESTS,
    alternatives: bool | None = None,
    float32: bool = True,
    on_step: OnStep | None = None,
) -> Check:
    """Ask a pilot: does this model answer this questionnaire, and do roles differ? Stores nothing.

    `roles`, `requests`: about how many of each. `alternatives`: whether other ways of asking are tried as
    well; None: where something stands against the study's. `float32`: whether some answers are compared with
    those in float32. `on_step` is told what a person should know before that. Raises InputError and RunError
    as a run would before its first answer."""
    loaded = as_study(study)
    done = asking.check_study(
        loaded,
        run_at(out or loaded.out),
        roles=roles,
        requests=requests,
        alternatives=alternatives,
        float32=float32,
        notify=lambda prepared: _tell_notes(on_step, _notes(prepared)),
    )
    return Check(done)


def run(
    study: StudyOrFile,
    out: Path | str | None = None,
    *,
    jobs: int = CORES,
    ray: str | None = None,
    workers: int | None = None,
    stall_s: float = STALL_S,
    retry_failed: bool = False,
    anyway: bool = False,
    report: bool = True,
    on_step: OnStep | None = None,
    notify: Callable[[str], None] | None = None,
) -> Run:
    """Sample (continues where it stopped), score, discover, test effects, report.

    `out`: instead of the study's. `jobs`: threads or processes of the bootstrap. `ray`: the address of a
    cluster, `auto` or `local`; `workers`: at most so many of a kind, killed when they stand still for
    `stall_s` seconds. `retry_failed`: ask again what could not be answered. `anyway`: go on where the pilot,
    with which a sweep begins, shows that nothing can be learned. `report`: whether the page and
    its figures are written too. `on_step` is told what each step came to as soon as it is done, `notify`
    where one may take long. Raises InputError and RunError; where no graph can be made, but there are
    conditions to test, only after effects and report, and not at all where the study is too small for one."""
    loaded = as_study(study)
    result = Run(create_run(out or loaded.out))
    with result.directory.locked(), site(ray, workers, stall_s) as where:
        tell(on_step, _sampled(loaded, result.directory, where, retry_failed, anyway, on_step))
        result.score(on_step)
        no_graph = None
        try:
            tell(on_step, result.store_graph(result.study.discovery, where.jobs(jobs), notify))
        except InputError as error:
            if not has_contrasts(result.directory, result.study):
                raise
            no_graph = error
            tell(on_step, Notes((f"no graph: {error}",)))
        tell(on_step, result.test_effects())
        if report:
            tell(on_step, result.report())
        if no_graph is not None and enough_for_a_graph(result.directory.inputs()):
            raise no_graph
    return result


def _sampled(
    study: Study, run: RunDir, where: Site, retry_failed: bool, anyway: bool, on_step: OnStep | None
) -> SampleCount:
    prepared = where.prepare(study, run)
    _tell_notes(on_step, (*_notes(prepared), *where.notes(prepared)))

    def shown(findings: Findings, verdict: Verdict) -> None:
        tell(on_step, PilotShown(findings, verdict))

    meter, gate = Meter(), PilotGate(prepared.inputs, prepared.lead, anyway, shown, prepared.thinking)
    try:
        return SampleCount(sample(prepared, run, where.executor(prepared, meter), meter, retry_failed, gate))
    except KeyboardInterrupt:
        raise RunError(
            f"run {run.where}",
            "to finish sampling",
            "a stop from the keyboard",
            "What was answered is stored: the same command continues.",
        ) from None


def _notes(prepared: Prepared) -> tuple[str, ...]:
    """What a person should know of a study before it is asked."""
    return (*study_notes(prepared.inputs), *prepared.notes())


def _tell_notes(on_step: OnStep | None, notes: tuple[str, ...]) -> None:
    if notes:
        tell(on_step, Notes(notes))
