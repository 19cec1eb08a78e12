"""Proposals in a world whose truth is known: targets, held descendants, values without an own feature."""

from dataclasses import fields, replace

import numpy as np
import pytest

from axiograph.discovery.guide.levers import Lever, LeverKind
from axiograph.discovery.guide.proposal import STEERED
from axiograph.discovery.guide.search import Search, round_strength
from axiograph.discovery.guide.targets import parse_wishes
from axiograph.engine.errors import InputError
from tests.discovery.guide.guide_world import World, direct_shift, fitted

JUDGES = 40


@pytest.fixture(scope="module")
def world():
    return World.respondent()


@pytest.fixture(scope="module")
def model(world):
    return fitted(world, roles=150, draws=200)


@pytest.fixture(scope="module")
def without():
    """No features of Achievement and Universalism."""
    world = World.respondent(without=("Achievement", "Universalism"))
    return world, fitted(world, roles=150, draws=200)


def search(model, world, raised=(), lowered=(), held=(), budget=3, **more):
    wishes = parse_wishes(raised, lowered, held, model.names)
    return Search(model, wishes, budget, JUDGES, frozenset(LeverKind), world.weights(), **more)


def truth(world, settings, seed=9, roles=4000):
    """What steering does to a great many new roles, in points."""
    rng = np.random.default_rng(seed)
    values = world.roles(roles, rng)
    scores = [world.answers(values, s, rng).mean(axis=(0, 2)) for s in (settings, {})]
    return dict(zip(world.names, scores[0] - scores[1], strict=True))


def test_a_single_target_is_reached_by_its_own_feature(model, world):
    found = search(model, world, ["Power=1sd"]).proposals(1)[0]
    assert list(found.settings) == ["f112"]
    k = model.names.index("Power")
    wanted = float(model.measured.deviation[k])
    assert found.prediction.mean[k] == pytest.approx(wanted, rel=0.02)
    assert truth(world, found.settings)["Power"] == pytest.approx(wanted, rel=0.1)
    assert found.says[k] == STEERED and found.says[model.names.index("Achievement")] == "must follow"
    assert found.says[model.names.index("Security")] == "should stay"
    (carrier,) = found.reliability.carriers
    assert (carrier.steered, carrier.frequency) == ("Power", 1.0)


def test_a_descendant_is_held_by_a_second_opposing_feature(model, world):
    asked = search(model, world, ["Power=1sd"], held=["Achievement"])
    found = asked.proposals(1)[0]
    assert set(found.settings) == {"f112", "f424"}
    assert found.settings["f112"] > 0 > found.settings["f424"]
    lever, strength = asked.rival(found)
    guided, unguided = truth(world, found.settings), truth(world, {lever.name: strength})
    assert guided["Power"] == pytest.approx(unguided["Power"], rel=0.1)
    assert abs(guided["Achievement"]) < abs(unguided["Achievement"]) / 5
    assert found.reliability.carriers[1].target is None  # it opposes only


def test_a_value_without_a_feature_is_moved_through_an_ancestor(without):
    world, model = without
    found = search(model, world, ["Achievement=0.5sd"], held=["Universalism"]).proposals(1)[0]
    k = model.names.index("Achievement")
    wanted = 0.5 * float(model.measured.deviation[k])
    moved = truth(world, found.settings)
    assert moved["Achievement"] == pytest.approx(wanted, rel=0.15)
    assert abs(moved["Universalism"]) < 0.05
    assert found.says[k] == "must follow"


def test_as_far_as_possible_goes_to_the_end_of_the_range(model, world):
    found = search(model, world, lowered=["Power"]).proposals(1)[0]
    assert found.settings["f112"] == -4.0 and found.reached == {"Power": None}


def test_several_proposals_are_different_sets_by_rising_cost(model, world):
    found = search(model, world, ["Power=0.5sd"], held=["Achievement"]).proposals(3)
    sets = [frozenset(proposal.settings) for proposal in found]
    assert len(set(sets)) == len(sets) > 1
    assert [p.cost for p in found] == sorted(p.cost for p in found)
    table = found[0].table(model, search(model, world, ["Power=0.5sd"], held=["Achievement"]).wishes)
    assert table.filter(value="Power")["wish"].item() == "raise"
    assert table.filter(value="Achievement")["wanted"].item() == 0.0


