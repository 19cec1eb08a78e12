"""Guided steering on the published Gemma answers: chosen by the training roles, judged by the test roles.

`python -m benchmarks.guide_gemma ../shared/paper/gemma`. Every value is to be raised, and to be lowered, as
far as possible with the fewest side effects (discovery.guide.search); unguided is the feature with the
largest effect on it. One strength was published and no combination, so that a proposal is one feature at it.
The test roles were asked other items, and answers are published as means: no interval holds the items' part.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from axiograph.discovery.discover import discover
from axiograph.discovery.effects.relations import Weights
from axiograph.discovery.guide.levers import Lever, LeverKind
from axiograph.discovery.guide.link import position
from axiograph.discovery.guide.model import EffectsModel, Measured, effects_model
from axiograph.discovery.guide.paths import Paths
from axiograph.discovery.guide.proposal import Proposal
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import parse_wishes
from axiograph.discovery.guide.validation import OTHERS, Asked, Judged, judge
from axiograph.discovery.paper.answers import PublishedAnswers, read_answers
from axiograph.discovery.paper.procedures import steering_counts
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import DiscoverySpec

STRENGTH = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    train = read_answers(options.directory / "answers_train.csv")
    test = read_answers(options.directory / "answers_test.csv").reordered(train.values)
    profiles, judges = _profiles(train), _profiles(test)
    shared = [f for f in train.features() if f in test.features()]
    model, weights = _model(profiles, train.values, shared)
    chosen = [
        _choose(model, weights, judges, value, sign, len(judges["role"].unique()))
        for value in train.values
        for sign in (1, -1)
    ]
    print(
        f"{len(shared)} features, {len(train.values)} values, {len(model.measured.baseline)} training roles"
    )
    for sign, side in ((1, "positive"), (-1, "negative")):
        _side([c for c in chosen if c.sign == sign], side, test, options.directory)
    _effects([c for c in chosen if c.judged is not None])
    _coverage(chosen)


@dataclass(frozen=True)
class Choice:
    value: str
    sign: int
    guided: Proposal | None
    unguided: str
    judged: Judged | None
    refused: str
    judged_unguided: pl.DataFrame | None = None


def _profiles(answers: PublishedAnswers) -> pl.DataFrame:
    rows = {
        "role": ["(no role)" if role is None else role for role in answers.role],
        "condition": ["baseline" if f is None else f"f{f}" for f in answers.feature],
    }
    return pl.DataFrame(rows | dict(zip(answers.values, answers.scores.T, strict=True)))


def _model(
    profiles: pl.DataFrame, values: tuple[str, ...], features: list[int]
) -> tuple[EffectsModel, Weights]:
    """The graph is axiograph's own: from the baseline rows of the training roles, one row a role."""
    before = profiles.filter(pl.col("condition") == "baseline")
    graph = discover(before, DiscoverySpec(replicates=500))
    levers = tuple(
        Lever(
            f"f{f}", LeverKind.SAE, ((STRENGTH, f"f{f}"),), unit="raw", switch=True, solo=True, high=STRENGTH
        )
        for f in features
    )
    measured = Measured.of(profiles)
    width = effects_model(measured, levers, None, draws=2).link.width
    rng = np.random.default_rng(0)
    scores = before.select(values).to_numpy()
    paths = Paths.of(position(scores, width), values, graph.graph, graph.bootstrap.graphs, 500, rng)
    return effects_model(measured, levers, paths, draws=500), Weights.of(graph.graph, graph.bootstrap.graphs)


def _choose(
    model: EffectsModel, weights: Weights, judges: pl.DataFrame, value: str, sign: int, count: int
) -> Choice:
    wishes = parse_wishes([value] if sign > 0 else [], [value] if sign < 0 else [], [], model.names)
    search = Search(model, wishes, 1, count, frozenset({LeverKind.SAE}), weights)
    try:
        best = search.proposals(1)[0]
    except InputError as error:
        return Choice(value, sign, None, "", None, str(error).partition(".")[0])
    lever, _ = search.rival(best)
    table = best.table(model, wishes)
    judged = judge(judges, [Asked(1, best.name, table, next(iter(best.settings)), lever.name)])
    rival = judge(judges, [Asked(1, lever.name, table, lever.name)]).predictions
    return Choice(value, sign, best, lever.name, judged, "", rival)


