"""Measures the built-in respondent against its planted truth, with plain transformers on the shipped files.

    python benchmarks/respondent_quality.py [--roles 2500] [--out FILE.md]

One forward pass per role and item gives log-odds (empty thought); one more, with the item's own thought
given, gives the distribution of the answer. Greedy answers are read from the second where greedy decoding
would have produced that very thought (checked token by token in the same pass), and decoded elsewhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from respondent_changes import foreign, prompt_changes
from respondent_features import features
from respondent_shipped import ROOT, STATES, Array, Model, Truth, role_text
from respondent_steering import random_directions, steering

from axiograph.discovery.graph.causal_graph import shd
from axiograph.discovery.matrix.corrections import Disattenuation
from axiograph.discovery.pc.search import pc
from axiograph.engine.answers.parsing import parse_answer

ASSETS = ROOT / "engine" / "assets" / "respondent"
SIZES, SEEDS, ALPHAS = (100, 250, 500, 1000, 2000), 20, (0.01, 0.05)
SCORE = np.array([1.0, -1.0, 0.0, np.nan, np.nan])  # in the order of STATES


@dataclass
class Pool:
    """What unseen roles answered: `values` (n, 8) planted; `odds` (n, items) log-odds; `probabilities`
    (n, items, 5) of the states, given the item's thought; `greedy` (n, items) numbers of STATES.

    `decoded`: share of answers decoded token by token; `thought`: mean probability of the given thought.
    """

    values: Array
    odds: Array
    probabilities: Array
    greedy: Array
    decoded: float
    thought: float

    def sampled(self, rng: np.random.Generator) -> Array:
        """One sampled answer an item, as a score (n, items); missing for refused and unparsed."""
        edges = self.probabilities.cumsum(-1)
        drawn = (rng.random(edges.shape[:-1])[..., None] * edges[..., -1:] > edges).sum(-1)
        return SCORE[drawn]


def ask(model: Model, truth: Truth, count: int) -> Pool:
    """Ask `count` unseen roles all items."""
    questions = [item["question"] for item in truth.items]
    thoughts = [t.partition("\n")[0].strip() for t in model.greedy("", questions)]
    drawn = truth.roles(count, seed=99)
    odds, probabilities, greedy, likely, forced = [], [], [], [], []
    for text in map(role_text, drawn):
        odds.append(model.log_odds(text, questions))
        answers, same, thought = model.answers(text, questions, thoughts)
        probabilities.append(answers.exp().numpy())
        states = answers.argmax(-1).numpy()
        for row in np.flatnonzero(~same):
            states[row] = STATES.index(parse_answer(model.greedy(text, [questions[row]])[0]).state)
        greedy.append(states)
        likely.append(np.exp(thought).mean())
        forced.append(same.mean())
    return Pool(
        truth.values(drawn), np.array(odds), np.array(probabilities), np.array(greedy),
        1 - float(np.mean(forced)), float(np.mean(likely)),
    )  # fmt: skip


def item_scores(pool: Pool, rng: np.random.Generator) -> dict[str, Array]:
    """Scores of the items (n, items) by scoring, not yet turned; `rng` draws the sampled answers."""
    return {
        "log-odds, mean": pool.odds,
        "log-odds, tanh (axiograph's score)": np.tanh(pool.odds / 2),
        "greedy": SCORE[pool.greedy],
        "one sampled answer": pool.sampled(rng),
    }


def perfect(truth: Truth, values: Array, rng: np.random.Generator) -> dict[str, Array]:
    """The same of a respondent that answers exactly as planted, without rare states: what scoring allows."""
    odds = truth.planted_log_odds(values)
    drawn = np.where(rng.random(odds.shape) < 1 / (1 + np.exp(-odds)), 1.0, -1.0)
    return {
        "log-odds, tanh (axiograph's score)": truth.per_value(np.tanh(odds / 2)),
        "greedy": truth.per_value(np.sign(odds)),
        "one sampled answer": truth.per_value(drawn),
    }


def correlations(truth: Truth, pool: Pool) -> list[str]:
    """Correlation with the planted value per value and scoring, and how the answers are distributed."""
    rng = np.random.default_rng(1)
    rows = {name: truth.per_value(scores) for name, scores in item_scores(pool, rng).items()}
    rows |= {f"a perfect respondent: {k}": v for k, v in perfect(truth, pool.values, rng).items()}
    lines = [
        f"## Values of {len(pool.values)} unseen roles, {len(truth.items)} items each", "",
        "Correlation with the planted value over roles. The scores saturate where a value lies beyond the"
        " items' thresholds, so that even answers exactly as planted do not reach 1.", "",
        "| scoring | " + " | ".join(truth.names) + " | mean |", "|---|" + "---|" * 9,
    ]  # fmt: skip
    for name, profile in rows.items():
        r = [float(np.corrcoef(profile[:, k], pool.values[:, k])[0, 1]) for k in range(8)]
        lines.append(f"| {name} | " + " | ".join(f"{x:.3f}" for x in r) + f" | {np.mean(r):.4f} |")
    signed = pool.odds * truth.agreement / truth.data["slope"] + truth.thresholds
    found = np.stack([signed[:, truth.asked == k].mean(1) for k in range(8)], axis=1)
    slopes = [float(np.polyfit(pool.values[:, k], found[:, k], 1)[0]) for k in range(8)]
    error = np.sqrt(np.mean((found - pool.values) ** 2))
    counts = np.bincount(pool.greedy.ravel(), minlength=5) / pool.greedy.size
    states = ", ".join(f"{s} {100 * c:.2f} %" for s, c in zip(STATES, counts, strict=True))
    return [
        *lines, "",
        f"- Values read from the log-odds: root mean square error {error:.3f}, slope against the planted"
        f" value {min(slopes):.2f} to {max(slopes):.2f}.",
        f"- Greedy states: {states}.",
        f"- {100 * pool.decoded:.2f} % of the greedy answers were decoded token by token, the others read"
        " from one pass. The sampled answers are drawn given the item's greedy thought, whose mean"
        " probability is"
        f" {pool.thought:.3f}.",
    ]  # fmt: skip


def distances(truth: Truth, pool: Pool) -> list[str]:
    """SHD of PC against the planted CPDAG over draws of roles, corrected for item noise and not."""
    found: dict[tuple[str, int, float], list[float]] = {}
    for n in (n for n in SIZES if n <= len(pool.values)):
        for seed in range(SEEDS):
            rng = np.random.default_rng([seed, n])
            rows = rng.choice(len(pool.values), size=n, replace=False)
            for alpha in ALPHAS:
                distance = shd(pc(pool.values[rows], truth.names, alpha).graph, truth.graph())
                found.setdefault(("planted values", n, alpha), []).append(float(distance))
            for name, scores in item_scores(pool, rng).items():
                for way, of_alpha in _distances(truth, scores[rows]).items():
                    for alpha, distance in of_alpha.items():
                        found.setdefault((f"{name}{way}", n, alpha), []).append(distance)
    return _distance_lines(found, len(pool.values))


def _distances(truth: Truth, scores: Array) -> dict[str, dict[float, float]]:
    """SHD per alpha, of the graph as `discovery.correction` none and items would find it."""
    profile = truth.per_value(scores)
    # A role that refuses every item of a value has no score for it and is left out.
    whole = ~np.isnan(profile).any(1)
    data, parts = profile[whole], (scores * truth.agreement)[whole]
    corrected = Disattenuation(data, parts, truth.asked, data.shape[1]).correlation(np.arange(len(data)))
    graph, n = truth.graph(), corrected.rows(len(data))
    return {
        "": {alpha: float(shd(pc(data, truth.names, alpha).graph, graph)) for alpha in ALPHAS},
        ", corrected": {
            alpha: float(shd(pc(data, truth.names, alpha, correlation=corrected.matrix, n=n).graph, graph))
            for alpha in ALPHAS
        },
    }


def _distance_lines(found: dict[tuple[str, int, float], list[float]], pool_size: int) -> list[str]:
    sizes = sorted({n for _, n, _ in found})
    lines = [
        "## Recovered graph", "",
        f"SHD of `discovery.pc.search.pc` against the planted CPDAG (9 edges of 28 pairs), mean "
        f"over {SEEDS} draws of n of the {pool_size} roles without replacement; in brackets the "
        "draws with SHD 0. Draws overlap, the more the larger n. Sampled answers are drawn anew each time. "
        "Corrected: for measurement error by the items (`discovery.correction: items`).", "",
    ]  # fmt: skip
    for alpha in ALPHAS:
        lines += [f"alpha {alpha}:", "", "| scoring | " + " | ".join(map(str, sizes)) + " |"]
        lines += ["|---|" + "---|" * len(sizes)]
        for name in dict.fromkeys(name for name, _, _ in found):
            cells = (found[name, n, alpha] for n in sizes)
            lines.append(
                f"| {name} | " + " | ".join(f"{np.mean(c):.2f} ({c.count(0)})" for c in cells) + " |"
            )
        lines.append("")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the built-in respondent.")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--roles", type=int, default=2500)
    parser.add_argument("--steered-roles", type=int, default=12)
    parser.add_argument("--changed-roles", type=int, default=50)
    parser.add_argument("--foreign-items", type=int, default=100)
    paper = Path(os.environ.get("AXIOGRAPH_PAPER_DATA", ROOT.parent / "shared" / "paper"))
    parser.add_argument("--paper", type=Path, default=paper)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, blocks = time.time(), []
    model, truth = Model(arguments.assets), Truth.load(arguments.assets)
    pool = ask(model, truth, arguments.roles)
    blocks += [correlations(truth, pool), distances(truth, pool)]
    blocks.append(steering(model, truth, arguments.assets, arguments.steered_roles))
    blocks.append(random_directions(model, truth, arguments.assets, arguments.steered_roles))
    blocks.append(features(model, truth, arguments.assets))
    blocks.append(prompt_changes(model, truth, arguments.changed_roles))
    if (arguments.paper / "value_orientation.csv").is_file():
        blocks.append(foreign(model, truth, arguments.assets, arguments.paper, arguments.foreign_items))
    text = "\n\n".join(
        "\n".join(block).strip() for block in [header(arguments, time.time() - start), *blocks]
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


def header(arguments: argparse.Namespace, seconds: float) -> list[str]:
    """Command, hardware, versions."""
    import transformers

    return [
        "# The built-in respondent against its planted truth", "",
        f"`python benchmarks/respondent_quality.py --roles {arguments.roles}"
        f" --steered-roles {arguments.steered_roles} --changed-roles {arguments.changed_roles}"
        f" --foreign-items {arguments.foreign_items}`, one thread of a 2-core AMD EPYC CPU that other work"
        f" shared; Python {platform.python_version()}, torch {torch.__version__}, transformers"
        f" {transformers.__version__}; {seconds:.0f} s. The shipped float16 weights are run in float32 by"
        " plain transformers.",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
