"""What taking response style out of scores does: to false edges between values keyed one way, to graphs, to
scores where items are drawn, and to what a condition is said to have changed.

17 values of 8 items, 8 of them keyed one way, 5 with 4 + 4 and 4 with 5 + 3; yes with probability σ(key ×
(1.5 value + difficulty) + style + 0.7 noise); scores by axiograph's own code (engine.scoring), plain means
against contents.

    python benchmarks/style.py [--studies 20]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from disattenuation import random_graph
from style_world import World, scored

from axiograph.discovery.graph.causal_graph import CausalGraph, shd
from axiograph.discovery.pc.kernel import cpdag
from axiograph.engine.plan.draws import stratified_draws
from axiograph.engine.study.questionnaire import Item

OUT = Path(__file__).parent / "results" / "style.md"
KEYS = ((8, 0),) * 8 + ((4, 4),) * 5 + ((5, 3),) * 4
ONE_WAY = 8
STYLES = (0.0, 0.3, 0.6, 1.0)
LEVEL = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20)
    studies = parser.parse_args().studies
    started = time.perf_counter()
    sections = [
        _graphs(studies, planted=False),
        _graphs(studies, planted=True),
        _draws(studies),
        _effects(2 * studies),
    ]
    OUT.write_text(_header(studies, time.perf_counter() - started) + "\n".join(sections))
    print(OUT.read_text())


def answered(rng: np.random.Generator, log_odds: np.ndarray, uniform: np.ndarray | None = None) -> np.ndarray:
    """Yes and no as ±1; equal `uniform` numbers for every condition: a role answers equal prompts alike."""
    drawn = rng.random(log_odds.shape[1:]) if uniform is None else uniform
    return np.where(drawn < 1 / (1 + np.exp(-log_odds)), 1.0, -1.0)


def graph_trial(seed: int, roles: int, sd: float, planted: bool) -> dict[str, float]:
    rng, n = np.random.default_rng(seed), len(KEYS)
    names = tuple(str(k) for k in range(n))
    correlation, truth = np.eye(n), CausalGraph(names, np.zeros((n, n), np.int8))
    if planted:
        correlation, _ = random_graph(rng, n)
        order = rng.permutation(n)
        correlation = correlation[np.ix_(order, order)]
        truth = CausalGraph(names, cpdag(correlation, 10**9, 1e-6).marks)
    world = World(KEYS)
    values = rng.multivariate_normal(np.zeros(n), correlation, roles)[None]
    items = world.draw_items(rng)
    raw = answered(rng, world.log_odds(rng, values, sd * rng.standard_normal((1, roles)), items))
    found = scored(world, raw, items.frame)
    row = {"found": float(found.style.variance.is_there)}
    for name, table in (("mean", found.mean[0]), ("content", found.content[0])):
        marks = cpdag(np.corrcoef(table.T), roles, LEVEL).marks
        adjacent = (marks != 0) | (marks.T != 0)
        row[f"{name} edges"] = adjacent[:ONE_WAY, :ONE_WAY][np.triu_indices(ONE_WAY, 1)].sum()
        row[f"{name} shd"] = float(shd(CausalGraph(names, marks), truth))
        row[f"{name} r"] = np.mean([np.corrcoef(table[:, k], values[0, :, k])[0, 1] for k in range(ONE_WAY)])
    return row


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def _graphs(studies: int, planted: bool) -> str:
    title = "A planted graph" if planted else "Independent values"
    last = "SHD, mean | SHD, content" if planted else "r, mean | r, content"
    lines = [
        f"## {title}",
        "",
        "Edges of PC (alpha 0.05) between the 8 values keyed one way (28 pairs); r: of a score with its "
        "value, over the "
        "values keyed one way; found: studies in which a variance of style is told from chance.",
        "",
        f"| roles | sd of style (log-odds) | found | edges, mean | edges, content | {last} |",
        "|---|---|---|---|---|---|---|",
    ]
    for roles in (50, 100, 200):
        for sd in STYLES:
            row = _mean([graph_trial(seed, roles, sd, planted) for seed in range(studies)])
            ends = ("mean shd", "content shd") if planted else ("mean r", "content r")
            lines.append(
                f"| {roles} | {sd:g} | {100 * row['found']:.0f} % | {row['mean edges']:.2f} | "
                f"{row['content edges']:.2f} | {row[ends[0]]:.2f} | {row[ends[1]]:.2f} |"
            )
    return "\n".join([*lines, ""])


def draw_trial(seed: int, share: float, stratified: bool, tilt: float) -> dict[str, float]:
    """R² of a role's score by the mean difficulty of its draw, and r of it with the score over all items;
    means over values."""
    rng, n, roles = np.random.default_rng(seed), len(KEYS), 100
    world = World(KEYS, tilt=tilt)
    values = rng.standard_normal((1, roles, n))
    items = world.draw_items(rng)
    raw = answered(rng, world.log_odds(rng, values, 0.5 * rng.standard_normal((1, roles)), items))
    asked = np.zeros((roles, len(items.key)), bool)
    names = [f"r{k}" for k in range(roles)]
    for k in range(n):
        (own,) = np.nonzero(items.value == k)
        if stratified:
            listed = [Item(str(i), "q", "v", int(items.key[i]), str(i)) for i in own]
            hands = stratified_draws(names, listed, dict.fromkeys(map(str, own), 0), share, seed, k)
            for r, name in enumerate(names):
                asked[r, [int(i) for i in hands[name]]] = True
        else:
            for r in range(roles):
                asked[r, rng.choice(own, max(1, round(share * len(own))), replace=False)] = True
    found, whole = scored(world, raw, items.frame, asked), scored(world, raw, items.frame)
    difficulty = raw[0].mean(axis=0) * items.key
    row = {}
    for name, table in (("mean", found.mean[0]), ("content", found.content[0])):
        r2, r = [], []
        for k in range(n):
            own = items.value == k
            draw = (asked[:, own] * difficulty[own]).sum(axis=1) / asked[:, own].sum(axis=1)
            r2.append(np.corrcoef(draw, table[:, k])[0, 1] ** 2 if np.ptp(draw) > 1e-9 else 0.0)
            r.append(np.corrcoef(whole.content[0][:, k], table[:, k])[0, 1])
        row |= {f"{name} r2": float(np.mean(r2)), f"{name} r": float(np.mean(r))}
    return row


def _draws(studies: int) -> str:
    lines = [
        "## Drawn items",
        "",
        "100 roles, sd of style 0.5. R²: of a role's score by the mean difficulty of its draw, mean over "
        "values (chance: "
        "0.01); r: with the content over all items. Lean: log-odds of yes that every role has in common; at "
        "−2.5 "
        "nearly everything is answered with no.",
        "",
        "| share | lean | R², earlier draws, mean | R², keyed draws, mean | R², keyed draws, content | r, "
        "earlier, mean | "
        "r, keyed, mean | r, keyed, content |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for share in (0.25, 0.5):
        for tilt in (0.0, -1.0, -2.5):
            old = _mean([draw_trial(seed, share, False, tilt) for seed in range(studies)])
            new = _mean([draw_trial(seed, share, True, tilt) for seed in range(studies)])
            lines.append(
                f"| {share:g} | {tilt:g} | {old['mean r2']:.2f} | {new['mean r2']:.2f} | "
                f"{new['content r2']:.2f} | "
                f"{old['mean r']:.2f} | {new['mean r']:.2f} | {new['content r']:.2f} |"
            )
    return "\n".join([*lines, ""])


def effect_trial(
    seed: int, roles: int, shifted: int, moved: float, shift: float, uneven: bool
) -> dict[str, float]:
    """16 conditions; `shifted` of them add `shift` to every log-odds, and each moves one value by `moved`
    (where `uneven`, on its positively keyed items only)."""
    rng, n, conditions = np.random.default_rng(seed), len(KEYS), 17
    world = World(KEYS)
    values = np.repeat(rng.standard_normal((1, roles, n)), conditions, axis=0)
    targets = rng.integers(n, size=conditions)
    items = world.draw_items(rng)
    style = np.repeat(0.5 * rng.standard_normal((1, roles)), conditions, axis=0)
    style[1 : 1 + shifted] += shift
    log_odds = world.log_odds(rng, values, style, items)
    for c in range(1, conditions):
        own = (items.value == targets[c]) & ((items.key > 0) | (not uneven))
        log_odds[c][:, own] += 1.5 * moved * items.key[own]
    raw = np.where(rng.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds)), 1.0, -1.0)
    found = scored(world, raw, items.frame)
    row: dict[str, float] = {}
    hit = np.zeros((conditions - 1, n), bool)
    if moved:
        hit[np.arange(conditions - 1), targets[1:]] = True
    for name, table in (("mean", found.mean), ("content", found.content)):
        changed = _changed(table)
        row[f"{name} any"] = float((changed & ~hit).any())
        row[f"{name} false"] = float((changed & ~hit).sum())
        row[f"{name} power"] = float(changed[hit].mean()) if moved else np.nan
    return row


def _changed(table: np.ndarray) -> np.ndarray:
    """[conditions − 1, values] what axiograph's own test calls changed."""
    from axiograph.discovery.effects.changes import BASELINE, Pairing, find_changes

    names = [f"v{k}" for k in range(table.shape[2])]
    frames = [
        pl.DataFrame(part, schema=names, orient="row").with_columns(
            role=pl.Series([f"r{k:03d}" for k in range(table.shape[1])]),
            condition=pl.lit(BASELINE if c == 0 else f"c{c:02d}"),
        )
        for c, part in enumerate(table)
    ]
    changes = find_changes(Pairing(pl.concat(frames), BASELINE, names), LEVEL)
    return np.asarray(changes.changed)


