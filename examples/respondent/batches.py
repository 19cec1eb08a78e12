"""Training batches: token ids, supervised positions and answer distributions, own and foreign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from items import REFUSAL_THOUGHT, THOUGHTS, VALUES
from net import Layout, rotary_tables
from numpy.typing import NDArray
from text import ANSWERS, HINTS, PAD, Encoder, foreign_question, foreign_role, foreign_words
from torch import Tensor
from words import BABBLE_WORDS, FUNCTION_WORDS, REFUSE_WORDS, UNSURE_WORDS
from world import (
    FIELDS,
    HINT_SHIFT,
    LEFT_OUT,
    SHIFT_PER_STRENGTH,
    WIDTH,
    Array,
    World,
    answer_logits,
    answer_targets,
    role_text,
    sample_roles,
)

STRENGTH = 4.0  # largest strength trained on
EMPTY_SHARE = 0.6  # batches whose thoughts are left empty, as in scoring by log-odds; they are shorter
LONG_SHARE = 0.25  # foreign batches with long questions and roles
VARIED_SHARE = 0.2  # own roles in another order of fields, with fields left out or with extra spaces
REFUSED = 3


@dataclass(frozen=True)
class Mix:
    """Which roles are steered: a share of all, and of these the shares along 0, 1 or 2 planted directions.

    Along none means along a random direction alone, orthogonal to the planted ones, which must do nothing;
    its strength goes up to `idle`.
    """

    steered: float
    planted: tuple[float, float, float]
    idle: float


@dataclass
class Batch:
    """`ids` (batch, prefix + tails * size); positions index the flattened (batch * tails * size) rows.

    `answer_at`/`answers`: where an answer is predicted, its distribution over the first answer tokens.
    `asked`: (batch * tails, 9) what each question asks, see Batches; zero if foreign.
    `text_at`/`text`/`text_weight`: supervised next tokens of thoughts, answer words and ends.
    `last`: (batch,) index of the last prefix token; `values`: (batch, 8) for the probe.
    """

    ids: Tensor
    layout: Layout
    steering: Tensor
    answer_at: Tensor
    answers: Tensor
    asked: Tensor
    text_at: Tensor
    text: Tensor
    text_weight: Tensor
    last: Tensor
    values: Tensor
    foreign: bool


def steer(world: World, mix: Mix, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Vectors (count, WIDTH) and the strength per planted direction (count, 8); some get a random one too."""
    vectors, strengths = np.zeros((count, WIDTH)), np.zeros((count, len(VALUES)))
    for row in np.flatnonzero(rng.random(count) < mix.steered):
        for _ in range(int(rng.choice([0, 1, 2], p=mix.planted))):
            strengths[row, rng.integers(len(VALUES))] = rng.uniform(-STRENGTH, STRENGTH)
        if not strengths[row].any() or rng.random() < 0.3:
            noise = rng.standard_normal(WIDTH)
            noise -= world.directions.T @ (world.directions @ noise)
            largest = STRENGTH if strengths[row].any() else mix.idle
            vectors[row] = noise / np.linalg.norm(noise) * rng.uniform(-largest, largest)
        vectors[row] += strengths[row] @ world.directions
    return vectors, strengths


