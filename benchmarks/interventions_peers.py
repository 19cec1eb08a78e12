r"""Other methods for roles and experiments, on the planted studies of the same benchmark.

Rows of steered answers come in two forms (`as_scored`, `as_differences`). GIES, and arrows from steering, are
told which value a feature acts on; UT-IGSP, joint causal inference and the interventional graph are not.
Settings were chosen by SHD on ten other graphs each of 8 and 17 values, greedy (study numbers from 1000),
among penalties of 1, 2, 4 and 8 and levels of 0.05, 0.01 and 0.001.

    pip install -e .[peers]
    pip install --no-deps graphical_model_learning==0.1a8 graphical_models==0.1a21 \
        conditional_independence==0.1a6 pgmpy==1.1.2 pygam==0.12.0 xgboost==3.2.0 scikit-base opt_einsum \
        ipdb decorator progressbar2 python_utils numexpr

The second is for UT-IGSP, in an environment of its own: pygam declares an older SciPy than axiograph needs.
The table says what is not installed.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from interventions_studies import Study
from scipy.stats import ttest_1samp

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import with_design
from axiograph.discovery.graph.marks import Endpoint
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.search import SearchFunction, pc

CHOSEN_PENALTY = 4.0  # times BIC's, on differences: rows of one role say less than as many roles would
CHOSEN_LEVEL = 0.01


@dataclass(frozen=True, eq=False)
class Rows:
    """`observational` [rows, p]; `steered`: of each condition [rows, p]; none with a missing score."""

    observational: FloatArray
    steered: tuple[FloatArray, ...]


def as_scored(study: Study) -> Rows:
    """What was answered; the steered roles' baseline is observational."""
    steered = study.before + study.experiments.differences
    return Rows(_complete(np.vstack([study.baseline, study.before])), tuple(map(_complete, steered)))


def as_differences(study: Study) -> Rows:
    """Steered: the training roles' mean, and how far each role moved from its own baseline. Roles then differ
    in nothing else: the few that are steered, again in every condition, do not pass for many."""
    steered = study.baseline.mean(axis=0) + study.experiments.differences
    return Rows(study.baseline, tuple(map(_complete, steered)))


def joint(study: Study) -> CausalGraph:
    """The interventional graph, one search."""
    names = study.model.graph.names
    search = InterventionalSearch.beside(BestOrder(), study.experiments, names, study.baseline)
    return search(study.baseline, names).graph


def gies(study: Study, rows: Rows, penalty: float = 1.0) -> CausalGraph:
    """Greedy interventional equivalence search (Hauser & Bühlmann 2012), of the package gies; `penalty`:
    times BIC's. An environment is all that was done to one value, both strengths together: the package takes
    the mean of an environment away, and with it what a single strength did."""
    import gies as package
    from gies.scores.gauss_int_l0_pen import GaussIntL0Pen

    data = [rows.observational, *_by_feature(study, rows)]
    targets = [[], *([value] for value in dict.fromkeys(study.targets.tolist()))]
    cost = penalty * np.log(sum(map(len, data))) / 2
    return _graph(study, np.asarray(package.fit(GaussIntL0Pen(data, targets, lmbda=cost))[0]) != 0)


def ut_igsp(study: Study, rows: Rows, level: float = 0.05, *, by_feature: bool = False) -> CausalGraph:
    """Interventional greedy sparsest permutation with unknown targets (Squires et al. 2020), of the package
    graphical_model_learning of causaldag, with its Gaussian tests: independence at `level`, invariance at
    0.05. It is a DAG: edges have a direction also where the data tell none. `by_feature`: one setting a
    feature instead of one a condition."""
    import conditional_independence as tests
    from graphical_model_learning import unknown_target_igsp

    steered = _by_feature(study, rows) if by_feature else list(rows.steered)
    independent = tests.MemoizedCI_Tester(
        tests.partial_correlation_test, tests.partial_correlation_suffstat(rows.observational), alpha=level
    )
    invariant = tests.MemoizedInvarianceTester(
        tests.gauss_invariance_test, tests.gauss_invariance_suffstat(rows.observational, steered), alpha=0.05
    )
    settings: list[dict[str, list[int]]] = [{"known_interventions": []} for _ in steered]
    random.seed(0)  # of the package's orders
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # more parents than rows leave no variance
        dag, _ = unknown_target_igsp(settings, set(range(len(study.dag))), independent, invariant)
    return _graph(study, np.asarray(dag.to_amat()[0]) != 0)


