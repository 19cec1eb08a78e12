"""Shares of answers and their length: means over roles, every role counting once."""

import polars as pl
import pytest

from axiograph.engine.answers.parsing import STATES


def answering(run, split):
    """What the stage `score` has written, of the roles of a split."""
    return pl.read_parquet(run.scores / "answering.parquet").filter(pl.col("split") == split)


def test_means_are_over_roles_not_over_answers(run):
    table = answering(run, "all")
    plan = run.plan().select("request_id", "role", "condition", "split").collect()
    answers = run.store().scan().select("request_id", "state", "new_tokens").collect()
    joined = plan.join(answers, on="request_id").with_columns(
        pl.col("role", "condition", "state", "split").cast(pl.String)
    )
    condition = "d0:+2"
    own = joined.filter(pl.col("condition") == condition)
    by_role = own.group_by("role").agg(
        refused=(pl.col("state") == "refused").mean(), tokens=pl.col("new_tokens").mean()
    )
    for measure in ("refused", "tokens"):
        row = table.filter((pl.col("condition") == condition) & (pl.col("measure") == measure)).row(
            0, named=True
        )
        assert row["mean"] == pytest.approx(by_role[measure].mean())
        assert row["roles"] == by_role.height and row["answers"] == own.height
        assert row["low"] <= row["mean"] <= row["high"]


def test_shares_of_a_condition_sum_to_one_and_stand_in_the_order_of_the_study(run):
    table = answering(run, "all").filter(pl.col("measure").is_in(STATES))
    sums = table.group_by("condition", maintain_order=True).agg(pl.col("mean").sum())
    assert sums["mean"].to_list() == pytest.approx([1.0] * sums.height)
    assert sums["condition"].to_list() == [c.name for c in run.inputs().conditions]


def test_a_split_takes_its_roles_only(run):
    split = run.inputs().role_split
    tests = sum(part == "test" for part in split.values())
    table = answering(run, "test")
    assert set(table["roles"]) == {tests}
