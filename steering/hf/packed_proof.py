"""Packed passes, steered as the conditions of their rows say, and proven (DESIGN 7).

The check does not trust the code that steers. What should be done at a token is worked out here again, from
its row's condition and token ids alone: its claim. The stream is recorded before the steering and where the
next module receives it, for all tokens of a pass; it must have changed as claimed, and nowhere else. What was
proven of a stored prefix stays with it, and a row may only go on behind one of whose every token was proven
what the row itself claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.engine.hf.model import Tokens
from axiograph.engine.hf.prefixes import Evidence
from axiograph.engine.hf.sharing import flat
from axiograph.steering.hf.packed_stream import Marks, hook_points
from axiograph.steering.hf.proof import ROUNDING, StreamProbe, check_tokens, failure, reset

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.steering import HookPointSpec
    from axiograph.engine.workers.worker import Request
    from axiograph.steering.directions.operations import Operation

# That many patterns of claims are kept.
PATTERNS = 512


@dataclass
class PackedProof:
    """What was proven of one row: how many tokens of its prompt are steered, and the largest error."""

    steered: int
    error: float


@dataclass
class Claims:
    """What the conditions of a study promise, numbered: the operations at a token, in order; 0 is none."""

    conditions: Mapping[str, Sequence[Operation]]
    tokenizer: Any
    _promised: list[tuple[Operation, ...]] = field(default_factory=lambda: [()])
    _number: dict[tuple[bytes, ...], int] = field(default_factory=lambda: {(): 0})
    _by_identity: dict[tuple[int, ...], int] = field(default_factory=dict)
    _read: dict[tuple[int, ...], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Most requests of a study have few patterns between them.
        self._pattern = lru_cache(PATTERNS)(self._claimed)

    def of_prompt(self, request: Request, ids: Sequence[int]) -> np.ndarray:
        """The claim of every token of `ids` [n], with which the request's prompt begins; RunError when they
        are not its own, or when those of its span are other words."""
        check_tokens(list(ids), request)
        if any(op.span == "prompt_span" for op in self.conditions.get(request.condition, ())):
            self._check_span(request, ids)
        return self._pattern(request.condition, tuple(request.span), len(request.prompt_ids), len(ids))

    def _claimed(self, condition: str, span: tuple[int, ...], prompt: int, length: int) -> np.ndarray:
        """The claims of `length` tokens, of which the first `prompt` are the request's prompt."""
        operations = self.conditions.get(condition, ())
        # Equal sums are equal sets of operations: one power of two for each.
        sums = np.zeros(length, dtype=object if len(operations) > 62 else np.int64)
        for k, op in enumerate(operations):
            sums[_positions(op, span, prompt, length)] += 1 << k
        claimed = np.zeros(length, dtype=np.int64)
        for powers in set(sums.tolist()) - {0}:
            acting = tuple(op for k, op in enumerate(operations) if powers >> k & 1)
            claimed[sums == powers] = self._claim(acting)
        claimed.flags.writeable = False  # many rows have the same one
        return claimed

    def of_steps(self, request: Request) -> int:
        """The claim of every token that the request writes."""
        operations = self.conditions.get(request.condition, ())
        return self._claim(tuple(op for op in operations if op.span in ("generated", "all")))

    def promised(self, claim: int) -> tuple[Operation, ...]:
        return self._promised[claim]

    def _claim(self, operations: tuple[Operation, ...]) -> int:
        short = tuple(id(op) for op in operations)
        if short not in self._by_identity:
            # By what the operations are: conditions may hold equal ones.
            key = tuple(op.digest for op in operations)
            if key not in self._number:
                self._number[key] = len(self._promised)
                self._promised.append(operations)
            self._by_identity[short] = self._number[key]
        return self._by_identity[short]

    def _check_span(self, request: Request, ids: Sequence[int]) -> None:
        """The tokens that are steered must decode to the words of the request's span."""
        tokens = tuple(ids[i] for i in request.span)
        if tokens not in self._read:
            text = self.tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
            self._read[tokens] = " ".join(text.split())
        if not tokens or self._read[tokens] != request.span_text:
            wanted = f"steered tokens that decode to '{request.span_text}'"
            raise failure(request, wanted, f"'{self._read[tokens]}'")


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
        self._marks_by_row = [
            marks.of_prompt(request, len(ids)) for request, ids in zip(requests, prompts, strict=True)
        ]
        self._claims_by_row = [
            claims.of_prompt(request, ids) for request, ids in zip(requests, prompts, strict=True)
        ]
        self._starts = np.cumsum([0, *(len(ids) for ids in prompts)])
        self._flat_ids = flat(prompts)
        self._flat_marks, self._flat_claims = (
            np.concatenate(self._marks_by_row),
            np.concatenate(self._claims_by_row),
        )
        self._step_marks = np.array([marks.of_steps(request) for request in requests], dtype=np.int64)
        self._step_claims = np.array([claims.of_steps(request) for request in requests], dtype=np.int64)
        self._evidence = Evidence.none(0)
        self._seen, self._touched = (np.zeros(len(requests), dtype=np.int64) for _ in range(2))
        self._error = np.zeros(len(requests), dtype=np.float32)

    def marks(self, row: int) -> np.ndarray:
        return self._marks_by_row[row]

    def evidence(self, n: int) -> Evidence:
        assert len(self._evidence.claims) == n
        return self._evidence

    def is_steered(self, row: int) -> bool:
        return self._requests[row].condition in self._claims.conditions

    def proof(self, row: int) -> PackedProof:
        """What was proven of `row`; RunError unless that covers every token of its prompt once."""
        wanted, seen = len(self._claims_by_row[row]), int(self._seen[row])
        if seen != wanted:
            raise failure(self._requests[row], f"proof of all {wanted} tokens", f"proof of {seen}")
        return PackedProof(int(self._touched[row]), float(self._error[row]))

    def admit(self, rows: Sequence[int], ids: np.ndarray, evidence: Evidence) -> None:
        n = len(ids)
        numbers = np.asarray(rows)
        starts = self._starts[numbers]
        short = np.flatnonzero(self._starts[numbers + 1] - starts < n)
        if len(short) or len(evidence.claims) != n:
            row = self._requests[rows[int(short[0]) if len(short) else 0]]
            raise failure(row, f"proof of a stored prefix of {n} tokens", f"{len(evidence.claims)}")
        at = starts[:, None] + np.arange(n)
        wanted = "a stored prefix of the row's own tokens", "a stored prefix steered as the row is"
        for expected, stored, text in zip(
            (self._flat_ids, self._flat_claims), (ids, evidence.claims), wanted, strict=True
        ):
            wrong = np.flatnonzero((expected[at] != stored).any(1))
            if len(wrong):
                raise failure(self._requests[rows[int(wrong[0])]], text, "another one")
        # A row that starts again, after memory ran out, is proven again.
        self._seen[numbers], self._touched[numbers] = n, (evidence.claims != 0).sum()
        self._error[numbers] = evidence.errors.max(initial=0.0)

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

    def __getitem__(self, token: Any) -> Any:
        return self._requests[int(self._rows[token])]


