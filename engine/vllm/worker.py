"""The plain sampler on vLLM: unsteered requests, in `generate` or `logprob` mode, at vLLM's own speed.

`steering.vllm.worker` builds on it: the same engine with operations in the stream, so that the baseline of
a steered run comes from the same worker as what it is compared with (DESIGN 3).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from axiograph.engine.errors import BrokenEngineError, RunError
from axiograph.engine.vllm.arguments import engine_arguments, shortened
from axiograph.engine.vllm.engine import VllmEngine
from axiograph.engine.vllm.exchange import EngineCall, EngineReply, Exchanges
from axiograph.engine.vllm.jobs import Job, OpenRow
from axiograph.engine.vllm.stopping import AnswerStop, finish_of, generation_settings, not_finite
from axiograph.engine.workers.generation import Generated, StopCheck, eos_ids
from axiograph.engine.workers.machine import device_name, limit_threads_for, parameters_in, versions
from axiograph.engine.workers.models import load_tokenizer
from axiograph.engine.workers.option_odds import most_read_at_once
from axiograph.engine.workers.worker import (
    Request,
    WorkerConfig,
    answer_room,
    failed_columns,
    refuse_steered,
    request_columns,
    requests_of,
)

FILLED = 2  # times the engine's own batch that is queued before the next table is taken
PROVE_EVERY_S = 1.0  # what a dead engine can cost of what was finished
SEED_BITS = 63


class VllmWorker:
    """Answers requests with vLLM. Its configuration travels; it does not.

    `engine_args` are the study's. Calls from several threads share one engine, and `stream` takes the next
    table before the last one is done: either keeps the engine full. `close` gives the memory back.
    """

    backend = "vllm"
    extension = "axiograph.engine.vllm.extension.FiniteLogits"

    def __init__(
        self, config: WorkerConfig, engine_args: Mapping[str, Any], process: bool | None = None
    ) -> None:
        self.config = config
        self.tokenizer = load_tokenizer(config.source)
        self._stop = StopCheck(self.tokenizer, config.stop_lead, config.thought_rules)
        self._eos = sorted(eos_ids(generation_settings(config.source), self.tokenizer))
        self._exchanges = Exchanges(config, self._stop)
        self._open_rows: dict[str, tuple[OpenRow, int, str, int]] = {}
        self._lock = threading.Lock()
        self._last_done = self._last_proof = 0.0
        self._calls = 0
        self._shared: tuple[Any, Any] = None, None
        fixed = {"worker_extension_cls": self.extension, "max_logprobs": most_read_at_once(config)}
        fixed |= self.own_arguments(engine_args)
        arguments = engine_arguments(config.source, config.device, engine_args, **fixed)
        limit_threads_for(parameters_in(config.source.folder), config.device)
        self.engine = VllmEngine(arguments, config.device, process)
        self._about = {
            "backend": self.backend,
            "device": device_name(config.device),
            "dtype": config.source.dtype,
            "versions": vllm_versions(),
            "mode": config.scoring.mode,
        }
        try:
            self.prepare_engine()
        except BaseException:
            self.close()
            raise

    def own_arguments(self, engine_args: Mapping[str, Any]) -> dict[str, Any]:
        """Engine arguments that this worker needs whatever the study says."""
        return {}

    def prepare_engine(self) -> None:
        """What is done once, before the first request."""
        self.engine.ask_workers("axiograph_watch")

    def close(self) -> None:
        """End the engine and give its memory back."""
        self.engine.close()

    def __call__(self, requests: pa.Table) -> pa.Table:
        """One response row for each request row, in order."""
        with self._lock:
            job = self._begin(requests)
        while not job.is_done:
            with self._lock:
                if not job.is_done:
                    self._advance()
        with self._lock:
            return self._finished(job)

    def stream(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Responses of `tables`, each table whole, in the order in which they are done.

        When the engine, a check, the next table or the keyboard ends it, the rows that are proven come
        first, then the error.
        """
        source, open_jobs, dry = iter(tables), deque[Job](), False
        try:
            while open_jobs or not dry:
                while not dry and self.engine.unfinished < FILLED * self.engine.max_num_seqs:
                    table = next(source, None)
                    dry = table is None
                    if table is not None:
                        with self._lock:
                            open_jobs.append(self._begin(table))
                with self._lock:
                    if not all(job.is_done for job in open_jobs):
                        self._advance()
                    self._prove_sometimes(open_jobs)
                for job in [job for job in open_jobs if job.is_done or job.fault]:
                    table = self._finished(job)
                    open_jobs.remove(job)
                    yield table
        except (Exception, KeyboardInterrupt) as error:
            for job in open_jobs:
                if rescued := self._rescued(job, error):
                    yield rescued
            raise

    def _rescued(self, job: Job, error: BaseException) -> pa.Table | None:
        """The responses of a broken job that are beyond doubt, or None."""
        # A keyboard's interrupt may have cut a talk with the engine in two: it is asked no more.
        if not isinstance(error, KeyboardInterrupt):
            with suppress(RunError):
                self._prove(job)
        return job.table(sorted(job.proven), self._last_done) if job.proven else None

    def _begin(self, table: pa.Table) -> Job:
        rows = requests_of(table)
        job = Job(rows, time.perf_counter())
        self.check(rows)
        # Neighbours share the longest prefixes, whatever the order of the table.
        for number in sorted(range(len(rows)), key=lambda i: (rows[i].condition, rows[i].prompt_ids)):
            if reason := self._unfit(rows[number]):
                job.finish(number, self._response(rows[number], failed_columns(reason)))
            else:
                self._go_on(OpenRow(job, number, self._exchanges(rows[number])), None)
        return job

    def check(self, rows: Sequence[Request]) -> None:
        """RunError for requests that this worker cannot answer as they are meant."""
        refuse_steered(rows, self.config.steered, "Use the worker that steers.")

    def _unfit(self, row: Request) -> str | None:
        """Why a request cannot be asked at all; such a one must not reach the engine that the others need."""
        room = answer_room(self.config, len(row.prompt_ids), len(row.cued_ids))
        limit = self.engine.max_model_len
        if len(row.prompt_ids) + room > limit:
            return f"longer than {limit} tokens: {len(row.prompt_ids)} and up to {room} of the answer"
        if not row.prompt_ids:
            return "a prompt without tokens"
        for wrong in (min(row.prompt_ids + row.cued_ids), max(row.prompt_ids + row.cued_ids)):
            if not 0 <= wrong < self.engine.vocabulary:
                return f"no token of the model's vocabulary: {wrong}"
        return None

    def _go_on(self, open_row: OpenRow, replies: list[EngineReply] | None) -> None:
        """Send a row what came back (None: it begins), and the engine what the row asks next."""
        job, number, exchange = open_row.job, open_row.number, open_row.exchange
        row = job.rows[number]
        try:
            calls = next(exchange) if replies is None else exchange.send(replies)
        except StopIteration as end:
            job.finish(number, self._response(row, end.value, open_row.computed))
            return
        open_row.replies, open_row.waiting = [None] * len(calls), len(calls)
        try:
            for position, call in enumerate(calls):
                self._send(open_row, position, row, call)
        except ValueError as error:
            # vLLM refuses this one request: its row says so, and the others go on.
            exchange.close()
            job.finish(number, self._response(row, failed_columns(shortened(error))))

    def _send(self, open_row: OpenRow, position: int, row: Request, call: EngineCall) -> None:
        stop = AnswerStop(None if call.scored else self._stop, self._eos)
        self._calls += 1
        key = str(self._calls)
        salt, extra = self.label(row)
        name = self.engine.add(key, call.ids, self._parameters(row, call, extra), salt, stop)
        open_row.computed[name] = 0
        self._open_rows[key] = (open_row, position, name, len(call.ids))

    def label(self, row: Request) -> tuple[str | None, dict[str, Any] | None]:
        """What goes with a request: the salt of its prefixes, and arguments for the extension."""
        return None, None

    def _parameters(self, row: Request, call: EngineCall, extra: dict[str, Any] | None) -> Any:
        """As `sampling`; greedy requests that want the same share one object, which is quicker to make."""
        if self.config.sampling.temperature is not None:
            return self.sampling(row, call, extra)
        wanted = (call.limit, call.scored, str(extra))
        if wanted != self._shared[0]:
            self._shared = wanted, self.sampling(row, call, extra)
        return self._shared[1]

    def sampling(self, row: Request, call: EngineCall, extra: dict[str, Any] | None) -> Any:
        """vLLM's SamplingParams: greedy or seeded by the request's id, raw log-probabilities."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        spec = self.config.sampling
        # A study has a temperature where it samples, and only there.
        temperature = 0.0 if call.scored or spec.temperature is None else spec.temperature
        drawn = temperature > 0
        return SamplingParams(
            temperature=temperature,
            top_p=spec.top_p if drawn else 1.0,
            seed=int.from_bytes(row.request_id, "little") % (1 << SEED_BITS) if drawn else None,
            max_tokens=call.limit,
            stop_token_ids=None if call.scored else self._eos,
            ignore_eos=True,
            logprob_token_ids=list(call.scored) or None,
            output_kind=RequestOutputKind.FINAL_ONLY,
            detokenize=False,
            skip_clone=True,
            extra_args=extra,
        )

    def _advance(self) -> None:
        """One step of the engine; rows whose calls are all answered go on."""
        for output in self.engine.step():
            open_row, position, name, sent = self._open_rows.pop(output.request_id)
            reply = open_row.replies[position] = self._reply(output.outputs[0])
            # The last token that was written is not read any more, unless the end of sequence followed it.
            behind = len(reply.written.ids) - (reply.written.finish != "eos")
            open_row.computed[name] = sent + max(0, behind)
            open_row.waiting -= 1
            if open_row.waiting == 0 and open_row.number not in open_row.job.results:
                self._go_on(open_row, [reply for reply in open_row.replies if reply is not None])

    def _prove_sometimes(self, jobs: Iterable[Job]) -> None:
        """What finished a while ago is proven while the engine lives."""
        if time.perf_counter() - self._last_proof >= PROVE_EVERY_S:
            for job in jobs:
                self._prove(job)
            self._last_proof = time.perf_counter()

    def _prove(self, job: Job) -> None:
        """Check what finished since the last time; a fault stays with the job. BrokenEngineError from a dead
        engine, which leaves everything as it is."""
        numbers = list(job.unproven)
        if not numbers or job.fault:
            return
        try:
            self.check_done([job.rows[n] for n in numbers], [job.results[n] for n in numbers])
        except BrokenEngineError:
            raise
        except RunError as error:
            job.fault = error
        else:
            job.proven.update(numbers)
            job.unproven.clear()

    def _reply(self, output: Any) -> EngineReply:
        ids = tuple(output.token_ids)
        if output.logprobs:
            logp = {token: float(entry.logprob) for token, entry in output.logprobs[0].items()}
            return EngineReply(Generated((), "", "scored"), logp)
        return EngineReply(Generated(ids, self._stop.text(ids), finish_of(output)))

    def _response(
        self, row: Request, result: dict[str, Any], computed: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        unproven = {
            "seconds": 0.0,
            "steered_tokens": 0,
            "proof_error": None,
            "computed": dict(computed or {}),
        }
        return request_columns(row) | unproven | self._about | result

    def _finished(self, job: Job) -> pa.Table:
        self._prove(job)
        if job.fault:
            raise job.fault
        table = job.table(range(len(job.rows)), self._last_done)
        self._last_done = time.perf_counter()
        return table

    def check_done(self, rows: Sequence[Request], results: Sequence[dict[str, Any]]) -> None:
        """RunError when answers cannot be trusted; fills in what is only known now."""
        if not all(self.engine.ask_workers("axiograph_finite")):
            raise not_finite()


def vllm_versions() -> str:
    """The libraries that decide what a model answers, and whether batches may change its rounding."""
    from vllm import __version__

    invariant = ", batch invariant" if os.environ.get("VLLM_BATCH_INVARIANT", "0") == "1" else ""
    return f"{versions()}, vllm {__version__}{invariant}"
