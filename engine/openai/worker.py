"""The worker that asks a server: many requests at once, each a thread; rows come as they are answered."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.openai.client import (
    Client,
    ClosedError,
    EndedError,
    FilteredError,
    RefusedError,
    UnansweredError,
    one_text,
)
from axiograph.engine.openai.model import NOT_SAID, ServedModel
from axiograph.engine.workers.thoughts import unfinished_columns
from axiograph.engine.workers.worker import (
    Request,
    WorkerConfig,
    failed_columns,
    judged_columns,
    refuse_steered,
    request_columns,
    requests_of,
    responses_table,
)

FLUSH_S, FLUSH_ROWS = 5.0, 512  # answers are paid for: what a crash can cost of them
GIVEN_UP = 20  # requests one behind the other without any answer: the server is gone
SEED_BITS = 63
_FINISH = {"length": "limit", "content_filter": "filtered"}
_GOES_ON = "What was answered is stored: the same command continues."


class ServedWorker:
    """Answers unsteered requests with the model of a server.

    At its start it asks the canary, which proves key, name and arguments and tells which model answers: that
    (the rows' `device`) must stay the same, and be that of `config.device` where the run holds answers.
    RunError where it does not, or where nothing can be asked of the server."""

    backend = "openai"

    def __init__(self, config: WorkerConfig) -> None:
        if not isinstance(config.source, ServedModel):
            raise InputError("worker", "a model of a server", config.source.name, "Report this as a bug.")
        self.config, self.source = config, config.source
        self._client = Client(self.source.spec)
        self._answering = config.device
        self._without_answer = 0
        try:
            self._canary()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._client.close()

    def _canary(self) -> None:
        messages = [{"role": role, "content": content} for role, content in self.config.canary.messages]
        try:
            reply = self._client.ask(self._path, self._body(messages, None))
        except FilteredError:
            return
        except (EndedError, UnansweredError) as error:
            raise self._ended(error) from None
        except RefusedError as error:
            raise RunError(
                self._where,
                "a server that takes the study's requests",
                str(error),
                "Fields of the body are added, and with null taken out, by model.arguments: a model that "
                "wants it has {max_tokens: null, max_completion_tokens: 500, temperature: null}.",
            ) from None
        self._check_answering(reply)

    def __call__(self, requests: pa.Table) -> pa.Table:
        """One response row for each request row, in order."""
        rows = {row["request_id"]: row for table in self.stream([requests]) for row in table.to_pylist()}
        asked = requests_of(requests)
        return responses_table([rows[request.request_id] for request in asked], asked)

    def stream(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Responses as they come, some at a time. Where an error or the keyboard ends it, what was answered
        comes first."""
        inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        outbox: queue.SimpleQueue[tuple[Request, dict[str, Any] | Exception]] = queue.SimpleQueue()
        threads = self.source.spec.concurrency
        for _ in range(threads):
            # Daemons: one that waits for a server must not keep the process from ending.
            threading.Thread(target=self._work, args=(inbox, outbox), daemon=True).start()
        done = _Done()
        try:
            source, open_rows = self._requests(tables), 0
            while True:
                # One more each, so that nobody waits while answers are stored.
                while open_rows < 2 * threads and (request := next(source, None)) is not None:
                    inbox.put(request)
                    open_rows += 1
                if not open_rows:
                    break
                open_rows -= self._collect(outbox, done)
                if done.is_due:
                    yield done.table()
        except (Exception, KeyboardInterrupt):
            if done.rows:
                yield done.table()
            raise
        finally:
            with suppress(queue.Empty):
                while True:  # what nobody has sent yet is not sent any more
                    inbox.get_nowait()
            for _ in range(threads):
                inbox.put(None)
        if done.rows:
            yield done.table()

    def _requests(self, tables: Iterable[pa.Table]) -> Iterator[Request]:
        for table in tables:
            requests = requests_of(table)
            refuse_steered(requests, self.config.steered, "A server's model cannot be steered.")
            yield from requests

    def _collect(
        self, outbox: queue.SimpleQueue[tuple[Request, dict[str, Any] | Exception]], done: _Done
    ) -> int:
        """Takes what has come, waiting for at most a while; how many. RunError where an error is all that
        will come."""
        taken = 0
        try:
            request, answer = outbox.get(timeout=FLUSH_S)
            while True:
                taken += 1
                if isinstance(answer, Exception):
                    raise answer
                self._count(answer)
                done.add(request, answer)
                request, answer = outbox.get_nowait()
        except queue.Empty:
            return taken

    def _count(self, row: Mapping[str, Any]) -> None:
        without = row["reason"].startswith("failed: no answer")
        self._without_answer = self._without_answer + 1 if without else 0
        if self._without_answer >= max(GIVEN_UP, 2 * self.source.spec.concurrency):
            raise RunError(
                self._where,
                "answers",
                f"none to {self._without_answer} requests, one behind the other ({row['reason']})",
                f"{_GOES_ON} With --retry-failed it asks these again, too.",
            )

    def _work(
        self,
        inbox: queue.SimpleQueue[Request | None],
        outbox: queue.SimpleQueue[tuple[Request, dict[str, Any] | Exception]],
    ) -> None:
        while (request := inbox.get()) is not None:
            try:
                outbox.put((request, self._response(request)))
            except Exception as error:
                outbox.put((request, error))
                if isinstance(error, ClosedError):
                    return

    def _response(self, request: Request) -> dict[str, Any]:
        about = request_columns(request) | {
            "prompt_tokens": None,
            "mode": self.config.scoring.mode,
            "steered_tokens": 0,
            "proof_error": None,
            "backend": self.backend,
            "device": self._answering or NOT_SAID,
            "dtype": self.source.dtype,
            "versions": NOT_SAID,
        }
        try:
            reply = self._client.ask(self._path, self._body(request.messages, request.request_id))
            self._check_answering(reply)
            return about | self._answer_columns(reply, request)
        except EndedError as error:
            raise self._ended(error) from None
        except FilteredError:
            return about | _filtered("", None)
        except UnansweredError as error:
            return about | failed_columns(f"no answer: {error}")
        except RefusedError as error:
            return about | failed_columns(str(error))

    @property
    def _where(self) -> str:
        return f"server {self.source.spec.url}, model {self.source.name}"

    @property
    def _path(self) -> str:
        return "/chat/completions" if self.source.chat else "/completions"

    def _ended(self, error: Exception) -> RunError:
        key = self.source.spec.key
        remedy = f"Check model.url, model.name and the key in the environment variable {key}."
        return RunError(self._where, "a server that answers", str(error), f"{remedy} {_GOES_ON}")

    def _body(self, messages: list[dict[str, str]], request_id: bytes | None) -> dict[str, Any]:
        """Greedy, or seeded by the request's id. Fields that are null are left out."""
        sampling = self.config.sampling
        prompt: dict[str, Any] = (
            {"messages": messages} if self.source.chat else {"prompt": messages[0]["content"]}
        )
        drawn = sampling.temperature is not None
        body = prompt | {
            "model": self.source.name,
            "max_tokens": sampling.most_tokens,
            "temperature": sampling.temperature if drawn else 0.0,
            "top_p": sampling.top_p if drawn and sampling.top_p < 1 else None,
            "seed": int.from_bytes(request_id, "little") % (1 << SEED_BITS) if drawn and request_id else None,
        }
        body |= self.source.spec.arguments
        return {name: value for name, value in body.items() if value is not None}

    def _check_answering(self, reply: Mapping[str, Any]) -> None:
        """Answers of two models never meet in a contrast (DESIGN 3)."""
        model = _label(reply.get("model"))
        self._answering = self._answering or model
        if model != self._answering:
            raise RunError(
                self._where,
                f"answers of '{self._answering}' only, which answered before",
                f"one of '{model}'",
                "A name may come to mean another model: give model.name with its date or version, and start "
                f"a new run with another --out. {_GOES_ON.partition(':')[0]}.",
            )

    def _answer_columns(self, reply: Mapping[str, Any], request: Request) -> dict[str, Any]:
        text, refusal, finish = _said(reply["choices"][0], self.source.chat)
        usage = reply.get("usage") if isinstance(reply.get("usage"), dict) else {}
        tokens = {
            "prompt_tokens": _count_of(usage, "prompt_tokens"),
            "new_tokens": _count_of(usage, "completion_tokens"),
            "versions": f"fingerprint {_label(reply.get('system_fingerprint'))}",
        }
        if refusal is not None or finish == "filtered":
            return _filtered(text if refusal is None else refusal, refusal) | tokens
        thinking = self.config.thinking
        # What the server's template opens is not known here: without an end, what was cut is a thought.
        unclosed = thinking is not None and finish == "limit" and thinking.end not in text
        return (
            tokens
            | (unfinished_columns(request.order) if unclosed else judged_columns(text, request, self.config))
            | {
                "text": text,
                "answer_ids": [],
                "finish": finish,
                "fallback": False,
            }
        )


class _Done:
    """Answers that were not handed on yet."""

    def __init__(self) -> None:
        self.rows: list[tuple[Request, dict[str, Any]]] = []
        self._since = time.monotonic()

    def add(self, request: Request, row: dict[str, Any]) -> None:
        self.rows.append((request, row))

    @property
    def is_due(self) -> bool:
        waited = time.monotonic() - self._since
        return bool(self.rows) and (len(self.rows) >= FLUSH_ROWS or waited >= FLUSH_S)

    def table(self) -> pa.Table:
        """All of them as responses; from now on there are none."""
        now = time.monotonic()
        each = (now - self._since) / len(self.rows)
        rows = [row | {"seconds": each} for _, row in self.rows]
        table = responses_table(rows, [request for request, _ in self.rows])
        self.rows, self._since = [], now
        return table


def _said(choice: Mapping[str, Any], chat: bool) -> tuple[str, str | None, str]:
    """(text, words of a refusal that is marked as one, why it ended) of a choice; UnansweredError for one
    that is none."""
    finish = _FINISH.get(str(choice.get("finish_reason")), "eos")
    message = choice.get("message") if chat else {"content": choice.get("text")}
    if not isinstance(message, dict):
        raise UnansweredError("a choice without a message")
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, str | None):
        raise UnansweredError("a message that is no text")
    marked = one_text([refusal]) if isinstance(refusal, str) and refusal and not content else None
    return one_text([content or ""]), marked, finish


def _filtered(text: str, refusal: str | None) -> dict[str, Any]:
    """A refusal that is no text to be read: by the server's filter, or marked as one."""
    return {
        "state": "refused",
        "reason": "content-filter" if refusal is None else "marked-refusal",
        "text": text,
        "answer_ids": [],
        "finish": "filtered",
        "new_tokens": None,
        "fallback": False,
    }


def _label(value: Any) -> str:
    """A short name that a server gives."""
    if not isinstance(value, str) or not value.strip():
        return NOT_SAID
    return " ".join(one_text(c if c.isprintable() else " " for c in value).split())[:200]


def _count_of(usage: Any, name: str) -> int | None:
    """Tokens by the server's count; None where it does not tell."""
    count = usage.get(name)
    known = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 1 << 31
    return count if known else None
