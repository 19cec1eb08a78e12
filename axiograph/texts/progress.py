"""Progress in words: how far sampling is, how fast, and who does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from axiograph.cluster.sampling.progress import duration

if TYPE_CHECKING:
    from axiograph.cluster.sampling.heartbeat import Heartbeat
    from axiograph.cluster.sampling.meter import Reading

LISTED_WORKERS = 16


def reading_text(reading: Reading) -> str:
    """One line: how far, how fast, how long still, and what failed."""
    parts = [
        f"{reading.done:,} of {reading.total:,} answers",
        f"{reading.rows_per_s:.1f}/s",
        f"{reading.tokens_per_s:,.0f} tokens/s",
    ]
    if reading.done < reading.total:
        parts.append(f"{duration(float('nan') if reading.eta_s is None else reading.eta_s)} left")
    if reading.failed:
        parts.append(f"{reading.failed:,} failed")
    if reading.workers:
        busy = sum(worker.busy for worker in reading.workers) / len(reading.workers)
        count = len(reading.workers)
        parts.append(f"{count} worker{'s' if count > 1 else ''} {100 * busy:.0f} % busy")
    return ", ".join(parts)


def worker_lines(reading: Reading) -> list[str]:
    """Every worker with its share of busy time; of many the least busy ones."""
    chosen = sorted(reading.workers, key=lambda worker: worker.busy)[:LISTED_WORKERS]
    lines = [
        f"  {worker.name}  {100 * worker.busy:3.0f} % busy  {worker.rows:,} answers" for worker in chosen
    ]
    more = len(reading.workers) - len(chosen)
    return [*lines, f"  … and {more} busier workers"] if more else lines


def heartbeat_lines(beat: Heartbeat) -> list[str]:
    """For a person who looks at the run from elsewhere."""
    who = f"process {beat.pid} on {beat.host}"
    ago = f"last heartbeat {duration(beat.age_s)} ago"
    if beat.is_old:
        dead = "probably dead: the run command continues where it stopped"
        return [f"sampling by {who}: {ago}, {dead}"]
    if beat.state != "sampling":
        return [f"sampling by {who}: {beat.state} {duration(beat.age_s)} ago"]
    return [f"sampling by {who}: {reading_text(beat.reading)}; {ago}", *worker_lines(beat.reading)]
