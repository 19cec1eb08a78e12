"""The command line, called in this process."""

import sys

import pytest

from cluster.cli import main


@pytest.fixture
def axiograph(monkeypatch, capfd):
    """Calls the command; returns (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["axiograph", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory):
    """A Ray cluster of one node with eight logical GPUs, started once for each process that runs tests."""
    from tests.cluster import ray_nodes

    with ray_nodes.started(cpus=2, gpus=8) as cluster:
        yield cluster