def test_contradictory_wishes_are_refused_with_what_to_measure(world):
    only = World(world.names, world.graph, world.total, world.noise, {"f396": world.names.index("Security")})
    small = fitted(only, roles=40, draws=100)
    with pytest.raises(InputError) as error:
        search(small, only, ["Security"], held=["Conformity"]).proposals(2)
    text = str(error.value)
    assert "Conformity by +" in text and "Measure next: a feature or hint that moves Conformity" in text
    assert "\n" not in text
    with pytest.raises(InputError) as error:
        search(small, only, ["Power"]).proposals(2)
    text = str(error.value)
    assert "f396" in text and "Measure next: other features" in text
    with pytest.raises(InputError, match=r"likely causes.*Power"):
        search(small, only, ["Universalism"]).proposals(2)


def test_held_for_a_reference_graph_counts_as_held(model, world):
    free = search(model, world, ["Power=1sd"]).proposals(1)[0]
    kept = search(model, world, ["Power=1sd"], keep_still=("Achievement",)).proposals(1)[0]
    k = model.names.index("Achievement")
    assert abs(kept.prediction.mean[k]) < 0.02 < free.prediction.mean[k]


def test_strengths_are_rounded_within_the_bounds():
    lever = Lever("x", LeverKind.SAE, ((3.0, "x:+3"),), high=3.0)
    assert round_strength(1.23456, lever) == 1.23 and round_strength(3.004, lever) == 3.0
    hint = Lever("h", LeverKind.HINT, ((1.0, "h"),), switch=True, solo=True, high=1.0)
    assert round_strength(0.93, hint) == 1.0


def test_the_world_saturates_as_the_respondent_does():
    assert direct_shift(0.5) == pytest.approx(0.25, rel=0.02) and direct_shift(4) < 1.7


@pytest.mark.slow
def test_intervals_hold_what_judges_show():
    """Nine worlds: the stated 95 % over values, wishes and judges, of measured points and of sums."""
    from axiograph.discovery.guide.validation import Asked, judge

    world, inside, total = World.respondent(), 0, 0
    for seed in range(9):
        own = fitted(world, seed=seed, draws=300)
        rng = np.random.default_rng(1000 + seed)
        judges = world.roles(JUDGES, rng)
        for raised, held in ((["Power=1sd"], ["Achievement"]), (["Security=0.7sd"], [])):
            asked = search(own, world, raised, held=held)
            best = asked.proposals(1)[0]
            table = world.profiles(judges, {"p": best.settings}, rng)
            judged = judge(table, [Asked(1, best.name, best.table(own, asked.wishes), "p")])
            found = judged.coverage()
            inside, total = inside + found[0], total + found[1]
    assert total == 9 * 2 * 8
    assert inside / total > 0.9  # 0.95 less two standard errors, and a share for what is not independent


def test_what_is_not_told_from_0_is_no_proposal(model, world):
    asked = search(model, world, ["Power=1sd"])
    spread = 2 * asked.proposals(1)[0].prediction.mean[model.names.index("Power")]

    class Unsure(type(model)):
        def predict(self, settings, judges):
            known = super().predict(settings, judges)
            return replace(known, low=known.mean - spread, high=known.mean + spread)

    unsure = Unsure(**{field.name: getattr(model, field.name) for field in fields(model)})
    with pytest.raises(InputError, match=r"interval for Power does not hold 0.*more items of Power") as error:
        search(unsure, world, ["Power=1sd"]).proposals(1)
    assert "of the best, f112" in error.value.found


def test_a_change_that_no_test_found_is_proposed_where_its_causes_carry_it(without):
    # Achievement has no feature of its own; that it was found to change is taken away, too.
    world, fitted_model = without
    k = fitted_model.names.index("Achievement")
    unfound = {
        c: np.where(np.arange(len(fitted_model.names)) == k, False, row)
        for c, row in fitted_model.measured.changed.items()
    }
    blind = replace(fitted_model, measured=replace(fitted_model.measured, changed=unfound))
    found = search(blind, world, ["Achievement=0.5sd"]).proposals(1)[0]
    assert (
        found.prediction.low[k] > 0
        and truth(world, found.settings)["Achievement"] > 0.5 * found.prediction.mean[k]
    )
