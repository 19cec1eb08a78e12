"""The shipped respondent asked with plain transformers: answer distributions, greedy texts, streams."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from axiograph.discovery.graph.causal_graph import CausalGraph  # noqa: E402

Array = NDArray[np.float64]
STATES = ("yes", "no", "unsure", "refused", "unparsed")
FIRST_WORDS = (" yes", " no", " unsure", " I", " blue")  # of the five answer forms, in the order of STATES
SPAN = " your values"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment()
    environment.filters["span"] = lambda text: text
    return environment.from_string(
        (ROOT / "engine" / "prompting" / "templates" / "default.j2").read_text(encoding="utf-8")
    )


def prompt(role: str, question: str) -> str:
    """The engine's default prompt."""
    return _template().render(role=role, hint="", question=question)


class Model:
    """The shipped model in float32; the prefix of a role is run once and shared by its questions."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        self.model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
        self.steering: torch.Tensor | None = None
        self.span: list[int] = []
        self.stream = torch.empty(0)
        self.model.model.layers[1].register_forward_hook(self._steer)
        self.first = [self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in FIRST_WORDS]

    def _steer(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if not self.span:
            return output
        self.stream = output
        if self.steering is None:
            return output
        output = output.clone()
        output[:, self.span] += self.steering
        return output

    def steer(self, vector: Array | None) -> None:
        """Add `vector` (width,) at the span from now on; None: no more."""
        self.steering = None if vector is None else torch.from_numpy(vector).float()

    def _split(
        self, texts: list[str], question: str, cues: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        whole = [text + cue for text, cue in zip(texts, cues, strict=True)]
        encoded = self.tokenizer(whole, return_offsets_mapping=True)
        offsets, ids = encoded["offset_mapping"][0], encoded["input_ids"]
        start, cut = texts[0].index(SPAN), texts[0].index("Question: " + question)
        self._span = [i for i, (a, b) in enumerate(offsets) if a < start + len(SPAN) and b > start and a < b]
        first = next(i for i, (a, b) in enumerate(offsets) if a >= cut and b > a)
        return ids[0][:first], [row[first:] for row in ids]

    @torch.no_grad()
    def _run(self, prefix: list[int], tails: list[list[int]], keep: int) -> tuple[torch.Tensor, Any]:
        """Logits (tails, keep, vocabulary) of the last `keep` tokens and what going on needs."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        self.span = self._span
        self.model(torch.tensor([prefix]), past_key_values=cache, logits_to_keep=1)
        self.span = []
        cache.batch_repeat_interleave(len(tails))
        size = max(map(len, tails))
        ids = torch.tensor([[0] * (size - len(t)) + t for t in tails])
        real = torch.tensor([[0] * (size - len(t)) + [1] * len(t) for t in tails])
        mask = torch.cat([torch.ones(len(tails), len(prefix), dtype=torch.long), real], dim=1)
        positions = len(prefix) + (real.cumsum(1) - 1).clamp_min(0)
        logits = self.model(
            ids, past_key_values=cache, attention_mask=mask, position_ids=positions, logits_to_keep=keep
        ).logits
        return logits, (cache, mask, positions[:, -1:])

    def answers(
        self, role: str, questions: list[str], thoughts: list[str] | None = None
    ) -> tuple[torch.Tensor, NDArray[np.bool_], Array]:
        """What one pass says of each answer after a given thought, the empty one by default.

        Log-probabilities (q, 5) of the first answer token of the five forms; (q,) whether greedy decoding
        would have produced the thought itself; (q,) the log-probability of the thought.
        """
        texts = [prompt(role, question) for question in questions]
        cues = ["\nAnswer:"] * len(texts) if thoughts is None else [f" {t}\nAnswer:" for t in thoughts]
        prefix, tails = self._split(texts, questions[0], cues)
        sizes = [len(self.tokenizer(cue, add_special_tokens=False)["input_ids"]) for cue in cues]
        keep = max(sizes) + 1
        logits = self._run(prefix, tails, keep)[0].log_softmax(-1)
        forced, odds = np.ones(len(tails), dtype=bool), np.zeros(len(tails))
        for row, (tail, size) in enumerate(zip(tails, sizes, strict=True)):
            before = logits[row, keep - 1 - size : keep - 1]
            target = torch.tensor(tail[-size:])
            forced[row] = bool((before.argmax(-1) == target).all())
            odds[row] = float(before.gather(1, target[:, None]).sum())
        return logits[:, -1, self.first].double(), forced, odds

    def log_odds(self, role: str, questions: list[str]) -> Array:
        """Log-odds (q,) of yes against no after an empty thought."""
        found = self.answers(role, questions)[0]
        return (found[:, 0] - found[:, 1]).numpy()

    @torch.no_grad()
    def greedy(self, role: str, questions: list[str], limit: int = 24) -> list[str]:
        """Greedy completions of up to `limit` tokens, token by token."""
        texts = [prompt(role, question) for question in questions]
        prefix, tails = self._split(texts, questions[0], [""] * len(texts))
        logits, (cache, mask, position) = self._run(prefix, tails, 1)
        ended, produced = torch.zeros(len(tails), dtype=torch.bool), []
        end = self.tokenizer.eos_token_id
        for _ in range(limit):
            token = torch.where(ended, end, logits[:, -1].argmax(-1))
            produced.append(token)
            ended |= token == end
            if bool(ended.all()):
                break
            mask = torch.cat([mask, torch.ones(len(tails), 1, dtype=torch.long)], dim=1)
            position = position + 1
            logits = self.model(
                token[:, None], past_key_values=cache, attention_mask=mask, position_ids=position
            ).logits
        rows = torch.stack(produced, 1)
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)) for row in rows]

    @torch.no_grad()
    def streams(self, role: str, question: str) -> tuple[Array, list[int]]:
        """Unsteered stream (tokens, width) after layer 1 of what precedes the question; the span's places."""
        prefix, _ = self._split([prompt(role, question)], question, [""])
        self.span = self._span
        self.model(torch.tensor([prefix]), logits_to_keep=1)
        self.span = []
        return self.stream[0].double().numpy(), self._span