def _effects(studies: int) -> str:
    lines = [
        "## What changed",
        "",
        "16 conditions × 17 values, sampled answers, axiograph's own test at a false discovery rate of "
        "0.05. False: of "
        "values whose content no one moved.",
        "",
        "| roles | study | any false, mean | any false, content | false, mean | false, content | power, "
        "mean | power, content |",
        "|---|---|---|---|---|---|---|---|",
    ]
    settings = {
        "nothing moved": (0, 0.0, 0.0, False),
        "one value a condition by 1 sd": (0, 1.0, 0.0, False),
        "one value a condition by 1 sd, on its positively keyed items only": (0, 1.0, 0.0, True),
        "style by 0.5 in 4 conditions": (4, 0.0, 0.5, False),
        "style by 1 in all conditions": (16, 0.0, 1.0, False),
        "style by 1 in all, and one value a condition by 1 sd": (16, 1.0, 1.0, False),
    }
    for roles in (8, 25):
        for name, (shifted, moved, shift, uneven) in settings.items():
            row = _mean([effect_trial(seed, roles, shifted, moved, shift, uneven) for seed in range(studies)])
            powers = [
                "-" if np.isnan(row[f"{k} power"]) else f"{row[f'{k} power']:.2f}"
                for k in ("mean", "content")
            ]
            lines.append(
                f"| {roles} | {name} | {row['mean any']:.2f} | {row['content any']:.2f} | "
                f"{row['mean false']:.2f} | "
                f"{row['content false']:.2f} | {' | '.join(powers)} |"
            )
    return "\n".join([*lines, ""])


def _header(studies: int, seconds: float) -> str:
    where = platform.processor() or platform.machine()
    return f"""# Response style and content

`python benchmarks/style.py --studies {studies}`, {seconds:.0f} s on one core ({where});
Python {platform.python_version()}, NumPy {np.__version__}.
{studies} studies a cell, {2 * studies} of effects.

"""


if __name__ == "__main__":
    main()
