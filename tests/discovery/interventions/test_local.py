"""The score of a value and its causes, against a slow one that says the same in matrices."""

import numpy as np
import pytest

from axiograph.discovery.interventions.local import STEPS, Evidence, local_score, make_bench


def random_evidence(seed, p=5, experiments=4):
    rng = np.random.default_rng(seed)
    corr = np.corrcoef(rng.normal(size=(80, p)) @ rng.normal(size=(p, p)), rowvar=False)
    sizes = rng.integers(1, 4, experiments)
    m = int(sizes.sum())
    return Evidence(
        corr, 80.0, rng.normal(size=(p, m)), rng.uniform(0.01, 0.1, (p, m)), rng.uniform(0.01, 0.05, p),
        np.cumsum(sizes), 10.0 + sizes,
    )  # fmt: skip


def slow_score(evidence, y, causes):
    """The same weighted least squares by numpy, without any of its own loops over values."""
    e, errors, corr, n = evidence.effects.T, evidence.errors.T, evidence.corr, evidence.rows
    groups = np.repeat(np.arange(len(evidence.ends)), np.diff(np.r_[0, evidence.ends]))
    x = np.c_[e[:, causes], np.ones(len(e))]
    b, counts, variance = np.zeros(len(causes) + 1), np.ones(len(evidence.ends), bool), corr[y, y]

    def spread(table, own):
        return own + table[..., causes] @ b[:-1] ** 2

    weights = 1 / spread(errors, errors[:, y])
    for _ in range(STEPS):
        prior = np.zeros((len(b), len(b)))
        prior[:-1, :-1] = n / variance * corr[np.ix_(causes, causes)]
        prior[-1, -1] = 1 / spread(evidence.shared, evidence.shared[y])
        used = weights * counts[groups]
        right = x.T @ (used * e[:, y])
        right[:-1] += n / variance * corr[causes, y]
        before, b = b, np.linalg.solve(prior + x.T @ (used[:, None] * x), right)
        variance = corr[y, y] - 2 * b[:-1] @ corr[causes, y] + b[:-1] @ corr[np.ix_(causes, causes)] @ b[:-1]
        weights = 1 / spread(errors, errors[:, y])
        costs = np.bincount(groups, weights * (e[:, y] - x @ b) ** 2)
        same = np.array_equal(counts, costs < evidence.limits)
        counts = costs < evidence.limits
        if same and np.abs(b - before).max() < 0.01:
            break
    shared = spread(evidence.shared, evidence.shared[y])
    return -n * np.log(variance) - b[-1] ** 2 / shared - np.minimum(costs, evidence.limits).sum()


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_slow_one(seed):
    evidence = random_evidence(seed)
    rng = np.random.default_rng([seed, 1])
    y = int(rng.integers(5))
    causes = rng.permutation([x for x in range(5) if x != y])[: seed % 4].tolist()
    bench = make_bench(evidence)
    bench.causes[: len(causes)] = causes
    assert local_score(evidence, bench, y, len(causes)) == pytest.approx(
        slow_score(evidence, y, causes), abs=1e-6
    )


def test_without_experiments_it_is_the_gaussian_likelihood():
    evidence = random_evidence(1, experiments=0)
    bench = make_bench(evidence)
    bench.causes[:2] = [1, 2]
    c = evidence.corr
    explained = c[0, [1, 2]] @ np.linalg.solve(c[np.ix_([1, 2], [1, 2])], c[[1, 2], 0])
    assert local_score(evidence, bench, 0, 2) == pytest.approx(-80 * np.log(1 - explained))


def test_an_effect_that_no_cause_explains_costs_no_more_than_the_limit():
    evidence = random_evidence(2)
    far = evidence._replace(effects=evidence.effects.copy())
    far.effects[0, 0] += 1000.0
    bench = make_bench(far)
    scores = [local_score(one, bench, 0, 0) for one in (evidence, far)]
    assert scores[0] - scores[1] <= evidence.limits[0] + 1e-9


def test_what_is_not_known_of_an_effect_costs_nothing():
    evidence = random_evidence(3)
    unknown = evidence._replace(effects=evidence.effects.copy(), errors=evidence.errors.copy())
    unknown.effects[:, 0], unknown.errors[:, 0] = 0.0, 1e9
    first = 1 if evidence.ends[0] == 1 else 0  # an experiment of one condition is gone with it
    without = evidence._replace(
        effects=evidence.effects[:, 1:].copy(),
        errors=evidence.errors[:, 1:].copy(),
        ends=(evidence.ends - 1)[first:],
        limits=evidence.limits[first:],
    )
    bench = make_bench(unknown)
    bench.causes[0] = 1
    other = make_bench(without)
    other.causes[0] = 1
    assert local_score(unknown, bench, 0, 1) == pytest.approx(local_score(without, other, 0, 1), abs=1e-4)