@dataclass
class Truth:
    """The planted truth and the items, from the shipped files."""

    data: dict[str, Any]
    items: list[dict[str, str]]

    @classmethod
    def load(cls, folder: Path) -> Truth:
        data = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        with (folder / "questionnaire.csv").open(encoding="utf-8", newline="") as file:
            return cls(data, list(csv.DictReader(file)))

    @property
    def names(self) -> list[str]:
        """The eight values."""
        return list(self.data["values"])

    @property
    def total(self) -> Array:
        """Total effects (8, 8), a row per effect."""
        return np.array(self.data["total_effects"])

    @property
    def agreement(self) -> Array:
        """+1 or -1 per item (items,)."""
        return np.array([int(item["agreement"]) for item in self.items], dtype=np.float64)

    @property
    def thresholds(self) -> Array:
        """Planted threshold per item (items,)."""
        return np.array([self.data["thresholds"][item["item_id"]] for item in self.items])

    @property
    def asked(self) -> NDArray[np.int64]:
        """Number of the value that each item asks about (items,)."""
        return np.array([self.names.index(item["value"]) for item in self.items])

    def roles(self, count: int, seed: int) -> list[dict[str, str]]:
        """Uniformly drawn roles, an option per field in the order of the file."""
        rng = np.random.default_rng(seed)
        fields = self.data["loadings"].items()
        return [{field: str(rng.choice(list(options))) for field, options in fields} for _ in range(count)]

    def values(self, roles: list[dict[str, str]]) -> Array:
        """Planted values (roles, 8); a field that is left out adds nothing."""
        loadings = self.data["loadings"]
        terms = [np.sum([loadings[f][o] for f, o in role.items()], axis=0) for role in roles]
        return np.array(terms) * np.array(self.data["noise_sd"]) @ self.total.T

    def planted_log_odds(self, values: Array) -> Array:
        """Log-odds (roles, items) that values (roles, 8) imply."""
        scaled = values[:, self.asked] - self.thresholds
        return np.asarray(self.data["slope"] * self.agreement * scaled)

    def per_value(self, scores: Array) -> Array:
        """Mean of agreement * score (…, items) over the items of each value, (…, 8); NaN is left out."""
        signed = scores * self.agreement
        return np.stack([np.nanmean(signed[..., self.asked == k], axis=-1) for k in range(8)], axis=-1)

    def graph(self) -> CausalGraph:
        """The planted CPDAG."""
        undirected = [tuple(pair) for pair in self.data["undirected_in_cpdag"]]
        directed = [(edge["cause"], edge["effect"]) for edge in self.data["edges"]]
        kept = [(a, b) for a, b in directed if (a, b) not in undirected and (b, a) not in undirected]
        return CausalGraph.from_edges(self.names, kept, undirected)


def role_text(role: dict[str, str]) -> str:
    """The role's line as axiograph writes generated roles."""
    return "; ".join(f"{field}: {option}" for field, option in role.items())
