"""How many roles are enough: by hand on made-up sweeps."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.calibration.recommendation import recommend


def sweep(missing, graphs=40, spread=0, which="scores", planted=20):
    """A table of graphs that miss so many of the 20 edges at 100, 200, 400 … roles; `spread`: every second
    graph misses so many more, the others so many fewer."""
    rows = []
    for k, lost in enumerate(missing):
        for graph in range(graphs):
            shared = planted - lost + (spread if graph % 2 else -spread)
            counts = {"graph_edges": shared, "reference_edges": planted, "shared_edges": shared}
            keys = {"graph": graph, "which": which, "roles": 100 * 2**k, "failed": None}
            rows.append(keys | counts | {"differing_marks": 0})
    return pl.DataFrame(rows, schema_overrides={"failed": pl.String})


@pytest.mark.parametrize(
    "missing, verdict, roles, short",
    [
        ((10, 4, 2, 2), "enough", 400, 200),  # at 200 two edges more are to be had: a tenth
        ((10, 8, 6, 4), "too few", None, 400),  # still falling
        ((12, 12, 12, 12), "too few", None, 800),  # flat, and bad: an F1 of 0.57
        ((2, 2, 2, 2), "enough", 100, None),
    ],
)
def test_enough_is_good_and_flat(missing, verdict, roles, short):
    found = recommend(sweep(missing))
    assert (found["verdict"], found["roles"], found["surely_too_few"]) == (verdict, roles, short)
    assert found["most"] == 800


def test_few_graphs_say_nothing():
    found = recommend(sweep((2, 2, 2, 2), graphs=10))
    assert (found["verdict"], found["roles"], found["graphs"]) == ("open", None, 10)


def test_wide_intervals_leave_it_open():
    # 14 of 20 edges: an F1 of 0.82, and nothing more to be had at 200. With 19 and 9 of 20: 0.80 ± 0.08.
    narrow, wide = (recommend(sweep((6, 6), graphs=20, spread=spread)) for spread in (0, 5))
    assert (narrow["verdict"], narrow["roles"]) == ("enough", 100)
    assert (wide["verdict"], wide["roles"]) == ("open", None)


def test_more_graphs_settle_it():
    rng = np.random.default_rng(0)
    rows = sweep((3, 3, 3), graphs=400)
    noise = rng.integers(-3, 4, rows.height)
    noisy = rows.with_columns(
        graph_edges=pl.col("graph_edges") - noise, shared_edges=pl.col("shared_edges") - noise
    )
    assert recommend(noisy)["roles"] == 100
    assert recommend(noisy.filter(pl.col("graph") < 20))["verdict"] != "too few"


@pytest.mark.parametrize("values, rising", [((8, 2, 4), False), ((8, 2, 2), True), ((8, 4, 2), True)])
def test_errors_that_grow_on_the_values_too_are_no_measurement_error(values, rising):
    table = pl.concat([sweep((8, 2, 4)), sweep(values, which="values")])
    assert recommend(table)["rising"] is rising


def test_it_needs_a_sweep():
    found = recommend(sweep((2,)))
    assert (found["most"], found["verdict"]) == (None, "open")
    assert recommend(sweep((2,)).clear())["graphs"] == 0
