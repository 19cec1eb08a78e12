"""The table that is shipped: how often arrows were right, by the size of a study."""

import polars as pl
import pytest

from axiograph.discovery.verdict import accuracy
from axiograph.discovery.verdict.accuracy import accuracy_table, expected_accuracy, roles_needed


def test_the_cell_is_that_of_no_more_roles_and_of_the_nearest_number_of_values():
    cell = expected_accuracy("boss", 16, 150)
    assert (cell.values, cell.roles) == (17, 100)
    assert cell.right + cell.reversed + cell.none == pytest.approx(1)
    assert expected_accuracy("boss", 17, 10) is None  # fewer roles than were simulated
    assert expected_accuracy("boss", 224, 400) is None  # far more values
    assert expected_accuracy("fci", 17, 100) is None


def test_best_order_search_is_right_where_pc_is_not():
    # What the default rests on; the table itself is benchmarks/results/arrow_accuracy.md.
    for values in (8, 12, 17, 30):
        boss, pc = (expected_accuracy(name, values, 100) for name in ("boss", "pc"))
        assert boss.right > pc.right and boss.reversed < pc.reversed


def test_more_roles_find_more():
    recalls = [expected_accuracy("boss", 17, roles).recall for roles in (25, 50, 100, 200, 400)]
    assert recalls == sorted(recalls)
    needed = roles_needed("boss", 17, round(recalls[2], 2), 0.9)
    assert needed == 100
    assert roles_needed("boss", 17, 1.01, 0.9) is None


def test_every_row_counts_what_it_says():
    table = accuracy_table()
    parts = pl.col("right") + pl.col("reversed") + pl.col("none")
    assert table.filter(parts != pl.col("n")).is_empty()


def test_a_handful_of_arrows_is_no_share(monkeypatch):
    rows = {"algorithm": "boss", "noise": "answers", "values": 3, "roles": 25, "low": 0.9, "high": 1.0}
    counts = [("arrow", 5, 5, 0, 0), ("edges", 40, 10, 0, 30)]
    names = ("kind", "n", "right", "reversed", "none")
    table = pl.DataFrame([rows | dict(zip(names, count, strict=True)) for count in counts])
    monkeypatch.setattr(accuracy, "accuracy_table", lambda: table)
    accuracy._cells.cache_clear()
    cell = expected_accuracy("boss", 3, 30)
    accuracy._cells.cache_clear()
    assert cell.right is None and cell.recall == 0.25