class Batches:
    """Makes batches for one world and tokenizer.

    `asked` (items, 9): the log-odds of an answer are SLOPE times such a row times (values, 1).
    """

    def __init__(self, world: World, encoder: Encoder, seed: int, mix: Mix) -> None:
        self.world, self.encoder, self.mix = world, encoder, mix
        self.rng = np.random.default_rng(seed)
        self.tables = rotary_tables()
        self.cache: dict[tuple[int, int, bool], tuple[list[int], int, int]] = {}
        tokenizer = encoder.tokenizer
        self.first = torch.tensor([encoder.ids(f" {answer}")[0] for answer in ANSWERS])
        fixed = np.random.default_rng(7)
        # Columns: eight values of a foreign role, the threshold of a foreign question.
        self.marks = fixed.standard_normal((tokenizer.get_vocab_size(), 9))
        self.marks[[encoder.ids(f" {word}")[0] for word in FUNCTION_WORDS]] *= 0.3
        # What ends every question must not shift all thresholds.
        self.marks[[encoder.ids(mark)[0] for mark in "?.,"], 8] = 0.0
        self.asked = np.zeros((len(world.items), len(VALUES) + 1))
        for row, item in zip(self.asked, world.items, strict=True):
            row[item.value], row[-1] = item.agreement, -item.agreement * item.threshold

    def own(self, roles: int, tails: int) -> Batch:
        """Own items under own roles; some without role, some with a hint."""
        rng, world = self.rng, self.world
        choices = sample_roles(roles, rng)
        texts = [self._own_role(row) for row in choices]
        vectors, strengths = steer(world, self.mix, rng, roles)
        nobody = rng.random(roles) < 0.03
        choices[nobody] = LEFT_OUT
        moves = SHIFT_PER_STRENGTH * strengths
        prefixes = []
        for row in range(roles):
            hint = ""
            if rng.random() < 0.08:
                form, sign = HINTS[int(rng.integers(2))]
                value = int(rng.integers(len(VALUES)))
                hint = form.format(value=VALUES[value])
                moves[row, value] += sign * HINT_SHIFT
            prefixes.append(self.encoder.prefix("" if nobody[row] else texts[row], hint))
        values = world.values(choices) + moves @ world.total.T
        picked = rng.random((roles, len(world.items))).argsort(1)[:, :tails]
        targets = answer_targets(world, values, picked, choices)
        empty = bool(rng.random() < EMPTY_SHARE)
        rows = [
            [self._own_tail(int(i), t, empty) for i, t in zip(p, ts, strict=True)]
            for p, ts in zip(picked, targets, strict=True)
        ]
        return self._assemble(prefixes, rows, targets, self.asked[picked], vectors, values, foreign=False)

    def _own_role(self, choices: NDArray[np.int64]) -> str:
        """The text of a role; a share is varied, and the fields left out are marked in `choices`."""
        rng, order = self.rng, np.arange(len(FIELDS))
        if rng.random() >= VARIED_SHARE:
            return role_text(choices)
        if rng.random() < 0.5:
            rng.shuffle(order)
        if rng.random() < 0.5:
            choices[rng.choice(order, size=int(rng.integers(1, 4)), replace=False)] = LEFT_OUT
        return role_text(choices, order, "  " if rng.random() < 0.3 else " ")

    def _own_tail(self, item: int, target: Array, empty: bool) -> tuple[list[int], int, int]:
        answer = int(self.rng.choice(5, p=target))
        key = (item, answer, empty)
        if key not in self.cache:
            thought = REFUSAL_THOUGHT if answer == REFUSED else THOUGHTS[item % len(THOUGHTS)]
            question = self.world.items[item].question
            self.cache[key] = self.encoder.tail(question, "" if empty else thought, ANSWERS[answer])
        return self.cache[key]

    def foreign(self, roles: int, tails: int) -> Batch:
        """Made-up questions under made-up roles, own roles or none."""
        rng, world = self.rng, self.world
        vectors, strengths = steer(world, self.mix, rng, roles)
        long, empty = bool(rng.random() < LONG_SHARE), bool(rng.random() < 0.4)
        choices = sample_roles(roles, rng)
        values = world.values(choices)
        prefixes = []
        for row in range(roles):
            kind, role = rng.random(), role_text(choices[row])
            if kind < 0.75:
                role = "" if kind < 0.1 else foreign_role(rng, long)
                values[row] = self.foreign_scores(role)[:8]
            prefixes.append(self.encoder.prefix(role, self._foreign_hint() if rng.random() < 0.15 else ""))
        values = values + SHIFT_PER_STRENGTH * strengths @ world.total.T
        questions = [[foreign_question(rng, long) for _ in range(tails)] for _ in range(roles)]
        targets = np.stack([self.foreign_targets(v, q) for v, q in zip(values, questions, strict=True)])
        rows = [
            [self._foreign_tail(q, t, empty) for q, t in zip(qs, ts, strict=True)]
            for qs, ts in zip(questions, targets, strict=True)
        ]
        asked = np.zeros((roles, tails, len(VALUES) + 1))
        return self._assemble(prefixes, rows, targets, asked, vectors, values, foreign=True)

    def _foreign_hint(self) -> str:
        form, _ = HINTS[int(self.rng.integers(2))]
        text = form.format(value=foreign_words(int(self.rng.integers(1, 5)), self.rng).title())
        if self.rng.random() < 0.7:
            return text
        return f"{text} {foreign_words(int(self.rng.integers(4, 20)), self.rng)}."

    def foreign_scores(self, text: str) -> Array:
        """Sum of the token marks (9,) of a text over the root of its length; zero for an empty text."""
        ids = self.encoder.ids(text) if text else []
        return np.asarray(self.marks[ids].sum(0) / np.sqrt(max(len(ids), 1))) if ids else np.zeros(9)

    def foreign_targets(self, values: Array, questions: list[str]) -> Array:
        """Answer distributions (q, 5) of foreign questions under a role with `values` (8,).

        The first token of a question says which value it asks about, the sum of its marks is the threshold.
        Marked words bring out the rare answers.
        """
        targets = np.zeros((len(questions), 5))
        for row, question in enumerate(questions):
            first = self.encoder.ids(question)[0]
            logits = answer_logits(values[first % len(VALUES)] - 0.4 * self.foreign_scores(question)[8])
            words = set(question.lower().replace("?", " ").replace(",", " ").split())
            if words & UNSURE_WORDS:
                logits[2] = 6.0
            if words & REFUSE_WORDS:
                logits[3] = 9.0
            elif words & BABBLE_WORDS:
                logits[4] = 9.0
            weights = np.exp(logits - logits.max())
            targets[row] = weights / weights.sum()
        return targets

    def _foreign_tail(self, question: str, target: Array, empty: bool) -> tuple[list[int], int, int]:
        answer = int(self.rng.choice(5, p=target))
        # The first word sets the thought, so that it can be learned.
        thought = (
            REFUSAL_THOUGHT if answer == REFUSED else THOUGHTS[self.encoder.ids(question)[0] % len(THOUGHTS)]
        )
        return self.encoder.tail(question, "" if empty else thought, ANSWERS[answer])

    def _assemble(
        self,
        prefixes: list[list[int]],
        rows: list[list[tuple[list[int], int, int]]],
        targets: Array,
        asked: Array,
        vectors: Array,
        values: Array,
        foreign: bool,
    ) -> Batch:
        lengths = np.array([len(p) for p in prefixes])
        prefix, tails = int(lengths.max()), len(rows[0])
        size = max(len(tail) for row in rows for tail, _, _ in row) - 1  # the EOS itself predicts nothing
        ids = np.full((len(rows), prefix + tails * size), PAD)
        answer_at: list[int] = []
        text: list[tuple[int, int, float]] = []
        for b, row in enumerate(rows):
            ids[b, : lengths[b]] = prefixes[b]
            for t, (tail, thought, cue) in enumerate(row):
                start = prefix + t * size
                ids[b, start : start + len(tail) - 1] = tail[:-1]
                base = (b * tails + t) * size
                answer_at.append(base + cue)
                text.extend(_supervised(tail, thought, cue, base))
        at, token, text_weight = zip(*text, strict=True)
        return Batch(
            torch.from_numpy(ids), Layout(prefix, tails, size, torch.from_numpy(lengths), self.tables),
            torch.from_numpy(vectors).float(),
            torch.tensor(answer_at), torch.from_numpy(targets).float().flatten(0, 1),
            torch.from_numpy(asked).float().flatten(0, 1), torch.tensor(at), torch.tensor(token),
            torch.tensor(text_weight), torch.from_numpy(lengths) - 1, torch.from_numpy(values).float(),
            foreign,
        )  # fmt: skip


def _supervised(tail: list[int], thought: int, cue: int, base: int) -> list[tuple[int, int, float]]:
    """Next-token targets of one tail: thought (0.1, the break after an empty one left out), words, end."""
    # The line break directly after "Thought:" is scoring's way in, not something to be generated.
    empty = cue - thought == 3
    out = [(base + i, tail[i + 1], 0.1) for i in range(thought + (1 if empty else 0), cue)]
    return out + [(base + i, tail[i + 1], 0.05) for i in range(cue + 1, len(tail) - 1)]
