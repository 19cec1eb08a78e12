"""Meter, heartbeat and the words in which progress is told."""

import io
import time

import pyarrow as pa
import pytest

from axiograph.cluster.sampling import heartbeat, meter
from axiograph.cluster.sampling.heartbeat import FILE, beating, read_heartbeat
from axiograph.cluster.sampling.meter import Meter, Reading, WorkerShare
from axiograph.cluster.sampling.progress import metered, progress, reporting_to
from axiograph.commands import progress as terminal
from axiograph.commands.progress import TerminalReporter
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.texts.progress import heartbeat_lines, reading_text, worker_lines


def answers(count, failed=0):
    rows = [
        {"prompt_tokens": 10, "new_tokens": 5, "finish": "failed" if i < failed else "eos"}
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=RESPONSE_SCHEMA)


@pytest.fixture
def clock(monkeypatch):
    """now[0] is what the meter's clock says."""
    now = [1000.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    return now


def test_rates_are_those_of_the_last_minutes(clock):
    counted = Meter()
    counted.start(1000)
    assert counted.read().eta_s is None
    for seconds, count in ((10, 100), (200, 100), (60, 300)):
        clock[0] += seconds
        counted.add(answers(count, failed=1))
    reading = counted.read()
    # At 270 s the window begins with the last answers that are older than it is: the 100 at 10 s.
    assert (reading.done, reading.failed, reading.total) == (500, 3, 1000)
    assert reading.rows_per_s == pytest.approx(400 / 260)
    assert reading.tokens_per_s == pytest.approx(400 * 15 / 260)
    assert reading.eta_s == pytest.approx(500 * 260 / 400)


def test_workers_are_listed_until_they_are_gone(clock):
    counted = Meter()
    counted.start(10)
    counted.worker("b", 3, 0.5)
    clock[0] += 400
    counted.worker("a", 2, 0.9)
    counted.worker("a", 2, 0.8)
    assert counted.read().workers == (WorkerShare("a", 0.8, 4), WorkerShare("b", 0.5, 3))
    clock[0] += 400
    assert [worker.name for worker in counted.read().workers] == ["a"]


def test_the_heartbeat_can_be_read_while_the_run_goes_on_and_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.05)
    run, counted = RunDir(tmp_path), Meter()
    assert read_heartbeat(run) is None
    counted.start(10)
    with beating(run, counted, "RayExecutor"):
        counted.add(answers(4))
        counted.worker("w", 4, 0.25)
        until = time.monotonic() + 20
        while read_heartbeat(run).reading.done < 4 and time.monotonic() < until:
            time.sleep(0.02)
        beat = read_heartbeat(run)
        assert (beat.state, beat.reading.done, beat.executor) == ("sampling", 4, "RayExecutor")
        assert beat.reading.workers == (WorkerShare("w", 0.25, 4),)
    assert read_heartbeat(run).state == "done"
    with pytest.raises(KeyboardInterrupt), beating(run, counted, "RayExecutor"):
        raise KeyboardInterrupt
    assert read_heartbeat(run).state == "stopped"


def test_an_old_heartbeat_of_a_run_that_was_sampling_is_told_apart(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    with beating(run, Meter(), "RayExecutor"):
        beat = read_heartbeat(run)
        assert not beat.is_old and "0 of 0 answers" in heartbeat_lines(beat)[0]
        now = time.time() + 61
        monkeypatch.setattr(heartbeat.time, "time", lambda: now)
        assert beat.is_old and beat.age_s == pytest.approx(61, abs=5)
        assert "probably dead" in heartbeat_lines(beat)[0]
        monkeypatch.undo()
    beat = read_heartbeat(run)
    monkeypatch.setattr(heartbeat.time, "time", lambda: time.monotonic() + 1e12)
    assert "done" in heartbeat_lines(beat)[0]
    assert not beat.is_old  # it has ended and promised no other


def test_a_damaged_heartbeat_counts_as_none(tmp_path):
    (tmp_path / FILE).write_text('{"state": "samp')
    assert read_heartbeat(RunDir(tmp_path)) is None


def test_a_line_has_everything_and_nothing_that_is_not_known():
    reading = Reading(10_000, 0, 0, 0.0, 0.0, None)
    assert reading_text(reading) == ("0 of 10,000 answers, 0.0/s, 0 tokens/s, unknown time left")
    shares = tuple(WorkerShare(f"n/{i}", 0.5 + i / 100, 7) for i in range(20))
    reading = Reading(10_000, 9_000, 3, 12.5, 2000.4, 80.0, shares)
    assert reading_text(reading) == (
        "9,000 of 10,000 answers, 12.5/s, 2,000 tokens/s, 80 s left, 3 failed, 20 workers 60 % busy"
    )
    lines = worker_lines(reading)
    assert lines[0] == "  n/0   50 % busy  7 answers" and lines[-1] == "  … and 4 busier workers"


def test_elsewhere_than_on_a_terminal_there_is_a_line_a_minute_even_without_answers(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "PLAIN_EVERY_S", 0.05)
    counted = Meter()
    counted.start(5)
    with reporting_to(TerminalReporter()), metered(counted):
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2 and set(lines) == {
        "sampling: 0 of 5 answers, 0.0/s, 0 tokens/s, unknown time left"
    }


def test_counted_work_is_told_at_its_end_too(capsys):
    with reporting_to(TerminalReporter()), progress("discovery", 4, "replicates") as advance:
        advance(4)
    assert capsys.readouterr().err.startswith("discovery: 4 of 4 replicates, ")


def test_a_library_that_was_handed_no_reporter_is_silent(capsys):
    with metered(Meter()), progress("discovery", 4, "replicates") as advance:
        advance(4)
    with reporting_to(TerminalReporter()):
        pass
    with metered(Meter()):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_board_on_a_terminal_shows_bar_figures_and_workers():
    from rich.console import Console

    counted = Meter()
    counted.start(4)
    counted.add(answers(2))
    counted.worker("node/1", 2, 1.0)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal._Board(counted))
    text = console.export_text()
    assert "2 of 4 answers" in text and "node/1  100 % busy" in text