def _side(chosen: list[Choice], side: str, test: PublishedAnswers, directory: Path) -> None:
    made = [c for c in chosen if c.guided is not None]
    print(f"\n{side}: {len(made)} of {len(chosen)} values have a feature that moves them so (training roles)")
    for label, features in (
        ("guided", {c.value: int(next(iter(c.guided.settings))[1:]) for c in made if c.guided}),
        ("unguided", {c.value: int(c.unguided[1:]) for c in made}),
    ):
        print(f"  {label:<34} {_counts(steering_counts(test, test, features))}")
    published = json.loads((directory / "expected_steering_comparison.json").read_text(encoding="utf-8"))
    by_eye = published["features"][side]
    prompt = read_answers(directory / f"compare_{side}.csv").reordered(test.values)
    same = [c for c in made if c.value in by_eye]
    print(f"  on the {len(same)} of the paper's {len(by_eye)} values:")
    for label, targets, answers in (
        ("guided", {c.value: int(next(iter(c.guided.settings))[1:]) for c in same if c.guided}, test),
        ("unguided", {c.value: int(c.unguided[1:]) for c in same}, test),
        ("the paper's choice (by test roles)", {c.value: by_eye[c.value] for c in same}, test),
        ("the paper's hard prompt", dict.fromkeys((c.value for c in same), None), prompt),
    ):
        print(f"    {label:<34} {_counts(steering_counts(test, answers, targets))}")


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{counts[key]} {key} ({counts[key] / max(total, 1):.0%})" for key in counts)


def _effects(chosen: list[Choice]) -> None:
    """Target changes and side effects on the test roles; then at equal change of the target."""
    print()
    for which in ("guided", "unguided"):
        moved, others = np.array([_moved(c, which) for c in chosen]).T
        print(
            f"{which:<9} target moved the wanted way by {moved.mean():+.3f} points on the test roles (mean "
            f"over {len(chosen)} wishes), sum of |change| of all others {others.mean():.2f} points"
        )
    differing = [c for c in chosen if c.guided is not None and next(iter(c.guided.settings)) != c.unguided]
    print(
        f"\nguided is another feature than unguided for {len(differing)} of {len(chosen)} wishes; of these:"
    )
    rows = []
    for c in differing:
        assert c.judged is not None
        own = c.judged.comparison.filter(pl.col("value").is_null()).row(0, named=True)
        if own["guided_target"] * c.sign > 0 and own["unguided_target"] * c.sign > 0:
            rows.append((own["guided"], own["unguided"], own["p"], own["low"]))
    against = len(differing) - len(rows)
    print(f"  {against} in which one of the two does not move the target the wanted way on the test roles")
    if rows:
        ours, theirs, p, low = np.array(rows).T
        better = int(((p < 0.05) & (low > 0)).sum())
        print(
            f"  the other {len(rows)}: sum of |change| of all other values {np.mean(ours):.2f} against "
            f"{np.mean(theirs):.2f} standard deviations at equal target change (median ratio "
            f"{np.median(ours / theirs):.2f}); smaller in {int((ours < theirs).sum())}, by the paired test "
            f"in {better}"
        )


def _moved(choice: Choice, which: str) -> tuple[float, float]:
    """(signed change of the target, sum of |change| of all other values), in points."""
    assert choice.judged is not None
    own = choice.judged.predictions if which == "guided" else choice.judged_unguided
    assert own is not None
    is_target = pl.col("value") == choice.value
    target = choice.sign * float(own.filter(is_target)["measured"][0])
    return target, float(own.filter(~is_target)["measured"].abs().sum())


def _coverage(chosen: list[Choice]) -> None:
    judged = [c.judged for c in chosen if c.judged is not None]
    inside, total = (sum(part) for part in zip(*(j.coverage() for j in judged), strict=True))
    signs = [
        (row["change"] > 0) == (row["measured"] > 0)
        for j in judged
        for row in j.predictions.filter(
            ((pl.col("low") > 0) | (pl.col("high") < 0)) & (pl.col("measured") != 0)
        ).iter_rows(named=True)
    ]
    print(f"\nintervals at 95 %: {inside} of {total} hold the test roles' mean ({inside / total:.1%})")
    print(
        f"signs of the changes whose interval excludes 0: {sum(signs)} of {len(signs)} agree "
        f"({np.mean(signs):.1%}); groups compared: {OTHERS}"
    )


if __name__ == "__main__":
    main()