@dataclass(frozen=True)
class Judge:
    """Compares what one pass did with what its tokens claim; `rows[i]` is the request of token i."""

    claims: Claims
    claimed: np.ndarray
    rows: Sequence[Request]

    def errors(self, probe: StreamProbe) -> np.ndarray:
        """Largest |observed − expected| of every token [n]; RunError at the first that fails."""
        errors = np.zeros(len(self.claimed), dtype=np.float32)
        present = {int(claim): self.claims.promised(int(claim)) for claim in np.unique(self.claimed)}
        for claim, operations in present.items():
            for op in operations:
                if op.hook_point not in probe.before or op.hook_point not in probe.after:
                    row = self.rows[int(np.flatnonzero(self.claimed == claim)[0])]
                    raise failure(row, f"a pass through {op.hook_point}", "none")
        for point, before in probe.before.items():
            at_point = {
                claim: acting
                for claim, operations in present.items()
                if (acting := [op for op in operations if op.hook_point == point])
            }
            if point not in probe.after:
                raise failure(self.rows[0], f"a pass through {point}", "none")
            errors = np.maximum(errors, self._at(point, before[0], probe.after[point][0], at_point))
        return errors

    def _at(
        self,
        point: HookPointSpec,
        before: torch.Tensor,
        after: torch.Tensor,
        acting: Mapping[int, Sequence[Operation]],
    ) -> np.ndarray:
        """`before`, `after` [tokens, d_model] at one point; `acting` are the claims with operations there."""
        import torch

        touched = np.isin(self.claimed, list(acting))
        changed = (before != after).any(-1).cpu().numpy()
        if (changed & ~touched).any():
            row = self.rows[int(np.flatnonzero(changed & ~touched)[0])]
            raise failure(row, f"no change at {point} outside the steered tokens", "a change")
        errors = np.zeros(len(touched), dtype=np.float32)
        if not touched.any():
            return errors
        tokens = np.flatnonzero(touched)
        chosen = torch.from_numpy(tokens).to(before.device)
        expected, peak = _expected(before[chosen].float(), self.claimed[tokens], acting)
        off = (after[chosen].float() - expected).abs()
        # Rounding of each number to the model's dtype, once, and of float32 sums on the way there.
        kind = torch.finfo(before.dtype)
        bound = kind.eps / 2 * expected.abs() + kind.smallest_normal
        bound = bound + ROUNDING * torch.finfo(torch.float32).eps * peak
        # Written so that NaN fails.
        wrong = ~(off <= bound).all(-1).cpu().numpy()
        largest = off.amax(-1).cpu().numpy()
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            wanted = f"a change at {point} of strength × direction"
            raise failure(
                self.rows[int(tokens[first])], wanted, f"one that is off by {float(largest[first]):.3g}"
            )
        errors[tokens] = largest
        return errors