def jci(study: Study, rows: Rows, search: SearchFunction, level: float = 0.05) -> CausalGraph:
    """Joint causal inference (Mooij et al. 2020): `search` on all rows, with a column a feature for how far
    it steers, which nothing causes; no two of these columns are adjacent."""
    names = study.model.graph.names
    features = study.experiments.experiment
    contexts = tuple(f"feature {k}" for k in range(int(features.max()) + 1))
    tables = [np.hstack([rows.observational, np.zeros((len(rows.observational), len(contexts)))])]
    for steered, feature, strength in zip(rows.steered, features, study.strengths, strict=True):
        levels = np.zeros((len(steered), len(contexts)))
        levels[:, feature] = strength
        tables.append(np.hstack([steered, levels]))
    knowledge = with_design(None, names, contexts)
    found = search(np.vstack(tables), (*names, *contexts), level, knowledge).graph
    kept = [found.names.index(name) for name in names]
    return CausalGraph(names, found.marks[np.ix_(kept, kept)])


def from_steering(study: Study, search: SearchFunction, level: float = CHOSEN_LEVEL) -> CausalGraph:
    """`search` on the training roles, and arrows from what steering moved."""
    names = study.model.graph.names
    return oriented(search(study.baseline, names).graph, moved(study, level))


def moved(study: Study, level: float) -> BoolArray:
    """[p, p]: whether the feature of x moves y, by a paired t test over roles of half the difference that its
    strengths −1 and +1 make."""
    p = len(study.model.graph.names)
    result = np.zeros((p, p), dtype=bool)
    signs = np.sign(study.strengths)[:, None, None]
    for value in np.unique(study.targets):
        of_value = study.targets == value
        slopes = np.mean((signs * study.experiments.differences)[of_value], axis=0)
        with warnings.catch_warnings():
            # Greedy answers may move by the same in every role; where they do not move at all p is NaN.
            warnings.simplefilter("ignore", RuntimeWarning)
            result[value] = ttest_1samp(slopes, 0.0, nan_policy="omit").pvalue < level
    return result


def oriented(graph: CausalGraph, moves: BoolArray) -> CausalGraph:
    """x → y for every edge of which steering x moves y and steering y does not move x, or is not done; the
    others as in `graph`."""
    arrows = (graph.marks != Endpoint.NONE) & moves & ~moves.T
    marks = np.array(graph.marks)
    marks[arrows], marks[arrows.T] = Endpoint.ARROW, Endpoint.TAIL
    return CausalGraph(graph.names, marks)


@dataclass(frozen=True)
class Peer:
    """`graphs`: at most so many are searched, where one takes long."""

    name: str
    setting: str
    find: Callable[[Study], CausalGraph]
    graphs: int | None = None


PEERS = (
    Peer("joint", "as above", joint),
    Peer("GIES", "scores; BIC", lambda s: gies(s, as_scored(s)), 10),
    Peer("GIES", "differences; 4 BIC", lambda s: gies(s, as_differences(s), CHOSEN_PENALTY)),
    Peer("UT-IGSP", "scores; 0.05; a setting a condition", lambda s: ut_igsp(s, as_scored(s))),
    Peer(
        "UT-IGSP",
        "differences; 0.01; a setting a feature",
        lambda s: ut_igsp(s, as_differences(s), CHOSEN_LEVEL, by_feature=True),
    ),
    Peer("JCI, PC", "scores; 0.05", lambda s: jci(s, as_scored(s), pc)),
    Peer("JCI, PC", "differences; 0.01", lambda s: jci(s, as_differences(s), pc, CHOSEN_LEVEL)),
    Peer("JCI, boss", "scores; 2 BIC", lambda s: jci(s, as_scored(s), BestOrder())),
    Peer("JCI, boss", "differences; 4 BIC", lambda s: jci(s, as_differences(s), BestOrder(CHOSEN_PENALTY))),
    Peer("pc, arrows from steering", "0.05; t tests 0.01", lambda s: from_steering(s, pc)),
    Peer("boss, arrows from steering", "2 BIC; t tests 0.01", lambda s: from_steering(s, BestOrder())),
)


def _by_feature(study: Study, rows: Rows) -> list[FloatArray]:
    """Of each feature, the rows of all its strengths."""
    numbers = study.experiments.experiment
    return [np.vstack([rows.steered[c] for c in np.flatnonzero(numbers == k)]) for k in np.unique(numbers)]


def _complete(rows: FloatArray) -> FloatArray:
    return np.asarray(rows[~np.isnan(rows).any(axis=1)])


def _graph(study: Study, edges: BoolArray) -> CausalGraph:
    """With an edge [x, y] both ways as one without a direction."""
    names = study.model.graph.names
    return CausalGraph.from_edges(names, [(names[x], names[y]) for x, y in np.argwhere(edges)])
