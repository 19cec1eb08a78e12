"""The search on roles and experiments among the others: replicates, nulls, planted graphs."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.discover import discover
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.replicates import ReplicateTask
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import DiscoverySpec
from tests.discovery.interventions.worlds import experiments_on, linear_world, random_weights, search_of


def made(seed=0, p=6, rows=60):
    rng = np.random.default_rng(seed)
    weights = random_weights(p, rng, 0.4)
    data = linear_world(weights, rows, rng)
    return weights, data, experiments_on(weights, 1.5 * np.eye(p), 8, rng, noise=0.3)


def test_every_planted_direction_is_found_at_sizes_at_which_roles_alone_miss_edges():
    wrong = []
    for seed in range(12):
        weights, data, tried = made(seed)
        graph = search_of(data, tried)(data, tried.names).graph
        wrong.append(int((graph.directed_mask() != (weights != 0)).sum()))
    assert np.mean(wrong) < 0.5


def test_replicates_are_the_same_whoever_computes_them():
    _, data, tried = made()
    search, table = Search(search_of(data, tried)), ScoreTable(data, tried.names)
    whole = search.function(data, tried.names).graph
    found = [
        bootstrap(table, search, Resampling(40, null_replicates=2), full=whole, jobs=jobs) for jobs in (1, 2)
    ]
    np.testing.assert_array_equal(found[0].graphs.edges, found[1].graphs.edges)
    assert found[0].inflation == found[1].inflation


def test_a_replicate_draws_the_roles_of_the_experiments_anew():
    _, data, tried = made()
    task = ReplicateTask(ScoreTable(data, tried.names), Search(search_of(data, tried)))
    drawn = [task.asked.of_replicate(0, number).function.roles for number in (0, 1, 0)]
    assert drawn[0].tolist() == drawn[2].tolist() != drawn[1].tolist()
    assert len(drawn[0]) == tried.n_roles
    assert task.asked.of_replicate(0, 0).function.limit == 12.0


def test_the_null_knows_neither_which_roles_nor_which_experiments_belong_together():
    _, data, tried = made(rows=200)
    search = Search(search_of(data, tried))
    whole = search.function(data, tried.names).graph
    found = bootstrap(ScoreTable(data, tried.names), search, Resampling(10, null_replicates=40), full=whole)
    assert found.inflation.null_full < 0.3 * whole.n_edges
    assert np.mean([one.edges for one in found.inflation.flipped]) < 0.3 * whole.n_edges


def discovered(data, tried, **settings):
    columns = dict(zip(tried.names, data.T, strict=True))
    table = pl.DataFrame({"role": [f"r{k}" for k in range(len(data))]} | columns)
    spec = DiscoverySpec.model_validate({"rows": "interventional", "replicates": 20} | settings)
    return discover(table, spec, experiments=tried, null_replicates=2)


def test_discover_says_what_it_used_and_how_well_it_predicts(tmp_path):
    _, data, tried = made()
    found = discovered(data, tried)
    document = found.document()
    assert document["rows"] == "interventional"
    assert document["experiments"]["levers"] == 6 and document["experiments"]["roles"] == 8
    assert document["experiments"]["prediction"]["r_squared"] == found.interventional.prediction.r_squared
    found.save(tmp_path)
    assert pl.read_parquet(tmp_path / "prediction.parquet").height == 6 * 5


def test_experiments_and_the_setting_go_together():
    _, data, tried = made()
    table = pl.DataFrame(
        {"role": [f"r{k}" for k in range(len(data))]} | dict(zip(tried.names, data.T, strict=True))
    )
    with pytest.raises(InputError, match="rows: interventional"):
        discover(table, DiscoverySpec(rows="interventional"))
    with pytest.raises(InputError, match="interventional"):
        discovered(data, tried, rows="baseline")
    with pytest.raises(ValueError, match="algorithm: boss"):
        discovered(data, tried, algorithm="pc")


def test_what_experiments_tell_is_told_from_chance_by_what_it_explains():
    # Few roles and many strong effects: by chance there are nearly as many edges, which explain far less.
    _, data, tried = made(rows=16)
    evidence = discovered(data, tried, replicates=10).evidence
    assert evidence.gain is not None and evidence.null_gain is not None
    columns = dict(zip(tried.names, data.T, strict=True))
    table = pl.DataFrame({"role": [f"r{k}" for k in range(len(data))]} | columns)
    spec = DiscoverySpec(rows="interventional", replicates=5)
    assert discover(table, spec, experiments=tried, null_replicates=39).evidence.p == pytest.approx(1 / 40)
    chance = tried.shuffled(np.random.default_rng(3))
    noise = table.with_columns(
        pl.Series(name, np.random.default_rng([4, k]).normal(size=len(data)))
        for k, name in enumerate(tried.names)
    )
    assert discover(noise, spec, experiments=chance, null_replicates=39).evidence.p > 0.05
