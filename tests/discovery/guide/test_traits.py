"""Traits in texts of roles, and as proposals in worlds whose truth is known."""

import numpy as np
import pytest

from axiograph.discovery.calibration.respondent import ASSETS, Planted
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import Measured, effects_model
from axiograph.discovery.guide.roles import RoleScores
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import parse_wishes
from axiograph.discovery.guide.traits import (
    MIN_SHARING,
    Trait,
    TraitEffects,
    trait_proposals,
    traits_of,
    with_trait,
)
from axiograph.engine.study.roles import generate_roles, load_role_fields
from tests.discovery.guide.guide_world import THRESHOLDS, World

JUDGES = 60
PAPER = "Gender: male; Job: Engineer, maintenance (IT), MBTI: ENFJ"


def scores_of(texts, answers, names):
    """`answers` [roles, values, items]."""
    value = np.repeat(np.arange(len(names)), answers.shape[2])
    return RoleScores(tuple(texts), tuple(names), answers.reshape(len(texts), -1), value, None)


def searching(scores, raised, held=()):
    model = effects_model(Measured(scores.names, scores.scores, {}, {}), (), None)
    wishes = parse_wishes(raised, [], held, scores.names)
    return Search(model, wishes, 1, JUDGES, frozenset({LeverKind.TRAIT}))


def test_generated_and_published_texts_are_lists_of_traits():
    assert traits_of("Age: young; Work: nurse") == (Trait("Age", "young"), Trait("Work", "nurse"))
    found = {trait.field: trait.option for trait in traits_of(PAPER)}
    assert found == {"Gender": "male", "Job": "Engineer, maintenance (IT)", "MBTI": "ENFJ"}
    assert traits_of("Age: young\nHeight in cm: 180") == (Trait("Age", "young"), Trait("Height in cm", "180"))


@pytest.mark.parametrize(
    "text", ["", "You are a male engineer.", "Age: ; Work: cook", "Age: 5; Age: 6", "12:30"]
)
def test_what_is_no_list_has_no_traits(text):
    assert traits_of(text) == () and with_trait(text, Trait("Age", "old")) is None


def test_a_trait_takes_the_place_of_the_option_alone():
    assert with_trait(PAPER, Trait("Job", "Cook")) == "Gender: male; Job: Cook, MBTI: ENFJ"
    assert with_trait(PAPER, Trait("MBTI", "INTP")).endswith("(IT), MBTI: INTP")
    assert with_trait(PAPER, Trait("Gender", "male")) == PAPER
    assert with_trait("Age: young", Trait("Work", "nurse")) == "Age: young; Work: nurse"
    # What was put in is read back.
    assert Trait("Work", "nurse") in traits_of(with_trait("Age: young", Trait("Work", "nurse")))


def test_the_effect_of_a_trait_is_told_apart_from_that_of_others():
    # 40 roles, two fields, in every combination as often; Age counts 0.4, Work nothing, and no noise.
    texts = {
        f"r{i}": f"Age: {'old' if i % 2 else 'young'}; Work: {'cook' if i // 2 % 2 else 'nurse'}"
        for i in range(40)
    }
    old = np.array([i % 2 for i in range(40)])
    noise = np.random.default_rng(0).normal(0, 0.02, 40)
    answers = np.repeat((0.4 * old - 0.2 + noise)[:, None, None], 3, axis=2)
    found = TraitEffects.of(scores_of(texts, answers, ["a"]), texts)
    effects = dict(zip((t.name for t in found.traits), found.effect[:, 0], strict=True))
    assert effects["Age: old"] == pytest.approx(0.4, abs=0.02)
    assert effects["Age: young"] == pytest.approx(-0.4, abs=0.02)
    assert effects["Work: cook"] == pytest.approx(0.0, abs=0.02)
    assert found.roles == 40 and found.sharing.tolist() == [20] * 4
    # Every role that gets old was young: nothing differs from role to role but the noise.
    place = [t.name for t in found.traits].index("Age: old")
    assert found.spread[place, 0] == pytest.approx(np.sqrt(2) * 0.02, rel=0.3)


def test_where_traits_say_nothing_none_is_proposed():
    rng = np.random.default_rng(1)
    texts = {f"r{i}": f"Age: {i % 4}; Work: {i % 5}" for i in range(60)}
    scores = scores_of(texts, rng.normal(0, 0.3, (60, 2, 4)), ["a", "b"])
    judges = [f"Age: {i % 4}; Work: {i % 5}" for i in range(20)]
    assert trait_proposals(scores, texts, judges, searching(scores, ["a"]), 3, ratio=None) == []


