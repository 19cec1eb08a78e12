"""Contents by hand, what they leave as it is, and what style does to plain means and not to them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.scoring import content
from axiograph.engine.scoring.difficulty import adjusted_means
from axiograph.engine.scoring.profiles import profiles
from axiograph.engine.scoring.style import find_style, style_shares
from tests.engine.scoring.style_world import contents, items_of, raw_answers, tallied

MIXED = items_of(["++++", "++++", "++--", "+++-", "+--"])
NAMES = [f"v{k}" for k in range(5)]


def array(table: pl.DataFrame, names: list[str] = NAMES) -> np.ndarray:
    return table.select(names).to_numpy()


def test_content_by_hand():
    """Two values of both keys. Raw answers are style alone, .4 −.4 .4 −.4 for four roles: half-differences
    have no error, so that the style is theirs and every content 0, but for the values keyed one way, whose
    item means .1 stay."""
    items = items_of(["+-", "+-", "++"])
    style = np.array([0.4, -0.4, 0.4, -0.4])
    raw = np.repeat(style[None, :, None], 6, axis=2)
    raw[:, :, 4:] += 0.1
    table, found = contents(raw, items)
    assert array(profiles(tallied(raw, items)), ["v0", "v1", "v2"])[:, 2] == pytest.approx(
        0.1 + style, abs=1e-9
    )
    assert array(table, ["v0", "v1", "v2"]) == pytest.approx(np.tile([0, 0, 0.1], (4, 1)), abs=1e-6)
    assert found.roles["style"].to_list() == pytest.approx(style, abs=1e-9)
    assert found.variance.variance == pytest.approx(style.var(ddof=1))
    assert found.variance.is_there


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_without_style_a_complete_content_is_the_plain_mean_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    # Every value of both keys keeps its half-differences constant over roles: nothing says yes more than
    # another.
    values = rng.uniform(-0.3, 0.3, (2, 12, 5))
    raw = raw_answers(rng, MIXED, values, np.zeros((2, 12)), difficulty=0.1, noise=0.0)
    table, style = contents(raw, MIXED)
    assert table.equals(profiles(tallied(raw, MIXED)))
    assert style.roles["subtracted"].to_list() == [0.0] * 24
    assert not style.shifts["subtracted"].any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_levels_stay(seed):
    """The mean over the baseline roles that train is that of the plain means, whatever the style."""
    rng = np.random.default_rng(seed)
    values = 0.1 * rng.standard_normal((1, 40, 5))
    raw = np.clip(raw_answers(rng, MIXED, values, 0.2 * rng.standard_normal((1, 40)) + 0.1), -0.95, 0.95)
    table, style = contents(raw, MIXED)
    assert style.variance.is_there
    assert array(table).mean(axis=0) == pytest.approx(
        array(profiles(tallied(raw, MIXED))).mean(axis=0), abs=1e-9
    )


def test_one_value_of_both_keys_is_not_style():
    rng = np.random.default_rng(0)
    items = items_of(["++--", "++++"])
    style = 0.1 * rng.standard_normal((1, 30))
    raw = raw_answers(rng, items, 0.1 * rng.standard_normal((1, 30, 2)), style, difficulty=0.1, noise=0.1)
    table, style = contents(raw, items)
    assert style.variance.reason == "only one value has items of both keys"
    assert table.equals(profiles(tallied(raw, items)))


def test_what_one_value_alone_shows_is_not_style():
    """v0's reverse-keyed items follow the value twice as steeply: its half-difference follows the value, too,
    and nothing of that may come into v4, which is keyed one way."""
    rng = np.random.default_rng(1)
    items = items_of(["++--", "++--", "++--", "++--", "++++"])
    values = 0.15 * rng.standard_normal((1, 400, 5))
    values = np.clip(values, -0.4, 0.4)
    raw = raw_answers(rng, items, values, np.zeros((1, 400)), difficulty=0.0, noise=0.05)
    raw[0, :, 2:4] -= values[0, :, :1]
    table, style = contents(raw, items)
    assert not style.variance.is_there
    assert array(table)[:, 4] == pytest.approx(array(profiles(tallied(raw, items)))[:, 4])


def test_style_joins_plain_means_and_not_contents():
    """Independent values: the correlation of two that are keyed one way is that of chance in contents."""
    items, plain, freed = items_of(["++++", "++++", *["++--"] * 6]), [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        values, style = 0.2 * rng.standard_normal((1, 200, 8)), 0.15 * rng.standard_normal((1, 200))
        raw = np.clip(raw_answers(rng, items, values, style), -0.99, 0.99)
        table, _ = contents(raw, items)
        plain.append(np.corrcoef(array(profiles(tallied(raw, items)))[:, :2].T)[0, 1])
        freed.append(np.corrcoef(array(table)[:, :2].T)[0, 1])
    assert np.mean(plain) > 0.25
    assert abs(np.mean(freed)) < 0.08


def test_a_shift_of_style_is_taken_out_of_the_difference():
    """A condition adds .2 to every raw answer and .1 to the content of v0."""
    rng = np.random.default_rng(3)
    values = np.repeat(0.2 * rng.standard_normal((1, 60, 5)), 2, axis=0)
    values[1, :, 0] += 0.1
    style = np.repeat(0.1 * rng.standard_normal((1, 60)), 2, axis=0)
    style[1] += 0.2
    raw = np.clip(raw_answers(rng, MIXED, values, style, noise=0.1), -0.999, 0.999)
    table, found = contents(raw, MIXED)
    (shift,) = found.shifts.iter_rows(named=True)
    assert shift["subtracted"]
    assert shift["shift"] == pytest.approx(0.2, abs=0.03)
    means = [array(table.filter(pl.col("condition") == c)).mean(axis=0) for c in ("baseline", "c1")]
    assert means[1] - means[0] == pytest.approx([0.1, 0, 0, 0, 0], abs=0.03)
    plain = profiles(tallied(raw, MIXED))
    means = [array(plain.filter(pl.col("condition") == c)).mean(axis=0) for c in ("baseline", "c1")]
    assert (means[1] - means[0])[:2] == pytest.approx([0.3, 0.2], abs=0.03)


def test_which_items_were_drawn_does_not_decide_a_score():
    """Half of the items, any of them; a model that says no to nearly everything. Of a plain score the draw
    decides nearly all, of a content hardly anything."""
    rng = np.random.default_rng(5)
    items = items_of(["++++----", "++++----", "++++++++"])
    names = ["v0", "v1", "v2"]
    values = 0.03 * rng.standard_normal((1, 80, 3))
    raw = raw_answers(rng, items, values, np.full((1, 80), -0.6), noise=0.05)
    raw = np.clip(raw, -0.999, 0.999)
    asked = rng.permuted(np.tile(np.arange(8) < 4, (80, 3, 1)), axis=2).reshape(80, 24)
    of_items = (raw[0].mean(axis=0) * items["agreement"].to_numpy() * asked).reshape(80, 3, 8)
    of_draw = of_items.sum(axis=2) / 4
    freed, style = contents(raw, items, asked=asked)
    plain = profiles(tallied(raw, items, asked=asked))
    for k in (0, 1):
        assert np.corrcoef(of_draw[:, k], array(plain, names)[:, k])[0, 1] ** 2 > 0.9
        assert np.corrcoef(of_draw[:, k], array(freed, names)[:, k])[0, 1] ** 2 < 0.1
    tally = tallied(raw, content.with_item_means(tallied(raw, items, asked=asked), items), asked=asked)
    used = content.item_deviations(content.with_item_means(tally, items), by_split=False, drop_shared=False)
    cells = content.value_cells(tally, style, used, by_split=False, drop_shared=False)
    shares = style_shares(cells, names, style.variance)
    assert shares["draw_share"].to_list()[1:3] == pytest.approx([1, 1], abs=0.05)


def test_shares_by_hand():
    """Style ±.4 of four roles: all of the variance of a value keyed one way, nothing of a balanced one, and
    of +++- a quarter of the style (a half squared)."""
    items = items_of(["+-", "+-", "++", "+++-"])
    raw = np.repeat(np.array([0.4, -0.4, 0.4, -0.4])[None, :, None], items.height, axis=2)
    tally = tallied(raw, items)
    style = find_style(tally)
    cells = content.value_cells(tally, style, None, by_split=False, drop_shared=False)
    table = style_shares(cells, ["v0", "v1", "v2", "v3"], style.variance)
    assert table["value"].to_list() == [None, "v0", "v1", "v2", "v3"]
    assert table["key_balance"].to_list() == [None, 0.0, 0.0, 1.0, 0.5]
    assert table["style_share"].to_list()[3:] == pytest.approx([1.0, 1.0])
    assert table["style_variance"].to_list()[1:] == pytest.approx([0, 0, 0.64 / 3, 0.16 / 3], abs=1e-9)
    assert table["style_share"][0] == pytest.approx(1.0)


def test_refused_answers_do_not_move_a_content():
    """The easiest item is refused by half of the roles: the plain mean of theirs falls, the content does
    not."""
    rng = np.random.default_rng(7)
    items = items_of(["++++", "++--", "++--"])
    raw = raw_answers(rng, items, np.zeros((1, 300, 3)), np.zeros((1, 300)), difficulty=0.0, noise=0.1)
    raw[:, :, 0] += 0.4
    raw[0, :150, 0] = np.nan
    table, _ = contents(raw, items)
    plain = array(profiles(tallied(raw, items)), ["v0"])[:, 0]
    freed = array(table, ["v0"])[:, 0]
    assert plain[150:].mean() - plain[:150].mean() == pytest.approx(0.1, abs=0.02)
    assert freed[150:].mean() - freed[:150].mean() == pytest.approx(0.0, abs=0.02)
    assert freed[150:] == pytest.approx(plain[150:], abs=1e-12)  # complete


def test_item_means_of_a_complete_table_are_shrunk_and_keep_their_sum():
    rng = np.random.default_rng(2)
    table = rng.standard_normal((50, 1)) + np.array([0.0, 1.0, -1.0]) + 0.3 * rng.standard_normal((50, 3))
    found = adjusted_means(table)
    assert found.sum() == pytest.approx(table.mean(axis=0).sum())
    assert found == pytest.approx(table.mean(axis=0), abs=0.05)


def test_item_means_do_not_depend_on_who_was_asked():
    """Item 0 was asked of the high roles, item 2 of the low ones, item 1 of all: equal items."""
    rng = np.random.default_rng(3)
    roles = np.repeat([1.0, -1.0], 100)[:, None]
    table = roles + 0.1 * rng.standard_normal((200, 3))
    table[100:, 0] = np.nan
    table[:100, 2] = np.nan
    assert np.nanmean(table, axis=0)[[0, 2]] == pytest.approx([1, -1], abs=0.05)
    found = adjusted_means(table)
    assert found - found.mean() == pytest.approx([0, 0, 0], abs=0.1)


def test_parts_are_those_of_the_profiles():
    """The mean over items of content_scores is the content."""
    rng = np.random.default_rng(9)
    style = 0.2 * rng.standard_normal((2, 30))
    raw = np.clip(raw_answers(rng, MIXED, 0.1 * rng.standard_normal((2, 30, 5)), style), -0.99, 0.99)
    raw[rng.random(raw.shape) < 0.1] = np.nan
    table, found = contents(raw, MIXED)
    measured = content.with_item_means(tallied(raw, MIXED), MIXED)
    deviations = content.item_deviations(measured, by_split=False, drop_shared=False)
    scores = pl.DataFrame(
        [
            (f"r{r:03d}", ["baseline", "c1"][c], item, value, key, raw[c, r, i] * key)
            for c in range(2)
            for r in range(30)
            for i, (item, value, key) in enumerate(MIXED.select("item_id", "value", "agreement").iter_rows())
            if not np.isnan(raw[c, r, i])
        ],
        schema=["role", "condition", "item_id", "value", "agreement", "score"],
        orient="row",
    )
    parts = content.content_scores(scores.lazy(), deviations, found.roles).collect()
    means = parts.group_by("condition", "role", "value").agg(pl.col("score").mean())
    wide = means.pivot(on="value", index=["role", "condition"], values="score").sort("condition", "role")
    assert array(wide) == pytest.approx(array(table), abs=1e-9)
