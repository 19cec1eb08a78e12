"""The bootstrap on Ray gives what it gives in this process."""

import numpy as np
import pytest

from axiograph.cluster.ray.tasks import RaySpread
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import InputError
from tests.discovery.bootstrapped import bootstrapped

pytestmark = pytest.mark.usefixtures("ray_here")


def test_replicates_are_the_same_wherever_they_are_computed():
    rng = np.random.default_rng(3)
    data = rng.normal(size=(40, 5))
    data[:, 1] += data[:, 0]
    data[:, 2] += data[:, 1]
    names = tuple("abcde")
    full = pc(data, names, 0.05).graph
    told = []
    found = [
        bootstrapped(data, names, full=full, replicates=300, null_replicates=4, seed=5, jobs=jobs, progress=p)
        for jobs, p in ((1, None), (RaySpread(), lambda done, total: told.append((done, total))))
    ]
    assert found[0].edges.table().equals(found[1].edges.table())
    assert found[0].inflation == found[1].inflation
    assert told[-1] == (304, 304) and len(told) > 2


def test_results_come_in_order_and_errors_as_they_are():
    def task(chunk):
        if chunk.start == 30:
            raise InputError("here", "something", "nothing", "Mend it.")
        return chunk.start

    spread = RaySpread()
    assert spread.size == 2
    assert list(spread(task, [range(k, k + 1) for k in range(20)])) == list(range(20))
    with pytest.raises(InputError, match="expected something"):
        list(spread(task, [range(29, 30), range(30, 31)]))
