"""How many workers a cluster holds, by hand-made nodes."""

import itertools
import math
from types import SimpleNamespace

import pytest

from axiograph.cluster.ray.connection import Node, joined
from axiograph.cluster.ray.pool import size_pool
from axiograph.engine.errors import InputError, RunError

numbers = itertools.count()


def node(cpus=8.0, gpus=0, accelerator=None, memory=math.inf):
    return Node(f"node {next(numbers)}", cpus, gpus, memory, accelerator)


def recipe(gpus=1):
    return SimpleNamespace(gpus=gpus)


@pytest.mark.parametrize(
    ("gpus", "nodes", "size"),
    [
        (1, [node(gpus=8)], 8),
        (2, [node(gpus=8), node(gpus=3)], 5),  # the third GPU of the second node stays idle
        (4, [node(gpus=8), node(gpus=2), node()], 2),
        (1, [node(cpus=1.0, gpus=4)], 4),  # workers on GPUs need no core to themselves
    ],
)
def test_engines_stay_inside_a_node_where_they_fit(gpus, nodes, size):
    pool = size_pool(nodes, recipe(gpus))
    assert (pool.size, pool.gpus, pool.spread) == (size, gpus, False)
    # All workers of the fullest node together leave Ray Data a core there.
    assert all(n.gpus // gpus * pool.cpus <= max(0.0, n.cpus - 1) for n in nodes if n.gpus)


def test_an_engine_larger_than_every_node_spans_several():
    pool = size_pool([node(gpus=2), node(gpus=2), node(gpus=2)], recipe(4))
    assert (pool.size, pool.gpus, pool.spread) == (1, 4, True)


def test_one_study_is_answered_by_one_type_of_gpu():
    nodes = [
        node(gpus=4, accelerator="A100"),
        node(gpus=8, accelerator="H100"),
        node(gpus=2, accelerator="A100"),
    ]
    pool = size_pool(nodes, recipe())
    assert (pool.size, pool.accelerator) == (8, "H100")
    assert pool.resources()["accelerator_type"] == "H100"


def test_without_gpus_every_core_with_memory_has_a_worker():
    nodes = [node(4.0, memory=3e9), node(2.0, memory=100e9)]
    pool = size_pool(nodes, recipe(), memory=10**9)
    assert (pool.size, pool.gpus) == (3 + 2, 0)
    assert 3 * pool.cpus <= 4 - 1 and 2 * pool.cpus <= 2 - 1
    assert size_pool(nodes, recipe(), most=2, memory=10**9).size == 2


@pytest.mark.parametrize(
    "nodes", [[], [node(2.0, memory=1e8)], [node(gpus=1), node(gpus=1, accelerator="T4")]]
)
def test_a_cluster_without_room_says_what_it_has(nodes):
    with pytest.raises(RunError, match=r"room for one worker .* found \d GPUs and"):
        size_pool(nodes, recipe(2), memory=10**9)


def test_an_address_for_clients_is_refused_with_the_command_that_takes_it():
    with pytest.raises(InputError, match="axiograph submit"), joined("ray://somewhere:10001"):
        pass
