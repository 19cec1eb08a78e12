"""How long a kind of workers takes, by blocks: with workers that take exactly as long as they say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pyarrow as pa
import pytest
from scipy.stats import t

from axiograph.cluster.sampling import estimate as timing
from axiograph.cluster.sampling.estimate import measure_kind, ratio
from axiograph.cluster.sampling.executors import Kind

START, CALL, ROW = 5.0, 1.0, 0.1
BLOCK = 40


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the workers move on."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


class OneByOne:
    """A second for each call and a tenth of one for each row."""

    def __init__(self, clock, row=ROW):
        self.clock, self.row, self.asked, self.closed = clock, row, [], False
        clock.now += START

    def __call__(self, table):
        self.asked.append(table["n"].to_pylist())
        self.clock.now += CALL + self.row * table.num_rows
        return table

    def close(self):
        self.closed = True


class Streaming(OneByOne):
    """Takes two tables at the start; the first answers are late, and so are the last."""

    def stream(self, tables):
        tables = iter(tables)
        waiting = [next(tables), next(tables)]
        self.clock.now += 10
        while waiting:
            self.clock.now += 2 if len(waiting) > 1 else 9
            self.asked.append(waiting[0]["n"].to_pylist())
            yield waiting.pop(0)
            if (table := next(tables, None)) is not None:
                waiting.append(table)


def kind(made, worker, clock, **options):
    def make():
        made.append(worker(clock, **options))
        return made[-1]

    return Kind("plain", SimpleNamespace(make=make, backend="hf"))


def blocks(count, rows=BLOCK):
    return [pa.record_batch({"n": range(i * rows, (i + 1) * rows)}) for i in range(count)]


def tokenised(block):
    return pa.Table.from_batches([block])


def test_blocks_are_timed_whole_and_the_start_and_the_warm_up_apart(clock):
    made = []
    found = measure_kind(kind(made, OneByOne, clock), tokenised, blocks(3), left=1000, budget_s=60)
    (worker,) = made
    assert worker.closed
    # The warm-up grows on rows of the last block; then all three, in their order.
    assert [len(asked) for asked in worker.asked] == [2, 8, 32, BLOCK, BLOCK, BLOCK]
    assert worker.asked[0][0] == 2 * BLOCK and worker.asked[3][0] == 0
    assert (found.answered, found.blocks, found.start_s) == (3 * BLOCK, 3, START)
    # A block takes 1 + 40 × 0.1 s, and 1,000 requests are 25 of them.
    assert found.seconds == pytest.approx(25 * 5.0)
    # The blocks do not differ, but a machine does from one time to another.
    assert found.error_s == pytest.approx(timing.DRIFT * found.seconds)


def test_no_more_blocks_than_the_time_allows_and_at_least_one(clock):
    made = []
    found = measure_kind(kind(made, OneByOne, clock), tokenised, blocks(9), left=4000, budget_s=20)
    # Warm-up 1.2 + 1.8 + 4.2 s; then blocks of 5 s are begun at 7.2, 12.2 and 17.2 s.
    assert found.blocks == 3 and found.seconds == pytest.approx(500)
    found = measure_kind(kind(made, OneByOne, clock), tokenised, blocks(9), left=4000, budget_s=8.5)
    assert found.blocks == 1 and found.error_s is None


def test_an_engine_that_is_not_full_at_either_end_is_timed_in_between(clock):
    found = measure_kind(kind([], Streaming, clock), tokenised, blocks(6), left=100 * BLOCK, budget_s=600)
    # Six blocks in 10 + 5 × 2 + 9 s; the 94 others at 2 s each.
    assert found.answered == 6 * BLOCK
    assert found.seconds == pytest.approx(29 + 94 * 2)


def test_too_few_blocks_for_a_full_engine_count_whole_and_without_a_range(clock):
    found = measure_kind(kind([], Streaming, clock), tokenised, blocks(2), left=10 * BLOCK, budget_s=600)
    assert found.seconds == pytest.approx(5 * (10 + 2 + 9)) and found.error_s is None


def test_what_was_answered_altogether_has_no_error_but_the_machines(clock):
    found = measure_kind(kind([], Streaming, clock), tokenised, blocks(2), left=2 * BLOCK, budget_s=600)
    assert (found.seconds, found.error_s) == (pytest.approx(21), pytest.approx(2.1))


def test_blocks_that_differ_widen_the_range(clock):
    """By the ratio's own interval, on what was not answered."""
    sizes = [40, 40, 10, 10]
    starts = [sum(sizes[:i]) for i in range(4)]
    unequal = [pa.record_batch({"n": range(a, a + n)}) for a, n in zip(starts, sizes, strict=True)]
    found = measure_kind(kind([], OneByOne, clock), tokenised, unequal, left=1100, budget_s=600)
    rate, error = ratio([5.0, 5.0, 2.0, 2.0], sizes)
    assert error > 0.1 * rate and found.seconds == pytest.approx(1100 * rate)
    assert found.error_s == pytest.approx(math.hypot(1000 * error, 110 * rate))


def test_a_worker_too_slow_for_a_block_is_left_in_time(clock):
    made = []
    found = measure_kind(kind(made, OneByOne, clock, row=10), tokenised, blocks(2), left=1000, budget_s=30)
    assert [len(asked) for asked in made[0].asked] == [2] and made[0].closed
    assert (found.answered, found.blocks, found.error_s) == (2, 0, None)
    assert found.seconds == pytest.approx(1000 * 21 / 2)


def test_ratio_over_blocks_of_unequal_size_by_hand():
    assert ratio([2.0, 4.0], [10, 20]) == (pytest.approx(0.2), pytest.approx(0))
    rate, error = ratio([2.0, 4.0], [10, 10])
    # The rows' mean is 10, the residuals are −1 and 1: √(2 / (2 × 1)) / 10, with one degree of freedom.
    assert (rate, error) == (pytest.approx(0.3), pytest.approx(0.1 * t.ppf(0.95, 1)))
    assert ratio([3.0], [10]) == (pytest.approx(0.3), None)
