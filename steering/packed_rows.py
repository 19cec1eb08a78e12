"""The rows of one call of a packed worker: steered as their conditions say, and proven (DESIGN 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.packed_model import Tokens
from engine.prefix_cache import Evidence
from engine.sharing import flat
from steering.packed_proof import Claims, Judge, PackedProof
from steering.packed_stream import Marks, hook_points
from steering.proof import StreamProbe, failure

if TYPE_CHECKING:
    from engine.worker import Request


class ProvenRows:
    """The hooks of one call: `prompts[i]` are the tokens put to the model for `requests[i]`."""

    def __init__(
        self,
        model: Any,
        marks: Marks,
        claims: Claims,
        requests: Sequence[Request],
        prompts: Sequence[Sequence[int]],
    ) -> None:
        self._model, self._marks, self._claims = model, marks, claims
        self._requests = list(requests)
        self._own_marks = [
            marks.of_prompt(request, len(ids)) for request, ids in zip(requests, prompts, strict=True)
        ]
        self._own_claims = [
            claims.of_prompt(request, ids) for request, ids in zip(requests, prompts, strict=True)
        ]
        self._starts = np.cumsum([0, *(len(ids) for ids in prompts)])
        self._flat_ids = flat(prompts)
        self._flat_marks, self._flat_claims = (
            np.concatenate(self._own_marks),
            np.concatenate(self._own_claims),
        )
        self._step_marks = np.array([marks.of_steps(request) for request in requests], dtype=np.int64)
        self._step_claims = np.array([claims.of_steps(request) for request in requests], dtype=np.int64)
        self._evidence = Evidence.none(0)
        self._seen, self._touched = (np.zeros(len(requests), dtype=np.int64) for _ in range(2))
        self._error = np.zeros(len(requests), dtype=np.float32)

    def marks(self, row: int) -> np.ndarray:
        return self._own_marks[row]

    def evidence(self, n: int) -> Evidence:
        assert len(self._evidence.claims) == n
        return self._evidence

    def is_steered(self, row: int) -> bool:
        return self._requests[row].condition in self._claims.conditions

    def proof(self, row: int) -> PackedProof:
        """What was proven of `row`; RunError unless that covers every token of its prompt once."""
        wanted, seen = len(self._own_claims[row]), int(self._seen[row])
        if seen != wanted:
            raise failure(self._requests[row], f"proof of all {wanted} tokens", f"proof of {seen}")
        return PackedProof(int(self._touched[row]), float(self._error[row]))

    def admit(self, rows: Sequence[int], ids: np.ndarray, evidence: Evidence) -> None:
        n = len(ids)
        own = np.asarray(rows)
        short = np.flatnonzero(self._starts[own + 1] - self._starts[own] < n)
        if len(short) or len(evidence.claims) != n:
            row = self._requests[rows[int(short[0]) if len(short) else 0]]
            raise failure(row, f"proof of a stored prefix of {n} tokens", f"{len(evidence.claims)}")
        at = self._starts[own][:, None] + np.arange(n)
        wanted = "a stored prefix of the row's own tokens", "a stored prefix steered as the row is"
        for known, stored, text in zip(
            (self._flat_ids, self._flat_claims), (ids, evidence.claims), wanted, strict=True
        ):
            wrong = np.flatnonzero((known[at] != stored).any(1))
            if len(wrong):
                raise failure(self._requests[rows[int(wrong[0])]], text, "another one")
        # A row that starts again, after memory ran out, is proven again.
        self._seen[own], self._touched[own] = n, (evidence.claims != 0).sum()
        self._error[own] = evidence.errors.max(initial=0.0)

    def around(self, tokens: Tokens) -> AbstractContextManager[None]:
        if tokens.written:
            marks, claims = self._step_marks[tokens.rows], self._step_claims[tokens.rows]
        else:
            at = self._starts[tokens.rows] + tokens.positions
            marks, claims = self._flat_marks[at], self._flat_claims[at]
            self._check_ids(tokens, at)
        self._evidence = Evidence(claims, np.zeros(len(claims), dtype=np.float32))
        if not marks.any() and not claims.any():
            self._record(tokens)
            return nullcontext()
        return self._steered(tokens, marks, claims)

    @contextmanager
    def _steered(self, tokens: Tokens, marks: np.ndarray, claims: np.ndarray) -> Iterator[None]:
        acting = [op for claim in np.unique(claims).tolist() for op in self._claims.promised(claim)]
        # Also where steering acts that nobody claims: there nothing may change.
        acting += [op for mark in np.unique(marks).tolist() for op in self._marks.operations(mark)]
        probe = StreamProbe(self._model, hook_points(acting))
        with (
            probe.recording_before(),
            self._marks.steering(self._model, marks),
            probe.recording_after(),
        ):
            yield
        judge = Judge(self._claims, claims, _Requests(self._requests, tokens.rows))
        self._evidence = Evidence(claims, judge.errors(probe))
        self._record(tokens)

    def _check_ids(self, tokens: Tokens, at: np.ndarray) -> None:
        wrong = np.flatnonzero(self._flat_ids[at] != tokens.ids)
        if len(wrong):
            request = self._requests[int(tokens.rows[wrong[0]])]
            raise failure(request, "the request's own tokens in its row", "other tokens")

    def _record(self, tokens: Tokens) -> None:
        """Count towards the rows of a pass; stored prefixes count when rows are admitted behind them."""
        if tokens.stored:
            return
        np.maximum.at(self._error, tokens.rows, self._evidence.errors)
        if not tokens.written:
            np.add.at(self._seen, tokens.rows, 1)
            np.add.at(self._touched, tokens.rows, self._evidence.claims != 0)


class _Requests(Sequence["Request"]):
    """The request of every token of a pass."""

    def __init__(self, requests: Sequence[Request], rows: np.ndarray) -> None:
        self._requests, self._rows = requests, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self._requests[int(self._rows[place])]
