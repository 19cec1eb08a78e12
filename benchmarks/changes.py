"""Does "changed" keep its promise? False changes, power and coverage of the tests of effects, by simulation.

Roles have values of standard deviation 1; 12 items each. A study is one baseline and 16 conditions × 8 values
that are compared with it, the roles the same. Null: nothing moves. Moved: a fifth of the contrasts moves by
0.7 up or down. Coverage: every contrast moves by a number drawn from N(0, 0.4²), so that the steps of scores
do not decide.

    python benchmarks/changes.py [--studies 1000] [--roles 6,8,12,25,50]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats
from scipy.special import expit, ndtr

from axiograph.discovery.effects.changes import benjamini_hochberg, two_stages
from axiograph.discovery.effects.doses import kendall
from axiograph.discovery.effects.moderation import MeanTests, moments
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING, RoleDraws, tail

OUT = Path(__file__).parent / "results" / "changes.md"
CONDITIONS, VALUES, ITEMS = 16, 8, 12
LEVEL, MOVED, SHIFT, SPREAD = 0.05, 0.2, 0.7, 0.4
SLOW = 10  # the bootstrap is tried on a tenth of the studies
PEOPLE = np.linspace(-6, 6, 2001)
WEIGHT = np.exp(-(PEOPLE**2) / 2) / np.exp(-(PEOPLE**2) / 2).sum()
GRID = np.linspace(-2.5, 2.5, 101)
Test = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]


def sampled(latent: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Mean of 12 answers of yes and no, sampled, as those of the built-in respondent."""
    yes = expit(1.7 * (latent[..., None] - np.linspace(-2, 2, ITEMS)))
    return np.where(rng.random(yes.shape) < yes, 1.0, -1.0).mean(axis=-1)


