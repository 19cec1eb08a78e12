"""A pilot asked by itself, of the study as it is, in float32, or as it might be asked otherwise; nothing is
stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from axiograph.cluster.check.findings import Findings, find, response_frame
from axiograph.cluster.check.selection import PilotRows, choose_pilot, pilot_only
from axiograph.cluster.check.verdict import Verdict, judge
from axiograph.cluster.sampling.executors import answers, closing_worker
from axiograph.cluster.sampling.loop import rows_per_table
from axiograph.cluster.sampling.preparation import Prepared, prepare, prepare_unsteered
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.errors import InputError
from axiograph.engine.plan.rows import Plan
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import PromptSpec, ScoringSpec, Study
from axiograph.steering.backend import HF, choose_backend

COMPARED = 64  # answers that are asked in float32 as well


@dataclass(frozen=True)
class Pilot:
    """`frame`: its responses; `start_s`: until the worker was ready; `seconds`: of answering."""

    findings: Findings
    verdict: Verdict
    frame: pl.DataFrame
    backend: str
    start_s: float
    seconds: float


@dataclass(frozen=True)
class Rounding:
    """The same requests in `dtype` and in float32: how many texts and states are the same; logprob mode: the
    median and the largest difference of the log-odds."""

    dtype: str
    answers: int
    same_text: int
    same_state: int
    median: float | None
    largest: float | None


@dataclass(frozen=True)
class Alternative:
    """Another way of asking: lines of a study file, and what its pilot shows (None: it is not possible, and
    `obstacle` says why)."""

    label: str
    lines: str
    pilot: Pilot | None
    obstacle: str = ""


@dataclass(frozen=True)
class Check:
    """The pilot of a study, with what surrounds it. `requests`: of the whole study."""

    prepared: Prepared
    rows: PilotRows
    pilot: Pilot
    rounding: Rounding | None
    alternatives: tuple[Alternative, ...]
    requests: int

    @property
    def seconds(self) -> float:
        """What the whole study would take at this pace, with one worker."""
        return self.pilot.start_s + self.requests * self.pilot.seconds / max(1, self.pilot.frame.height)


def check_study(
    study: Study,
    run: RunDir,
    *,
    roles: int,
    requests: int,
    alternatives: bool | None,
    float32: bool,
    notify: Callable[[Prepared], None],
) -> Check:
    """Ask a pilot of about `requests` requests of `roles` roles.

    `alternatives`: whether other ways of asking are tried, too; None: where something stands against this
    one. `float32`: whether some answers are compared with those in float32, where the study has another
    dtype. `notify` is told what was prepared, before anything is asked. Raises InputError and RunError as a
    run would."""
    prepared = prepare(study, run, measure=False)
    notify(prepared)
    rows = choose_pilot(prepared.inputs, roles, requests)
    pilot = ask(_baseline(prepared), rows)
    rounding = _against_float32(_baseline(prepared), rows, pilot) if float32 else None
    tried: tuple[Alternative, ...] = ()
    if alternatives or (alternatives is None and not pilot.verdict.good):
        tried = tuple(_try(study, run, rows, changed) for changed in _other_ways(study, prepared))
    return Check(prepared, rows, pilot, rounding, tried, len(prepared.plan))


def _baseline(prepared: Prepared) -> Prepared:
    """The same study unsteered: the worker that is made of it steers nothing."""
    plan = Plan(replace(prepared.inputs, conditions=prepared.inputs.conditions[:1]), prepared.plan.identity)
    return replace(prepared, operations={}, plan=plan)


def ask(prepared: Prepared, rows: PilotRows) -> Pilot:
    """The answers to the pilot's rows of a plan."""
    tables = Requests(
        prepared.request_builder, list(pilot_only(prepared.plan.batches(), rows)), rows_per_table(prepared)
    )
    started = time.monotonic()
    with closing_worker(prepared.make_worker()) as worker:
        ready = time.monotonic()
        frame = response_frame(answers(worker, tables))
        done = time.monotonic()
    findings = find(frame, prepared.inputs.items, prepared.lead, prepared.thinking)
    verdict = judge(findings, prepared.inputs)
    return Pilot(findings, verdict, frame, prepared.backend.name, ready - started, done - ready)


