"""A Ray cluster for the tests of this folder."""

import pytest


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory):
    """A Ray cluster of one node with eight logical GPUs, started once for each process that runs tests."""
    from tests.cluster.ray import ray_nodes

    with ray_nodes.started(cpus=2, gpus=8) as cluster:
        yield cluster
