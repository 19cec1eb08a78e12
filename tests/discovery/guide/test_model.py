"""The effects model: measured effects kept, sums, the graph's part, intervals."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.guide.levers import Lever, LeverKind, bounded
from axiograph.discovery.guide.link import position, response
from axiograph.discovery.guide.model import EffectsModel, ItemMeans, Measured, effects_model, through_paths
from axiograph.discovery.guide.paths import Paths
from axiograph.discovery.guide.solver import LeverGrid

NAMES = ("a", "b", "c")
ROLES = 200


def lever(name, *strengths, **more):
    points = tuple((float(s), f"{name}:{s:+g}") for s in strengths)
    low, high = min(0.0, *strengths), max(0.0, *strengths)
    return Lever(name, LeverKind.SAE, points, "raw", low=low, high=high, **more)


def measured(effects, rng, noise=0.05, items=None):
    """`effects`: condition → mean change [3]."""
    baseline = rng.uniform(-0.5, 0.5, (ROLES, 3))
    frames = [frame("baseline", baseline)]
    for condition, change in effects.items():
        frames.append(frame(condition, baseline + np.array(change) + noise * rng.standard_normal((ROLES, 3))))
    return Measured.of(pl.concat(frames), items=items)


def frame(condition, scores):
    columns = dict(zip(NAMES, scores.T, strict=True))
    return pl.DataFrame({"role": [f"r{i:03d}" for i in range(len(scores))], "condition": condition} | columns)


def paths(b, draws=300):
    coefficients = np.broadcast_to(np.array(b, float), (draws, 3, 3)).copy()
    return Paths(NAMES, coefficients, np.linalg.inv(np.eye(3) - coefficients))


CHAIN = [[0, 0, 0], [0.6, 0, 0], [0, 0.5, 0]]  # a → b → c


def model(effects, levers, known=None, **more):
    found = measured(effects, np.random.default_rng(0), **more)
    return effects_model(found, levers, known, draws=300, seed=1), found


def test_what_was_measured_is_predicted():
    found, data = model({"x:+1": [0.2, -0.1, 0], "x:+2": [0.3, -0.2, 0]}, [lever("x", 1, 2)])
    for strength, condition in ((1.0, "x:+1"), (2.0, "x:+2")):
        mean = data.differences[condition].mean(axis=0)
        assert found.predict({"x": strength}, 50).mean == pytest.approx(mean, abs=2e-3)
    assert found.predict({"x": 0.0}, 50).mean == pytest.approx(np.zeros(3), abs=1e-9)


def test_between_two_strengths_the_curve_is_monotone_and_levels_off():
    effects = {"x:+1": [0.2, 0, 0], "x:+2": [0.3, 0, 0], "x:+4": [0.35, 0, 0]}
    found, _ = model(effects, [lever("x", 1, 2, 4)])
    changes = [found.predict({"x": s}, 50).mean[0] for s in np.linspace(0, 4, 17)]
    assert (np.diff(changes) > -1e-4).all()
    assert changes[6] > 0.245  # above the chord from 0.2 to 0.3, as a curve that levels off is


def test_what_others_will_do_depends_on_where_all_known_roles_lie():
    """Choosing roles in the middle move by 0.2; of everyone, half lie so close to 1 that they hardly can."""
    found, data = model({"x:+1": [0.2, 0.2, 0]}, [lever("x", 1)])
    high = np.full((ROLES, 3), [0.94, 0.0, 0.0])
    everyone = np.concatenate([data.baseline, high])
    wider = Measured(data.names, data.baseline, data.differences, data.changed, everyone=everyone)
    own = effects_model(wider, [lever("x", 1)], None, draws=300, seed=1)
    assert own.link.width == found.link.width
    assert wider.deviation == pytest.approx(everyone.std(axis=0, ddof=1))
    before, after = (m.predict({"x": 1.0}, 50).mean for m in (found, own))
    assert before == pytest.approx(data.differences["x:+1"].mean(axis=0), abs=2e-3)
    shift = found.link.shift(before)
    expected = (response(position(everyone, own.link.width) + shift, own.link.width)).mean(axis=0)
    expected -= response(position(everyone, own.link.width), own.link.width).mean(axis=0)
    assert after == pytest.approx(expected, abs=1e-3)
    assert after[0] < 0.75 * before[0] and after[1] > 0.95 * before[1]


def test_opposite_levers_cancel_and_the_sum_is_less_sure():
    effects = {"x:+1": [0.2, 0.3, 0], "y:+1": [0, -0.3, 0]}
    found, _ = model(effects, [lever("x", 1), lever("y", 1)])
    both, one = found.predict({"x": 1.0, "y": 1.0}, 50), found.predict({"x": 1.0}, 50)
    assert both.mean == pytest.approx([0.2, 0.0, 0.0], abs=0.02)
    assert (both.high - both.low)[1] > (one.high - one.low)[1]


def test_fewer_judges_other_items_and_gaps_make_wider_intervals():
    effects = {"x:+1": [0.2, 0.3, 0], "x:+3": [0.4, 0.5, 0]}
    found, data = model(effects, [lever("x", 1, 3)], noise=0.2)

    def width(own, strength=1.0, judges=50):
        prediction = own.predict({"x": strength}, judges)
        return float((prediction.high - prediction.low)[0])

    assert width(found, judges=5) > 1.5 * width(found)
    # Twice 1.96 standard errors of the two means, of the choosing roles and of the judges.
    expected = 2 * 1.96 * 0.2 * np.sqrt(1 / ROLES + 1 / 50)
    assert width(found) == pytest.approx(expected, rel=0.15)
    assert found.curve_error > 0 and width(found, 2.0) > width(found)
    rng = np.random.default_rng(5)
    value = np.repeat(np.arange(3), 6)
    means = {c: rng.normal(0.2, 0.2, 18) for c in effects}
    items = ItemMeans(value, means, ratio=1.0)
    with_items = Measured(data.names, data.baseline, data.differences, data.changed, items)
    other = effects_model(with_items, [lever("x", 1, 3)], None, draws=300, seed=1)
    assert width(other) > 1.5 * width(found)
    # Other items move the ends, not what is expected of them, and not whether there is an effect at all.
    by_graph = effects_model(with_items, [lever("x", 1, 3)], paths(np.zeros((3, 3))), draws=300, seed=1)
    assert by_graph.predict({"x": 1.0}, 50).mean == pytest.approx(
        other.predict({"x": 1.0}, 50).mean, abs=0.02
    )
    assert other.predict({"x": 1.0}, 50).mean == pytest.approx(found.predict({"x": 1.0}, 50).mean, abs=0.03)


def filtered(centre, draws, blank=None):
    return through_paths(np.array(centre), draws, np.cov(draws, rowvar=False), paths(CHAIN), blank)


def test_unclear_direct_parts_go_and_clear_ones_stay():
    rng = np.random.default_rng(0)
    clear = np.array([0.5, 0.3, 0.15]) + 0.01 * rng.standard_normal((300, 3))
    centre, kept, direct = filtered([0.5, 0.3, 0.15], clear)
    assert centre == pytest.approx([0.5, 0.3, 0.15], abs=0.002)
    assert kept.mean(axis=0) == pytest.approx([0.5, 0.3, 0.15], abs=0.004)
    assert direct == pytest.approx([0.5, 0.0, 0.0], abs=0.01)
    # c is 0.3 off what its cause gives it: far more than the error, so that the lever moves it itself.
    off = np.array([0, 0, 0.3])
    own, _, direct = filtered(np.array([0.5, 0.3, 0.15]) + off, clear + off)
    assert own[2] == pytest.approx(0.45, abs=0.01) and direct[2] == pytest.approx(0.3, abs=0.02)
    # c is measured as 0.05 with an error of 0.1: it is expected where its cause puts it.
    noisy = (
        clear + np.array([0, 0, -0.1]) + np.stack([np.zeros(300)] * 2 + [rng.normal(0, 0.11, 300)], axis=1)
    )
    centre, moved, _ = filtered([0.5, 0.3, 0.05], noisy)
    assert centre[2] == pytest.approx(0.15, abs=0.03)
    assert moved[:, 2].std() == pytest.approx(noisy[:, 2].std())


def test_a_value_that_was_not_asked_moves_as_its_causes_do():
    rng = np.random.default_rng(0)
    shift = np.array([0.5, 0.3, 9.9]) + 0.01 * rng.standard_normal((300, 3))
    missing = np.array([False, False, True])
    centre, found, direct = filtered([0.5, 0.3, 9.9], shift, missing)
    assert centre == pytest.approx([0.5, 0.3, 0.15], abs=0.01)
    assert found.mean(axis=0) == pytest.approx([0.5, 0.3, 0.15], abs=0.01)
    assert direct[2] == pytest.approx(0.0, abs=1e-9)


def test_strengths_beyond_the_bounds_are_no_part_of_the_curve():
    effects = {"x:+1": [0.2, 0, 0], "x:+4": [-0.4, 0, 0]}
    held = Lever("x", LeverKind.SAE, ((1.0, "x:+1"), (4.0, "x:+4")), "raw", high=1.0)
    found, _ = model(effects, [held])
    assert found.curves["x"].strengths.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "holds, breaks, most, expected",
    [
        ((-2.0, 4.0), (-4.0, None), None, (-2.0, 4.0, True)),
        ((None, 2.0), (-2.0, None), None, (0.0, 2.0, True)),
        ((None, None), (None, None), None, (-4.0, 4.0, False)),
        ((-4.0, 4.0), (None, None), 3.0, (-3.0, 3.0, True)),
    ],
)
def test_bounds_are_where_the_sweep_held(holds, breaks, most, expected):
    points = [(s, f"x:{s:+g}") for s in (-4.0, -2.0, 2.0, 4.0)]
    assert bounded(points, holds, breaks, most) == expected


def test_types_are_those_of_the_solver():
    found, _ = model({"x:+1": [0.2, 0, 0]}, [lever("x", 1)])
    assert isinstance(found, EffectsModel)
    curve = found.curves["x"]
    grid = LeverGrid("x", curve.strengths, curve.means(curve.strengths))
    assert grid.shifts.shape == (2, 3)
