"""What a graph says of levers that it has not seen."""

import numpy as np
import pytest

from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.prediction import own_value, predict_left_out
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.paper.answers import read_answers
from tests.discovery.interventions.test_kernel import inputs_of
from tests.discovery.interventions.worlds import experiments_on, linear_world, random_weights, search_of


def predicted(weights, pushes, noise=0.0, rows=4000, levers=None, seed=0):
    rng = np.random.default_rng(seed)
    data = linear_world(weights, rows, rng)
    tried = experiments_on(weights, pushes, 8, rng, noise, levers)
    return predict_left_out(
        search_of(data, tried), inputs_of(data, tried.names), constraints(None, tried.names)
    )


def test_where_the_world_is_linear_left_out_levers_are_predicted():
    weights = np.diag([0.8, 0.8, 0.8], 1)
    found = predicted(weights, np.eye(4), noise=0.05)
    assert found.levers == 4
    assert found.r_squared > 0.98 and found.least > 0.9
    slope, error = found.slope
    assert slope == pytest.approx(1.0, abs=max(3 * error, 0.05))
    first = found.table.filter(lever="c0")
    assert set(first["own_value"]) == {"v0"}
    assert first["value"].to_list() == ["v1", "v2", "v3"]


def test_where_values_have_nothing_to_do_with_each_other_nothing_is_predicted():
    rng = np.random.default_rng(3)
    found = predicted(np.zeros((6, 6)), rng.normal(size=(8, 6)), noise=0.2)
    assert found.least <= 0


def test_predictions_do_not_change_with_what_the_lever_itself_did():
    # The other values' effects of a lever are not used to predict them: only how far its own value moved.
    weights = random_weights(5, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    data = linear_world(weights, 500, rng)
    tried = experiments_on(weights, 2 * np.eye(5), 8, rng, 0.1)
    inputs, told = inputs_of(data, tried.names), constraints(None, tried.names)
    before = predict_left_out(search_of(data, tried), inputs, told).table.filter(lever="c2")
    tried.differences[2][:, [0, 1, 3, 4]] += 0.05
    after = predict_left_out(search_of(data, tried), inputs, told).table.filter(lever="c2")
    assert before["predicted"].to_list() == pytest.approx(after["predicted"].to_list(), abs=0.02)


@pytest.mark.parametrize("part", ["answers_train.csv", "answers_test.csv"])
def test_on_the_papers_steered_gemma_nothing_is_predicted(paper_data, part):
    answers = read_answers(paper_data / "gemma" / part)
    before, features = answers.rows(None), answers.features()
    roles = [role for role in before if role is not None]
    differences = np.array([[answers.rows(f)[role] - before[role] for role in roles] for f in features])
    levers = tuple(f"f{f}" for f in features)
    tried = Experiments(answers.values, levers, np.arange(len(levers)), levers, differences, {})
    data = np.array([before[role] for role in roles])
    varies = data.std(axis=0) > 0
    names = [name for name, kept in zip(answers.values, varies, strict=True) if kept]
    search = InterventionalSearch.beside(BestOrder(), tried, names, data[:, varies])
    found = predict_left_out(search, inputs_of(data[:, varies], names), constraints(None, names))
    assert found.levers == 24
    assert found.r_squared < 0.1 and found.least <= 0


def test_conditions_of_one_lever_are_left_out_together():
    weights = np.diag([0.8, 0.8], 1)
    pushes = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]]
    found = predicted(weights, pushes, 0.1, levers=["f0", "f0", "f1", "f2"])
    assert found.levers == 3
    assert found.table["condition"].n_unique() == 4


def test_one_lever_leaves_nothing_to_predict_from():
    found = predicted(np.zeros((3, 3)), np.eye(3)[:1], 0.1)
    assert found.table.is_empty() and found.r_squared is None and found.least is None and found.slope is None


def test_the_value_of_a_lever_is_what_it_moved_most_in_standard_errors():
    effects, errors = np.array([[1.0, 2.0], [1.0, -2.0]]), np.array([[0.01, 1.0], [0.01, 1.0]])
    assert own_value(effects, errors) == 0
