"""How large a report is, and how long it takes to make and to open, by the number of values.

    python benchmarks/report_page.py 8 17 224

Answers are made up (tests/cluster/report/made_run.py) and put through the real stages. Opening is from the
call to the load event, by when graphs and tables are there, and to the last chart drawn; the best of three,
each in a new browser. CPU seconds are those of all processes of the browser, its start included: on a shared
machine they say more than the wall clock.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from axiograph.report.build import write_report
from tests.axiograph.report import made_run
from tests.browser import browser

REPEATS = 3


def main() -> None:
    print("values  page MB  make CPU s  load s  drawn s  browser CPU s")
    for n in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            small = n <= 40
            made = made_run.Made(
                made_run.value_names(n),
                items=6 if small else 3,
                train=100 if small else 120,
                features=4,
                strengths=(-2.0, -1.0, 1.0, 2.0),
                replicates=1000 if small else 100,
            )
            run = made_run.make(Path(folder), made)
            started = time.process_time()
            page = write_report(run).page
            spent = time.process_time() - started
            best = [min(column) for column in zip(*(opened(page) for _ in range(REPEATS)), strict=True)]
            size = page.stat().st_size / 1e6
            print(
                f"{n:6} {size:8.1f} {spent:11.1f} {best[0]:7.2f} {best[1]:8.2f} {best[2]:14.1f}", flush=True
            )


def opened(path: Path) -> tuple[float, float, float]:
    """(seconds to load, to the last chart, CPU seconds of the browser)."""
    with browser() as started:
        page: Any = started.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(600_000)
        begun = time.monotonic()
        page.goto(path.as_uri())
        loaded = time.monotonic() - begun
        page.evaluate("axiograph.drawn")
        return loaded, time.monotonic() - begun, descendants_cpu(os.getpid())


def descendants_cpu(root: int) -> float:
    """User and system seconds of the processes that this one started, directly or not."""
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has just ended
            parents[int(entry.name)] = int(fields[1])
            spent[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for process, seconds in spent.items():
        above = process
        while above in parents and above != root:
            above = parents[above]
        total += seconds if above == root and process != root else 0.0
    return total


if __name__ == "__main__":
    main()
