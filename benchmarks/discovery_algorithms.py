"""What one run of each algorithm takes, and what discovery.algorithms.registry.estimated_seconds says it
takes.

    python benchmarks/discovery_algorithms.py [--limit 60]

The data are the paper's published answers (AXIOGRAPH_PAPER_DATA, default ../shared/paper): the 17 values of
its pooled rows, whole and in part, and the first columns of its wide table that vary. Runs whose estimate is
above the limit, in seconds, are left out. Writes benchmarks/results/discovery_algorithms.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: one core means one core

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import ALGORITHMS, estimated_seconds, search_function
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.pc.inputs import constant_columns
from axiograph.engine.errors import AxiographError

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "discovery_algorithms.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=60, help="seconds a run may take by its estimate")
    limit = parser.parse_args().limit
    lines = [*_header(), "| algorithm | values | rows | edges | CPU seconds | estimate |"]
    lines.append("|---|---|---|---|---|---|")
    for name in ALGORITHMS:
        for data in _tables():
            lines.append(_line(name, data, limit))
            print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n")


def _line(name: str, data: FloatArray, limit: float) -> str:
    rows, values = data.shape
    names = [f"v{k}" for k in range(values)]
    estimate = estimated_seconds(name, values, rows)
    head = f"| {name} | {values} | {rows} |"
    if estimate > limit:
        return f"{head} – | not run | {estimate:.3g} |"
    run = search_function(name)
    try:
        run(data[:, :3], names[:3])  # imports and compiles
        start = time.process_time()
        edges = run(data, names).graph.n_edges
    except AxiographError as error:
        return f"{head} – | {error.found} | {estimate:.3g} |"
    return f"{head} {edges} | {time.process_time() - start:.3g} | {estimate:.3g} |"


def _tables() -> list[FloatArray]:
    paper, rng = _scores("answers_train.csv"), np.random.default_rng(0)
    drawn = rng.permutation(len(paper))
    parts = [paper[drawn[:rows], :values] for values, rows in ((8, 100), (17, 100), (17, 400), (17, 1111))]
    wide = _wide()
    return [*parts, wide[:, :30], wide[:, :50]]


def _scores(file: str) -> FloatArray:
    table = pl.read_csv(_paper() / "gemma" / file, infer_schema=False)
    names = [c for c in table.columns[2:] if not c.endswith(":scstd") and c not in ("stds", "scstds")]
    return table.select(names).cast(pl.Float64).to_numpy()


def _wide() -> FloatArray:
    path = _paper() / "gemma" / "answers_wide_400x359.csv"
    table = pl.read_csv(path, infer_schema=False).cast(pl.Float64).to_numpy()
    return np.ascontiguousarray(table[:, ~constant_columns(table)])


def _paper() -> Path:
    return Path(os.environ.get("AXIOGRAPH_PAPER_DATA", ROOT.parent / "shared" / "paper"))


def _header() -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in ("causal-learn", "numpy", "scipy"))
    load = ", ".join(f"{k:.1f}" for k in os.getloadavg())
    return [
        "# One run of each algorithm",
        "",
        "`python benchmarks/discovery_algorithms.py`",
        "",
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {versions}; "
        f"one core. Load average at the start: {load}; times are CPU seconds, which other work on the "
        "machine makes somewhat longer.",
        "",
        "17 and fewer values: the paper's pooled answers (rows of one role are not independent; here they "
        "are only work). 30 and 50 values: the first columns of its wide table that vary. Alpha 0.05, "
        "default settings.",
        "",
    ]


if __name__ == "__main__":
    main()