def _positions(op: Operation, span: Sequence[int], prompt: int, length: int) -> np.ndarray:
    """Which of `length` tokens `op` should act on; the first `prompt` of them are the request's prompt."""
    acted = {"prompt_span": span, "prompt": range(prompt), "all": range(length)}.get(op.span, ())
    return np.array(acted, dtype=np.int64)


def _expected(
    before: torch.Tensor, claimed: np.ndarray, acting: Mapping[int, Sequence[Operation]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The stream rows [n, d_model] as their operations, one after the other, should leave them, and the
    largest L2 norm of each on the way [n, 1]."""
    import torch

    expected = before.clone()
    peak = expected.norm(dim=-1, keepdim=True)
    for k in range(max(len(operations) for operations in acting.values())):
        # Equal operations of several claims are done together.
        tokens: dict[int, list[np.ndarray]] = {}
        by_id: dict[int, Operation] = {}
        for claim, operations in acting.items():
            if len(operations) > k:
                by_id[id(operations[k])] = operations[k]
                tokens.setdefault(id(operations[k]), []).append(np.flatnonzero(claimed == claim))
        sizes = [sum(len(part) for part in parts) for parts in tokens.values()]
        order = torch.from_numpy(np.concatenate([part for parts in tokens.values() for part in parts]))
        which = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)).to(before.device)
        order = order.to(before.device)
        rows = expected[order]
        acting_now = [by_id[number] for number in tokens]
        added = _stacked([op.vector for op in acting_now], before)
        axes = _stacked([op.axis for op in acting_now], before)
        targets = torch.tensor([[op.target] for op in acting_now], device=before.device)
        rows += added[which]
        rows -= torch.einsum("nd,nd->n", rows, axes[which]).unsqueeze(1) * axes[which]
        rows += targets[which] * axes[which]
        for number, op in enumerate(acting_now):
            if op.clamp is not None:
                rows[which == number] = reset(rows[which == number], op.clamp)
        expected[order] = rows
        peak[order] = peak[order].maximum(rows.norm(dim=-1, keepdim=True))
    return expected, peak


def _stacked(vectors: Sequence[torch.Tensor | None], like: torch.Tensor) -> torch.Tensor:
    """[operations, d_model] beside `like`; what an operation does not have is zero."""
    import torch

    zero = torch.zeros(like.shape[-1])
    return torch.stack([zero if vector is None else vector for vector in vectors]).to(like.device)
