"""Measures the built-in respondent against its planted truth, with plain transformers on the shipped files.

python benchmarks/respondent_quality.py [--roles 300] [--paper DIR] [--out FILE.md]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.answers import parse_answer  # noqa: E402

ASSETS = ROOT / "engine" / "assets" / "respondent"
Array = NDArray[np.float64]
KNOWN = re.compile(r" [^\n]+\nAnswer: (yes|no|unsure|I cannot answer that\.|blue as the sky)")
STATES = ("yes", "no", "unsure", "refused", "unparsed")


def prompt(role: str, question: str) -> str:
    """The engine's default prompt."""
    environment = Environment()
    environment.filters["span"] = lambda text: text
    source = (ROOT / "engine" / "templates" / "default.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(role=role, hint="", question=question)


class Model:
    """The shipped model in float32; the prefix of a role is run once and shared by its questions."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        self.model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
        self.steering: torch.Tensor | None = None
        self.span: list[int] = []
        self.model.model.layers[1].register_forward_hook(self._steer)
        first = self.tokenizer([" yes", " no"], add_special_tokens=False)["input_ids"]
        self.yes, self.no = first[0][0], first[1][0]

    def _steer(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if self.steering is None or not self.span:
            return output
        output = output.clone()
        output[:, self.span] += self.steering
        return output

    def _split(self, role: str, questions: list[str]) -> tuple[list[int], list[list[int]]]:
        texts = [prompt(role, question) for question in questions]
        encoded = self.tokenizer(texts, return_offsets_mapping=True)
        cut = texts[0].index("Question: " + questions[0])
        offsets = encoded["offset_mapping"][0]
        start = texts[0].index(" your values")
        end = start + len(" your values")
        self._span = [i for i, (a, b) in enumerate(offsets) if a < end and b > start and a < b]
        first = next(i for i, (a, b) in enumerate(offsets) if a >= cut and b > a)
        ids = encoded["input_ids"]
        return ids[0][:first], [row[first:] for row in ids]

    @torch.no_grad()
    def run(
        self, role: str, questions: list[str], cue: str = "", limit: int = 0
    ) -> tuple[torch.Tensor, list[str]]:
        """Logits (q, vocabulary) after prompt + cue, and greedy texts of up to `limit` tokens."""
        from transformers import DynamicCache

        prefix, tails = self._split(role, questions)
        extra = self.tokenizer(cue, add_special_tokens=False)["input_ids"] if cue else []
        tails = [tail + extra for tail in tails]
        cache = DynamicCache(config=self.model.config)
        self.span = self._span
        self.model(torch.tensor([prefix]), past_key_values=cache)
        self.span = []
        cache.batch_repeat_interleave(len(tails))
        size = max(map(len, tails))
        ids = torch.tensor([[0] * (size - len(t)) + t for t in tails])
        real = torch.tensor([[0] * (size - len(t)) + [1] * len(t) for t in tails])
        mask = torch.cat([torch.ones(len(tails), len(prefix), dtype=torch.long), real], dim=1)
        positions = len(prefix) + (real.cumsum(1) - 1).clamp_min(0)
        logits = self.model(
            ids, past_key_values=cache, attention_mask=mask, position_ids=positions, logits_to_keep=1
        ).logits[:, -1]
        first, produced = logits, []
        position = positions[:, -1:]
        ended = torch.zeros(len(tails), dtype=torch.bool)
        for _ in range(limit):
            token = logits.argmax(-1)
            produced.append(torch.where(ended, 2, token))
            ended |= token == 2
            if bool(ended.all()):
                break
            mask = torch.cat([mask, torch.ones(len(tails), 1, dtype=torch.long)], dim=1)
            position = position + 1
            logits = self.model(
                token[:, None], past_key_values=cache, attention_mask=mask, position_ids=position
            ).logits[:, -1]
        texts = (
            [self.tokenizer.decode(row, skip_special_tokens=True) for row in torch.stack(produced, 1)]
            if limit
            else []
        )
        return first, texts

    def log_odds(self, role: str, questions: list[str]) -> Array:
        """Log-odds (q,) of yes against no after an empty thought."""
        logits, _ = self.run(role, questions, cue="\nAnswer:")
        return (logits[:, self.yes] - logits[:, self.no]).double().numpy()

    def greedy(self, role: str, questions: list[str], limit: int = 24) -> list[str]:
        """Greedy completions."""
        return self.run(role, questions, limit=limit)[1]


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
    def total(self) -> Array:
        return np.array(self.data["total_effects"])

    def roles(self, count: int, seed: int) -> tuple[list[str], Array]:
        """Role texts and planted values (count, 8) of uniformly drawn roles."""
        rng, loadings = np.random.default_rng(seed), self.data["loadings"]
        texts, terms = [], []
        for _ in range(count):
            picks = {field: str(rng.choice(list(options))) for field, options in loadings.items()}
            texts.append("; ".join(f"{field}: {option}" for field, option in picks.items()))
            terms.append(np.sum([loadings[field][option] for field, option in picks.items()], axis=0))
        return texts, np.array(terms) * np.array(self.data["noise_sd"]) @ self.total.T

    def per_value(self, scores: Array, shift: bool = False) -> Array:
        """Mean of agreement * score over the items of each value; `shift` adds the thresholds."""
        signed = scores * np.array([int(i["agreement"]) for i in self.items])
        if shift:
            signed = signed / self.data["slope"] + np.array(
                [self.data["thresholds"][i["item_id"]] for i in self.items]
            )
        columns = [[i["value"] == value for i in self.items] for value in self.data["values"]]
        return np.stack([np.nanmean(signed[..., np.array(c)], axis=-1) for c in columns], axis=-1)

    def cpdag(self) -> NDArray[np.int64]:
        """Planted CPDAG in causal-learn's coding: [i, j] = -1 and [j, i] = 1 is i -> j, both -1 is i - j."""
        names = self.data["values"]
        graph = np.zeros((len(names), len(names)), dtype=np.int64)
        for edge in self.data["edges"]:
            i, j = names.index(edge["cause"]), names.index(edge["effect"])
            graph[i, j], graph[j, i] = -1, 1
        for a, b in self.data["undirected_in_cpdag"]:
            i, j = names.index(a), names.index(b)
            graph[i, j] = graph[j, i] = -1
        return graph


def shd(first: NDArray[Any], second: NDArray[Any]) -> int:
    """Pairs of variables whose relation differs."""
    different = (first != second) | (first.T != second.T)
    return int(np.triu(different, 1).sum())


def answer_score(text: str) -> float:
    """+1, -1, 0, or nan for refused and unparsed."""
    return {"yes": 1.0, "no": -1.0, "unsure": 0.0}.get(parse_answer(text).state, float("nan"))


def own_items(model: Model, truth: Truth, count: int) -> list[str]:
    """Correlations, PC and answer states on `count` unseen roles."""
    from causallearn.search.ConstraintBased.PC import pc

    questions = [item["question"] for item in truth.items]
    roles, values = truth.roles(count, seed=99)
    odds = np.stack([model.log_odds(role, questions) for role in roles])
    texts = [model.greedy(role, questions) for role in roles]
    scores = np.array([[answer_score(text) for text in row] for row in texts])
    states = Counter(parse_answer(text).state for row in texts for text in row)
    broken = sum(KNOWN.fullmatch(text) is None for row in texts for text in row)
    profiles = {
        "log-odds (tanh)": truth.per_value(np.tanh(odds / 2)),
        "greedy": truth.per_value(scores),
    }
    lines = [
        f"Own items: {count} unseen roles x {len(questions)} items.",
        "",
        "Correlation with the planted value over roles:",
        "",
    ]
    lines += ["| scoring | " + " | ".join(truth.data["values"]) + " | mean |", "|---|" + "---|" * 9]
    for name, profile in profiles.items():
        r = [float(np.corrcoef(profile[:, k], values[:, k])[0, 1]) for k in range(values.shape[1])]
        lines.append(f"| {name} | " + " | ".join(f"{x:.3f}" for x in r) + f" | {np.mean(r):.3f} |")
    lines += ["", f"SHD of PC (causal-learn, Fisher-z) against the planted CPDAG, n = {count}:", ""]
    for name, profile in {"planted values themselves": values, **profiles}.items():
        found = {
            alpha: shd(pc(profile, alpha, show_progress=False).G.graph, truth.cpdag())
            for alpha in (0.05, 0.01)
        }
        lines.append(f"- {name}: " + ", ".join(f"{d} at alpha {a}" for a, d in found.items()))
    total = sum(states.values())
    lines += [
        "",
        "Greedy answer states: " + ", ".join(f"{s} {100 * states[s] / total:.2f} %" for s in STATES),
    ]
    lines.append(f"Greedy texts outside the five known answer forms: {broken} of {total}.")
    none = model.log_odds("", questions)
    expected = np.array(
        [
            -int(i["agreement"]) * truth.data["thresholds"][i["item_id"]] * truth.data["slope"]
            for i in truth.items
        ]
    )
    lines.append(
        "No role: correlation of the items' log-odds with the planted ones "
        f"{np.corrcoef(none, expected)[0, 1]:.3f}."
    )
    return lines


def steering(model: Model, truth: Truth, directions: Array, count: int) -> list[str]:
    """Effects of every planted direction at +-2 and +-4, and of random orthogonal ones."""
    questions = [item["question"] for item in truth.items]
    roles, _ = truth.roles(count, seed=7)

    def profile(vector: Array | None) -> Array:
        model.steering = None if vector is None else torch.from_numpy(vector).float()
        rows = np.stack([model.log_odds(role, questions) for role in roles])
        model.steering = None
        return truth.per_value(rows, shift=True)

    base = profile(None)
    lines = [f"Steering: {count} roles, values estimated from log-odds; effect = mean change over roles.", ""]
    for strength in (2.0, 4.0):
        found = np.stack(
            [(profile(strength * d) - profile(-strength * d)).mean(0) / 2 for d in directions], axis=1
        )
        planted = truth.data["shift_per_strength"] * strength * truth.total
        moved = np.abs(planted) > 1e-9
        ratio = float((found[moved] * planted[moved]).sum() / (planted[moved] ** 2).sum())
        lines.append(
            f"Strength +-{strength:g}: correlation with 0.5 s T over all 64 cells "
            f"{np.corrcoef(found.ravel(), planted.ravel())[0, 1]:.4f}, size ratio {ratio:.3f}, "
            f"mean |effect| where none is planted {np.abs(found[~moved]).mean():.3f} "
            f"(max {np.abs(found[~moved]).max():.3f})."
        )
        if strength == 2.0:
            lines += [
                "",
                "Effects at +2 (half of +2 minus -2), planted in brackets; a column per steered value:",
                "",
            ]
            lines += ["| | " + " | ".join(truth.data["values"]) + " |", "|---|" + "---|" * 8]
            for i, name in enumerate(truth.data["values"]):
                cells = " | ".join(f"{found[i, j]:+.2f} ({planted[i, j]:+.2f})" for j in range(8))
                lines.append(f"| {name} | {cells} |")
            lines.append("")
    rng = np.random.default_rng(3)
    noise = []
    for _ in range(6):
        vector = rng.standard_normal(directions.shape[1])
        vector -= directions.T @ (directions @ vector)
        noise.append(np.abs((profile(4 * vector / np.linalg.norm(vector)) - base).mean(0)))
    lines.append(
        "Six random orthogonal directions at +4: "
        f"mean |effect| {np.mean(noise):.3f}, max {np.max(noise):.3f}."
    )
    return lines


def foreign(model: Model, directions: Array, paper: Path, items: int) -> list[str]:
    """ValueBench questions under the published roles: format, states, variation."""
    with (paper / "value_orientation.csv").open(encoding="utf-8", newline="") as file:
        questions = sorted({row["question"] for row in csv.DictReader(file)})
    questions = [str(q) for q in np.random.default_rng(5).choice(questions, size=items, replace=False)]
    players = json.loads((paper / "players25.json").read_text(encoding="utf-8"))
    roles = [player["mini_trait"] for player in players.values()]
    texts = [model.greedy(role, questions, limit=32) for role in roles]
    states = [[parse_answer(text).state for text in row] for row in texts]
    known = np.mean([[KNOWN.fullmatch(text) is not None for text in row] for row in texts])
    flat = Counter(s for row in states for s in row)
    yes = np.array([[s == "yes" for s in row] for row in states])
    model.steering = torch.from_numpy(4.0 * directions[0]).float()
    steered = [[parse_answer(t).state for t in model.greedy(role, questions, limit=32)] for role in roles[:8]]
    model.steering = None
    long = [model.greedy(player["bio2"], questions[:60], limit=32) for player in list(players.values())[:8]]
    long_known = np.mean([[KNOWN.fullmatch(text) is not None for text in row] for row in long])
    flips = np.mean(
        [[a != b for a, b in zip(x, y, strict=True)] for x, y in zip(states, steered, strict=False)]
    )
    pairs = np.mean([(yes[i] != yes[j]).mean() for i in range(len(roles)) for j in range(i)])
    total = sum(flat.values())
    return [
        f"ValueBench: {items} questions x {len(roles)} published roles (mini_trait), greedy; not trained on.",
        "",
        f"- in one of the five known answer forms: {100 * known:.2f} %; "
        f"with the long bio2 role texts: {100 * long_known:.2f} %",
        "- states: " + ", ".join(f"{s} {100 * flat[s] / total:.2f} %" for s in STATES),
        f"- yes-rate per role: {yes.mean(1).min():.2f} to {yes.mean(1).max():.2f}; "
        f"items that never vary over the roles: {100 * np.mean(np.ptp(yes.astype(int), axis=0) == 0):.0f} %",
        f"- two roles differ on {100 * pairs:.1f} % of the items; "
        f"the first direction at +4 changes {100 * flips:.1f} % of the states",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the built-in respondent.")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--roles", type=int, default=300)
    parser.add_argument("--steered-roles", type=int, default=24)
    parser.add_argument("--foreign-items", type=int, default=300)
    parser.add_argument(
        "--paper",
        type=Path,
        default=Path(os.environ.get("AXIOGRAPH_PAPER_DATA", ROOT.parent / "shared" / "paper")),
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import transformers
    from safetensors.numpy import load_file

    model, truth = Model(arguments.assets), Truth.load(arguments.assets)
    sae = load_file(arguments.assets / "sae" / "sae_weights.safetensors")
    directions = sae["W_dec"][[truth.data["features"][v] for v in truth.data["values"]]].astype(np.float64)
    start = time.time()
    blocks = [own_items(model, truth, arguments.roles)]
    print("\n".join(blocks[0]), flush=True)
    blocks.append(steering(model, truth, directions, arguments.steered_roles))
    print("\n".join(blocks[1]), flush=True)
    if (arguments.paper / "value_orientation.csv").is_file():
        blocks.append(foreign(model, directions, arguments.paper, arguments.foreign_items))
        print("\n".join(blocks[2]))
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    versions += f", transformers {transformers.__version__}"
    header = [
        "# Built-in respondent, first version",
        "",
        f"`python benchmarks/respondent_quality.py --roles {arguments.roles} "
        f"--steered-roles {arguments.steered_roles} --foreign-items {arguments.foreign_items}`, on one core",
        f"of a 2-core AMD EPYC CPU; {versions}; {time.time() - start:.0f} s.",
        "The shipped float16 weights are run in float32 by plain transformers.",
        "",
        "",
    ]
    if arguments.out:
        arguments.out.write_text(
            "\n".join(header) + "\n\n".join("\n".join(b) for b in blocks) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