def greedy(latent: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The same where the likelier answer is given, with the respondent's own noise."""
    odds = 2.9 * (latent[..., None] - np.linspace(-2.18, 2.18, ITEMS))
    return np.where(odds + 0.34 * rng.standard_normal(odds.shape) > 0, 1.0, -1.0).mean(axis=-1)


def continuous(latent: FloatArray, rng: np.random.Generator) -> FloatArray:
    return latent + 0.5 * rng.standard_normal(latent.shape)


def skewed(latent: FloatArray, rng: np.random.Generator) -> FloatArray:
    return latent + 0.5 * (rng.exponential(1, latent.shape) - 1)


def sparse(latent: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Answers that hardly ever differ: one role in seven, by one item. Shifts move nine roles of ten."""
    flips = np.where(rng.random(latent.shape) < 0.15, rng.choice([-1, 1], latent.shape) * 2 / ITEMS, 0.0)
    return np.where(rng.random(latent.shape) < 0.9, latent, 0.0) / 4 + flips


ANSWERS = {f.__name__: f for f in (sampled, greedy, continuous, skewed, sparse)}


def mean_scores(kind: str) -> FloatArray:
    """By how much the mean score over people differs where all are shifted by GRID."""
    if kind in ("continuous", "skewed"):
        return GRID
    if kind == "sparse":
        return 0.9 * GRID / 4
    people = PEOPLE[:, None] + GRID[:, None, None]
    if kind == "sampled":
        yes = expit(1.7 * (people - np.linspace(-2, 2, ITEMS)))
    else:
        yes = ndtr(2.9 * (people - np.linspace(-2.18, 2.18, ITEMS)) / 0.34)
    scores = (2 * yes - 1).mean(axis=-1) @ WEIGHT
    return np.asarray(scores - scores[len(GRID) // 2])


def differences(kind: str, roles: int, shift: FloatArray, rng: np.random.Generator) -> FloatArray:
    """[roles, conditions, values] to one baseline."""
    latent = rng.standard_normal((roles, shift.shape[1]))
    if kind == "sparse":  # greedy answers that a condition leaves as they are
        latent[:] = 0.0
        return sparse(np.broadcast_to(shift, (roles, *shift.shape)), rng)
    ask = ANSWERS[kind]
    return ask(latent[:, None] + shift, rng) - ask(latent, rng)[:, None]


def moderated(table: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """p, low and high of what `axiograph effects` does."""
    count, mean, variance = (a.reshape(table.shape[1:]) for a in moments(table.reshape(len(table), -1)))
    tests, _ = MeanTests.of(mean, variance, count, 6)
    reach = tests.reach(LEVEL)
    return tests.p, mean - reach, mean + reach


def student(table: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Student's t of every contrast alone."""
    mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(table))
    p = 2 * stats.t.sf(np.abs(mean) / np.maximum(error, 1e-12), len(table) - 1)
    reach = stats.t.isf(LEVEL / 2, len(table) - 1) * error
    still = np.where(mean == 0, 1.0, 2.0 ** (1 - len(table)))  # the exact p of equal signs
    return np.where(error < 1e-12, still, p), mean - reach, mean + reach


def sign_flips(table: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The exact sign-flip test up to 12 roles, else 4,000 flips; no interval."""
    roles, flat = len(table), table.reshape(len(table), -1)
    if roles <= 12:
        signs = ((np.arange(2**roles)[:, None] >> np.arange(roles)) & 1) * 2.0 - 1
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (4000, roles))
    extreme = (np.abs(signs @ flat) >= np.abs(flat.sum(axis=0)) - 1e-9).sum(axis=0)
    p = extreme / len(signs) if roles <= 12 else (1 + extreme) / (1 + len(signs))
    missing = np.full(table.shape[1:], np.nan)
    return p.reshape(table.shape[1:]), missing, missing


def bootstrap(table: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The test of version 0.1.0: the percentile bootstrap over roles, p by inverting its interval."""
    flat = table.reshape(len(table), -1)
    count = int(np.clip(np.ceil(4 * flat.shape[1] / LEVEL), 2000, 20_000))
    means = RoleDraws.of(len(table), count, 0).means(flat)
    means = np.sort(np.where(np.abs(means) <= ROUNDING, 0.0, means), axis=0)
    beyond = np.minimum((means <= 0).sum(axis=0), (means >= 0).sum(axis=0))
    p = np.minimum(1.0, 2 * (1 + beyond) / (count + 1))
    depth = int(tail(LEVEL, count))
    return tuple(a.reshape(table.shape[1:]) for a in (p, means[depth - 1], means[-depth]))  # type: ignore[return-value]


TESTS: dict[str, tuple[Test, Callable[[FloatArray, float], Sequence[Any]]]] = {
    "moderated t, two stages": (moderated, two_stages),
    "moderated t, BH": (moderated, benjamini_hochberg),
    "Student's t, BH": (student, benjamini_hochberg),
    "sign flips, BH": (sign_flips, benjamini_hochberg),
    "bootstrap, BH (0.1.0)": (bootstrap, benjamini_hochberg),
}


def rates(kind: str, roles: int, studies: int) -> list[str]:
    """A row per test: P(any false), mean false, FDR, power, coverage. All tests meet the same studies."""
    scores = mean_scores(kind)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in TESTS}
    for study in range(studies):
        rng = np.random.default_rng([study, roles, 17])
        none = np.zeros((CONDITIONS, VALUES))
        moved = rng.random(none.shape) < MOVED
        shift = rng.normal(0, SPREAD, none.shape)
        truth = np.interp(shift, GRID, scores)
        still, some, all_moved = (
            differences(kind, roles, by, rng)
            for by in (none, SHIFT * moved * rng.choice([-1, 1], none.shape), shift)
        )
        for name, (test, adjust) in TESTS.items():
            if "t," not in name and study % SLOW:
                continue
            false = adjust(test(still)[0], LEVEL)[1].sum()
            changed = adjust(test(some)[0], LEVEL)[1]
            wrong = (changed & ~moved).sum() / max(1, changed.sum())
            power = (changed & moved).sum() / max(1, moved.sum())
            _, low, high = test(all_moved)
            covered = np.nan if np.isnan(low).any() else ((low <= truth) & (truth <= high)).mean()
            found[name].append((false > 0, false, wrong, power, covered))
    return [_row(roles, name, np.array(numbers, float)) for name, numbers in found.items()]


def _row(roles: int, name: str, numbers: FloatArray) -> str:
    some, false, wrong, power, covered = numbers.mean(axis=0)
    error = np.sqrt(some * (1 - some) / len(numbers))
    cells = f"{some:.3f} ± {error:.3f} | {false:.2f} | {wrong:.3f} | {power:.2f}"
    return f"| {roles} | {name} | {cells} | {'–' if np.isnan(covered) else f'{covered:.3f}'} |"


def trend_rates(roles: int, points: int, studies: int) -> str:
    """A row: trends found in sweeps in which nothing trends, and where a fifth of the values do."""
    found = []
    for study in range(studies):
        rng = np.random.default_rng([study, roles, points])
        row = []
        for share in (0.0, MOVED):
            latent, rising = rng.standard_normal((roles, VALUES)), rng.random((CONDITIONS, VALUES)) < share
            slope = rising * rng.choice([-1, 1], rising.shape)
            taus = []
            for sweep in slope:
                strengths = np.linspace(-SHIFT, SHIFT, points)[:, None] * sweep
                taus.append(kendall(sampled(latent[:, None] + strengths, rng)))
            changed = benjamini_hochberg(student(np.stack(taus, axis=1))[0], LEVEL)[1]
            false = (changed & ~rising).sum()
            row += (
                [false > 0, false]
                if share == 0
                else [
                    false / max(1, changed.sum()),
                    (changed & rising).sum() / max(1, rising.sum()),
                ]
            )
        found.append(row)
    some, false, wrong, power = np.mean(found, axis=0)
    return f"| {roles} | {points} | {some:.3f} | {false:.2f} | {wrong:.3f} | {power:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--roles", default="6,8,12,25,50")
    given = parser.parse_args()
    roles, started = [int(part) for part in given.roles.split(",")], time.perf_counter()
    parts = []
    for kind in ANSWERS:
        head = "| roles | test | P(any false) | mean false | FDR | power | coverage |\n" + "|---" * 7 + "|"
        studies = given.studies if kind in ("sampled", "greedy") else max(10, given.studies // 5)
        rows = [row for n in roles for row in rates(kind, n, studies)]
        parts.append(f"## {kind.capitalize()} answers ({studies:,} studies)\n\n{head}\n" + "\n".join(rows))
        print(parts[-1], flush=True)
    studies = max(10, given.studies // 5)
    head = "| roles | strengths | P(any false) | mean false | FDR | power |\n" + "|---" * 6 + "|"
    rows = [trend_rates(n, points, studies) for n in roles for points in (3, 7)]
    title = f"## Trends over strengths, sampled answers, 16 sweeps × 8 values ({studies:,} studies)"
    parts.append(f"{title}\n\n{head}\n" + "\n".join(rows))
    print(parts[-1], flush=True)
    OUT.write_text(_header(given.studies, time.perf_counter() - started) + "\n\n".join(parts) + "\n")


def _header(studies: int, seconds: float) -> str:
    lines = __doc__.split("\n\n")[1].strip()
    return (
        "# Does “changed” keep its promise?\n\n"
        f"`python benchmarks/changes.py --studies {studies}`, {seconds:.0f} s on one core; "
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}.\n\n{lines}\n\n"
        "P(any false) and mean false: of 128 contrasts, in studies in which nothing moves, at a false "
        "discovery rate of 0.05. FDR and power: where a fifth moves. Coverage: of pointwise 95 % intervals. "
        f"Sign flips and the bootstrap on one study in {SLOW}. Two stages: Benjamini, Krieger & Yekutieli "
        "2006; BH: Benjamini & Hochberg 1995. The moderated t with two stages is what axiograph does.\n\n"
    )


if __name__ == "__main__":
    main()