def test_roles_without_a_list_and_rare_traits_are_no_part_of_it():
    texts = {f"r{i}": f"Age: {'old' if i < 4 else 'young'}" for i in range(20)} | {"": "", "p": "A cook."}
    answers = np.zeros((22, 1, 3)) + np.array([0.5] * 4 + [-0.5] * 16 + [9, 9])[:, None, None]
    scores = scores_of(texts, answers + np.random.default_rng(0).normal(0, 0.01, (22, 1, 1)), ["a"])
    found = TraitEffects.of(scores, texts)
    assert found.roles == 20 and sorted(found.sharing.tolist()) == [4, 16]
    judges = ["Age: young"] * 5 + ["Age: old"] * 5
    # Four roles are old: too few to propose it; being young lowers.
    assert trait_proposals(scores, texts, judges, searching(scores, ["a"]), 3, ratio=None) == []
    wishes = parse_wishes([], ["a"], [], ["a"])
    lowering = Search(searching(scores, ["a"]).model, wishes, 1, 10, frozenset({LeverKind.TRAIT}))
    (only,) = trait_proposals(scores, texts, judges, lowering, 3, ratio=None)
    assert only.name == "Age: young" and only.kind is LeverKind.TRAIT
    assert (only.reliability.sharing, only.reliability.roles, only.reliability.judges) == (16, 20, 5)
    # Nobody among these judges can be given it.
    assert trait_proposals(scores, texts, ["Age: young"] * 9, lowering, 3, ratio=None) == []


def test_other_items_make_wider_intervals():
    """Each item takes to the trait in its own way."""
    rng = np.random.default_rng(2)
    texts = {f"r{i}": f"Age: {'old' if i % 2 else 'young'}" for i in range(200)}
    old = np.array([i % 2 for i in range(200)])
    shift = np.array([1.0, 0.0, 0.6, 0.4, 0.9, 0.1])
    scores = scores_of(texts, (old[:, None] * shift + rng.normal(0, 0.1, (200, 6)))[:, None, :], ["a"])
    found = TraitEffects.of(scores, texts)
    assert found.item[0] == pytest.approx(shift.var(ddof=1), rel=0.1)
    judges = ["Age: young"] * 20
    same, other = (
        trait_proposals(scores, texts, judges, searching(scores, ["a"]), 1, ratio=ratio)[0].prediction
        for ratio in (None, 1.0)
    )
    assert same.mean == pytest.approx(other.mean)
    expected = 2 * 1.96 * np.sqrt(2 * shift.var(ddof=1) / 6)
    assert (other.high - other.low)[0] == pytest.approx(expected, rel=0.1)
    assert (same.high - same.low)[0] < expected / 4


def test_planted_traits_do_what_is_predicted():
    """150 generated roles with the respondent's truth: 95 % of the intervals hold what giving a trait to
    other roles does, and the best of many is as good as it is said to be."""
    fields, planted = load_role_fields(ASSETS / "role_fields.yaml"), Planted.load()
    world, rng = World.respondent(), np.random.default_rng(0)
    roles = {role.name: role.text for role in generate_roles(fields, 150, 1)}
    judges = [role.text for role in generate_roles(fields, JUDGES, 2)]

    def answered(texts):
        return world.answers(planted.values(texts), {}, rng, THRESHOLDS)

    scores = scores_of(roles, answered(list(roles.values())), world.names)
    before, inside, total = answered(judges).mean(axis=2), 0, 0
    said = done = 0.0
    for raised in world.names:
        for proposal in trait_proposals(scores, roles, judges, searching(scores, [raised]), 3, ratio=None):
            trait = traits_of(proposal.name)[0]
            pairs = [(i, with_trait(text, trait)) for i, text in enumerate(judges)]
            pairs = [(i, text) for i, text in pairs if text != judges[i]]
            change = answered([text for _, text in pairs]).mean(axis=2) - before[[i for i, _ in pairs]]
            assert proposal.reliability.judges == len(pairs)
            assert proposal.reliability.sharing >= MIN_SHARING
            own, k = proposal.prediction, world.names.index(raised)
            inside += int(((change.mean(axis=0) >= own.low) & (change.mean(axis=0) <= own.high)).sum())
            total += len(world.names)
            said, done = said + own.mean[k], done + change.mean(axis=0)[k]
    assert total == 3 * 8 * 8
    assert inside / total > 0.91  # 0.95 less two and a half standard errors
    assert done == pytest.approx(said, rel=0.1)
