import numpy as np
import polars as pl
import pytest

from axiograph.discovery.effects.contrast import between_roles, response_shares, sign_counts
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import EffectsSpec
from tests.discovery.made_profiles import ABCD, hand_worked, profiles


def test_between_roles_hand_worked():
    # Against r0: r1 differs in a and b, r2 in a and c, r3 in nothing.
    scores = {"a": [0, 1, 1, 0], "b": [0, 1, 0, 0], "c": [0, 0, 1, 0], "d": [0, 0, 0, 0]}
    found = between_roles(profiles({"baseline": scores}), ABCD, reference="r0")
    rows = {
        (r["value"], r["relation"]): (r["roles"], r["n"], r["share"], r["reason"])
        for r in found.iter_rows(named=True)
    }
    assert rows["a", "expected"] == (2, 1, 0.5, None)  # b differs in one of r1, r2
    assert rows["a", "possible"] == (2, 1, 0.5, None)  # c too
    assert rows["a", "unexpected"] == (2, 1, 0.0, None)
    assert rows["b", "unexpected"] == (1, 2, 0.5, None)  # a did, d did not
    assert rows["b", "expected"] == (1, 0, None, "no descendants")
    assert rows["d", "unexpected"] == (0, 3, None, "the value differs in no role")


def test_shares_leave_out_what_is_unknown():
    differences = np.array([[1.0, 1.0, np.nan], [1.0, 0.0, np.nan], [0.0, 1.0, 1.0]])
    everyone = ~np.eye(3, dtype=bool)
    # a moved in rows 0 and 1: b in half of them, c unknown. b moved in rows 0, 2: a in one, c in its one.
    assert response_shares(differences, everyone) == [0.5, 0.75, 0.5]
    assert response_shares(np.zeros((2, 3)), everyone) == [None] * 3
    assert [c.tolist() for c in sign_counts(differences - 0.5)] == [[2, 2, 1], [1, 1, 0], [0, 0, 0]]


def test_interval_is_over_the_other_roles():
    # Each of the nine others differs from r00 in a; in b five of them do: the share is 5 / 9 of nine draws.
    scores = {"a": [0] + [1] * 9, "b": [0] + [1] * 5 + [0] * 4, "c": [0] * 10}
    graph = CausalGraph.from_edges("abc", [("a", "b")])
    found = between_roles(
        profiles({"baseline": scores}), graph, reference="r0", spec=EffectsSpec(resamples=20_000)
    )
    row = found.filter((pl.col("value") == "a") & (pl.col("relation") == "expected")).row(0, named=True)
    assert row["share"] == pytest.approx(5 / 9)
    # The binomial's 2.5 % and 97.5 % quantiles, 2 and 8 of 9.
    assert (row["low"], row["high"]) == (pytest.approx(2 / 9, abs=0.01), pytest.approx(8 / 9, abs=0.01))
    certain = found.filter((pl.col("value") == "a") & (pl.col("relation") == "unexpected")).row(0, named=True)
    assert (certain["share"], certain["low"], certain["high"]) == (0.0, 0.0, 0.0)


def test_rows_in_another_order_give_the_same_table():
    table = hand_worked()
    scores = table.with_columns(pl.Series("a", np.random.default_rng(0).integers(0, 2, table.height)))
    one = between_roles(scores, ABCD, reference="r3", spec=EffectsSpec(resamples=200))
    assert one.equals(between_roles(scores.reverse(), ABCD, reference="r3", spec=EffectsSpec(resamples=200)))


def test_reference_alone_and_unknown_reference():
    alone = profiles({"baseline": {v: [0.5] for v in "abcd"}})
    found = between_roles(alone, ABCD, reference="r0")
    reasons = found.filter(pl.col("value") == "a")["reason"].unique().to_list()
    assert reasons == ["the value differs in no role"]
    with pytest.raises(InputError, match="'nobody'"):
        between_roles(alone, ABCD, reference="nobody")