def _against_float32(prepared: Prepared, rows: PilotRows, pilot: Pilot) -> Rounding | None:
    """COMPARED of the answers once more in float32, by transformers; None where the study is in float32, or
    a server answers."""
    dtype = prepared.study.model.dtype
    if dtype == "float32" or prepared.study.model.served:
        return None
    names = pilot.frame.select(pl.col("role", "item_id").cast(pl.String)).head(COMPARED)
    few: dict[str, set[str]] = {}
    for role, item in names.iter_rows():
        few.setdefault(role, set()).add(item)
    chosen = PilotRows(rows.condition, {role: frozenset(items) for role, items in few.items()})
    exact = ask(replace(prepared, source=replace(prepared.source, dtype="float32"), backend=HF), chosen)
    both = pilot.frame.join(exact.frame, on=["role", "item_id"], suffix="_32")
    odds = (both["log_odds"] - both["log_odds_32"]).abs().drop_nulls().to_numpy()
    return Rounding(
        dtype,
        both.height,
        int((both["text"] == both["text_32"]).sum()),
        int((both["state"].cast(pl.String) == both["state_32"].cast(pl.String)).sum()),
        float(np.median(odds)) if odds.size else None,
        float(odds.max()) if odds.size else None,
    )


def _other_ways(study: Study, prepared: Prepared) -> list[tuple[str, str, Study]]:
    """(label, lines of a study file, study): built-in templates through the chat template and as plain text,
    in either mode; of a template of the user's own only the other mode."""
    modes: tuple[Literal["generate", "logprob"], ...] = ("generate", "logprob")
    if study.model.served:
        modes = ("generate",)
    ways = []
    for template, chat in _templates(study, prepared):
        for mode in modes:
            if (template, mode) == (None, study.scoring.mode):
                continue
            lines: list[str] = []
            changes: dict[str, PromptSpec | ScoringSpec] = {}
            if template is not None:
                now = study.prompt
                thinks = ", thinking: on" if now.thinks else ""
                lines.append(f"prompt: {{template: {template}{', chat: true' if chat else ''}{thinks}}}")
                changes["prompt"] = PromptSpec(
                    template=template,
                    chat=chat,
                    thinking=now.thinking,
                    tags=now.tags,
                    chat_arguments=now.chat_arguments if chat else {},
                )
            if mode != study.scoring.mode:
                lines.append(f"scoring: {{mode: {mode}}}")
                changes["scoring"] = ScoringSpec(mode=mode)
            kind = "this template" if template is None else "chat template" if chat else "plain text"
            ways.append((f"{kind}, {mode}", "\n".join(lines), study.model_copy(update=changes)))
    return ways


def _templates(study: Study, prepared: Prepared) -> list[tuple[Literal["default", "chat"] | None, bool]]:
    """(built-in template, chat): None is the study's own."""
    now = study.prompt
    others: list[tuple[Literal["default", "chat"] | None, bool]] = [(None, now.chat)]
    if now.thinks:
        # In a turn of its own: a beginning of the answer would take the thought's place.
        return others if (now.template, now.path) == ("default", None) else [*others, ("default", True)]
    if study.model.served:
        # One user's message: not every server goes on with a message of the assistant.
        others.append(("default", not now.chat))
        return others
    if prepared.tokens.tokenizer.chat_template and not now.chat:
        others.append(("chat", True))
    if now.chat or now.path is not None:
        others.append(("default", False))
    return others


def _try(study: Study, run: RunDir, rows: PilotRows, way: tuple[str, str, Study]) -> Alternative:
    label, lines, changed = way
    try:
        prepared = prepare_unsteered(changed, run)
        backend = choose_backend(changed.model, prepared.source, prepared.device, {})
        return Alternative(label, lines, ask(replace(prepared, backend=backend), rows))
    except InputError as error:
        return Alternative(label, lines, None, f"{error.expected}, found {error.found}")
