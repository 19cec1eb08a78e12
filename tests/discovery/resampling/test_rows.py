import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.numerics.streams import child_rng
from axiograph.discovery.resampling.rows import Resample, Units, draw_many, rows_in_replicate
from axiograph.engine.errors import InputError

GROUPS = np.array([1, 0, 1, 2, 0, 1])


def test_child_seed_is_the_spawned_one():
    spawned = np.random.SeedSequence(9).spawn(4)[3]
    assert child_rng(9, 3).random() == np.random.default_rng(spawned).random()


@given(st.integers(10, 60), st.integers(0, 5), st.integers(0, 1000))
def test_half_of_the_roles_are_drawn_once_each(n_roles, seed, first):
    for drawn in draw_many(n_roles, Resample.HALF_OF_ROLES, seed, range(first, first + 3)):
        assert len(set(drawn.tolist())) == len(drawn) == (n_roles + 1) // 2
        assert set(drawn.tolist()) <= set(range(n_roles))


@pytest.mark.parametrize("resample", [Resample.ROLES_WITH_REPLACEMENT, Resample.ROWS_WITH_REPLACEMENT])
def test_with_replacement_as_many_as_there_are(resample):
    drawn = draw_many(30, resample, 0, range(200))
    assert drawn.shape == (200, 30)
    assert set(drawn.ravel().tolist()) == set(range(30))
    assert np.mean([len(set(row.tolist())) for row in drawn]) == pytest.approx(
        30 * (1 - (29 / 30) ** 30), rel=0.05
    )


@pytest.mark.parametrize("resample", list(Resample))
def test_a_replicates_draw_is_its_own(resample):
    together = draw_many(25, resample, 7, range(40))
    assert np.array_equal(together[[30, 4]], draw_many(25, resample, 7, [30, 4]))
    assert len({row.tobytes() for row in together}) == 40
    assert not np.array_equal(together, draw_many(25, resample, 8, range(40)))


def test_roles_bring_all_their_rows_hand_worked():
    units = Units.of(6, GROUPS, Resample.HALF_OF_ROLES)
    assert (len(units), units.n_roles, units.single) == (3, 3, False)
    assert units.rows_of(np.array([2, 1])).tolist() == [3, 0, 2, 5]
    assert units.rows_of(np.array([0, 0])).tolist() == [1, 4, 1, 4]


def test_rows_are_drawn_singly_but_count_as_roles():
    units = Units.of(6, GROUPS, Resample.ROWS_WITH_REPLACEMENT)
    assert (len(units), units.n_roles, units.single) == (6, 3, True)
    assert units.rows_of(np.array([5, 5, 1])).tolist() == [5, 5, 1]


def test_without_groups_every_row_is_a_role():
    units = Units.of(6, None, Resample.HALF_OF_ROLES)
    assert (len(units), units.n_roles, units.single) == (6, 6, True)
    assert units.rows_of(np.array([4, 0])).tolist() == [4, 0]


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (np.array([0, 1]), r"shape \(2,\)"),
        (np.array([0.0] * 6), "float64"),
        (np.array([0, 0, 1, 1, 3, 3]), "without gaps"),
        (np.array([0, 0, 1, 1, -1, 2]), "from -1 to 2"),
    ],
)
def test_groups_that_are_none_are_named(groups, says):
    with pytest.raises(InputError, match=says):
        Units.of(6, groups, Resample.HALF_OF_ROLES)


def test_roles_of_a_replicate():
    assert rows_in_replicate(11, Resample.HALF_OF_ROLES) == 6
    assert rows_in_replicate(11, Resample.ROWS_WITH_REPLACEMENT) == 11
    with pytest.raises(InputError, match="found 4 of 8"):
        rows_in_replicate(8, Resample.HALF_OF_ROLES)
