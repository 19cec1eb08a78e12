"""Speed and memory of the PC kernel and of resampling, against causal-learn in one run on one machine.

    python benchmarks/discovery_speed.py [--skip-slow] [--reference-replicates 1000] [--wide-replicates 10000]

The data are the paper's published answers (AXIOGRAPH_PAPER_DATA, default ../shared/paper). Writes
benchmarks/results/discovery_speed.md. causal-learn's share takes about ten minutes in full; `--skip-slow`
leaves out its run on 100 columns. Times are the best of several runs, so that a busy machine spoils less.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: one core means one core

import numpy as np
import polars as pl

from discovery import skeleton
from discovery.bootstrap import Resample, bootstrap
from discovery.fisher import bounds
from discovery.graph import CausalGraph
from discovery.kernel import cpdag
from discovery.knowledge import no_knowledge
from discovery.orientation import orient
from discovery.pc import FloatArray, pc
from discovery.resample import child_rng, draw_rows

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "discovery_speed.md"
ALPHA = 0.05
FLOPS_A_TEST = 12  # 4 fused multiply-adds and 4 products in walk._leaf; comparisons are not counted
FEATURES = ("", "14351", "1025", "2965", "10096", "1341", "1975", "10605", "14049", "1312", "4752")


def main() -> None:
    options = _options()
    if options.only_wide_replicates:
        print("\n".join(_many_replicates(wide_scores()[:, :224], options.wide_replicates)))
        return
    lines = [*_header(), *_compilation()]
    lines += _seventeen(paper_scores(), options.reference_replicates)
    lines += _wide(wide_scores(), options.skip_slow)
    lines += _in_a_process_of_its_own(options.wide_replicates)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-slow", action="store_true", help="leave out causal-learn on 100 columns")
    parser.add_argument("--reference-replicates", type=int, default=1000, help="replicates by causal-learn")
    parser.add_argument("--wide-replicates", type=int, default=10_000, help="replicates at 224 values")
    parser.add_argument("--only-wide-replicates", action="store_true", help="print that part and stop")
    return parser.parse_args()


def paper_scores() -> FloatArray:
    """[1111, 17]: the rows from which the paper made its graph."""
    table = pl.read_csv(_paper() / "gemma" / "answers_train.csv", infer_schema=False)
    table = table.filter(pl.col("steer_dim").fill_null("").is_in(FEATURES))
    names = [c for c in table.columns[2:] if not c.endswith(":scstd") and c not in ("stds", "scstds")]
    return table.select(names).cast(pl.Float64).to_numpy()


def wide_scores() -> FloatArray:
    """[400, 296]: unsteered answers, constant values left out."""
    path = _paper() / "gemma" / "answers_wide_400x359.csv"
    table = pl.read_csv(path, infer_schema=False).cast(pl.Float64).to_numpy()
    return np.ascontiguousarray(table[:, np.ptp(table, axis=0) > 0])


def _paper() -> Path:
    return Path(os.environ.get("AXIOGRAPH_PAPER_DATA", ROOT.parent / "shared" / "paper"))


def _header() -> list[str]:
    packages = ", ".join(f"{p} {version(p)}" for p in ("causal-learn", "numba", "numpy", "scipy", "joblib"))
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return [
        "# Speed of causal discovery",
        "",
        f"`python benchmarks/discovery_speed.py {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "",
        f"{_processor()}; Python {platform.python_version()}, {packages}; OMP_NUM_THREADS=1. Load average "
        f"at the start: {load} (above 0.5 others worked on the machine, and times here are too long).",
        "",
    ]


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = {line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")}
    wide = "AVX-512" if "avx512f" in text else "AVX2" if "avx2" in text else "no AVX2"
    return f"{os.cpu_count()}-core {', '.join(names) or platform.processor()}, {wide}"


def _compilation() -> list[str]:
    code = (
        "import time, numpy as np\nfrom discovery.pc import pc\nfrom discovery.bootstrap import bootstrap\n"
        "x = np.random.default_rng(0).normal(size=(40, 4))\nstart = time.perf_counter()\n"
        "bootstrap(x, 'abcd', full=pc(x, 'abcd').graph, replicates=2, null_replicates=0)\n"
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
        run = [sys.executable, "-c", code]
        first, second = (
            float(subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout)
            for _ in range(2)
        )
    return [
        f"First use compiles: {first:.1f} s; a later process reads the compiled code: {second:.2f} s (import "
        "of numba and SciPy included). It is in no time below.",
        "",
    ]


def best(work: Callable[[], object], runs: int) -> float:
    """The shortest of `runs` wall-clock times, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _seventeen(data: FloatArray, reference: int) -> list[str]:
    corr = np.asarray(np.corrcoef(data.T))
    found = cpdag(corr, len(data), ALPHA)
    kernel = best(lambda: cpdag(corr, len(data), ALPHA), 2000)
    whole = best(lambda: pc(data, _names(data), ALPHA), 500)
    theirs = best(lambda: _causal_learn(data), 3)
    same = np.array_equal(found.marks, _causal_learn(data))
    lines = [
        f"## 17 values, {len(data)} rows",
        "",
        "| work | time | causal-learn | ratio | graphs |",
        "|---|---|---|---|---|",
        _row("correlation matrix → CPDAG, one core", kernel, theirs, _verdict(same)),
        _row("data → CPDAG with all checks (`discovery.pc.pc`), one core", whole, theirs, _verdict(same)),
    ]
    lines += [_replicates(data, resample, reference) for resample in Resample]
    lines += [
        "",
        f"{found.tests} tests in {_duration(kernel)}: {found.tests / kernel / 1e6:.0f} million a second, "
        "orientation included. At this size a leaf of the walk tests 5 to 10 pairs: calls, divisions and the "
        "sum over the register bound it, not arithmetic.",
        "",
    ]
    return lines


def _replicates(data: FloatArray, resample: Resample, reference: int) -> str:
    """1,000 replicates in two threads against causal-learn's loop in two processes, on the same draws."""
    from joblib import Parallel, delayed

    names = _names(data)
    full = CausalGraph.empty(names)

    def ours() -> object:
        return bootstrap(
            data, names, full=full, replicates=1000, resample=resample, n_jobs=2, null_replicates=0
        )

    ours()
    fast = best(ours, 7)
    graphs = bootstrap(data, names, full=full, replicates=1000, resample=resample, null_replicates=0).graphs
    rows = [draw_rows(len(data), resample, child_rng(0, r)) for r in range(reference)]
    with Parallel(n_jobs=2) as parallel:
        parallel(delayed(_causal_learn)(data[r]) for r in rows[:4])  # starts and imports are not its work
        start = time.perf_counter()
        theirs = parallel(delayed(_causal_learn)(data[r]) for r in rows)
        slow = (time.perf_counter() - start) * 1000 / reference
    equal = sum(np.array_equal(a, b) for a, b in zip(graphs.marks(0, reference), theirs, strict=True))
    note = "" if reference == 1000 else f" (× 1000/{reference})"
    return (
        f"| 1,000 replicates from the data, {resample.replace('_', ' ')}, 2 cores | {_duration(fast)} | "
        f"{_duration(slow)}{note} | {slow / fast:,.0f} | {equal} of {reference} equal |"
    )


def _wide(data: FloatArray, skip_slow: bool) -> list[str]:
    lines = [
        "## The published wide table, 400 rows, one core, from the correlation matrix",
        "",
        "| columns | tests | kernel | ns a test | causal-learn | ratio | graphs |",
        "|---|---|---|---|---|---|---|",
    ]
    for columns in (25, 50, 100, 200, data.shape[1]):
        part = np.ascontiguousarray(data[:, :columns])
        corr = np.asarray(np.corrcoef(part.T))
        found = cpdag(corr, len(part), ALPHA)
        seconds = best(lambda corr=corr: cpdag(corr, 400, ALPHA), 2000 // columns)  # type: ignore[misc]
        cells = ["not run"] * 3
        if columns <= (50 if skip_slow else 100):
            start = time.perf_counter()
            theirs = _causal_learn(part)
            slow = time.perf_counter() - start
            cells = [_duration(slow), f"{slow / seconds:,.0f}", _verdict(np.array_equal(found.marks, theirs))]
        cost = seconds / found.tests * 1e9
        lines.append(
            f"| {columns} | {found.tests:,} | {_duration(seconds)} | {cost:.2f} | {' | '.join(cells)} |"
        )
    return [*lines, "", *_limit(corr, found.tests, seconds)]


def _limit(corr: FloatArray, tests: int, seconds: float) -> list[str]:
    """How far the widest run is from what the core can compute, and where its time goes."""
    square = np.random.default_rng(0).normal(size=(1500, 1500))
    peak = 2 * len(square) ** 3 / best(lambda: square @ square, 5) / 1e9
    reached = tests * FLOPS_A_TEST / seconds / 1e9
    orders, orientation = _orders(corr)
    return [
        f"All columns: {tests / seconds / 1e6:,.0f} million tests a second, orientation included. At "
        f"{FLOPS_A_TEST} floating-point operations a test that is {reached:.1f} GFLOP/s, "
        f"{reached / peak:.0%} of the {peak:.0f} GFLOP/s that a matrix product reaches on this core.",
        "",
        "| order | mean neighbours | tests | time | ns a test |",
        "|---|---|---|---|---|",
        *orders,
        f"| orientation | | | {_duration(orientation)} | |",
        "",
        "What bounds it, by reading the code and these rows: a test reads four doubles (two covariances with "
        f"the newest node, one with x, one variance) for its {FLOPS_A_TEST} operations, keeps none in a "
        "register for the next test, and ends in masks that are stored and counted, so that loads and masks "
        "come before arithmetic at orders 2 and 3. Higher orders have few neighbours: there the fixed cost "
        "of a leaf (a division, a sum over the register) counts. At order 1 gathering the correlations of "
        "the neighbours and writing the separating sets weigh more than the tests. (This one run by order "
        "touches fresh memory, mostly in orders 0 and 1, which the best of several runs above does not.)",
        "",
    ]


def _orders(corr: FloatArray) -> tuple[list[str], float]:
    """Rows of the table by order, from a run that is stopped after each; and the time of orientation."""
    _one_order_at_a_time(corr[:9, :9])  # compiles for calls from Python
    return _one_order_at_a_time(corr)


def _one_order_at_a_time(corr: FloatArray) -> tuple[list[str], float]:
    n = len(corr)
    lower, upper = bounds(ALPHA, 400, n)
    adjacent = (1 - np.eye(n)).astype(np.uint8)
    sepset = np.zeros((n, n, (n + 63) // 64), np.uint64)
    pending = np.empty((4096, n), np.int32)
    position = np.zeros(4, np.int64)
    rows = []
    while (degree := int((adjacent != 0).sum(axis=1).max())) > position[0]:
        mean, made = (adjacent != 0).sum() / n, int(position[3])
        start = time.perf_counter()
        if position[0] == 0:
            skeleton._marginal(corr, lower, upper, adjacent, pending, position)
        else:
            skeleton._conditional(corr, lower, upper, adjacent, sepset, pending, position, degree)
        spent = time.perf_counter() - start
        tests = int(position[3]) - made
        cost = spent / max(1, tests) * 1e9
        rows.append(f"| {position[0]} | {mean:.1f} | {tests:,} | {_duration(spent)} | {cost:.2f} |")
        adjacent[adjacent != skeleton.ADJACENT] = 0
        position[:3] = position[0] + 1, 0, 0
    marks = np.empty((n, n), np.uint8)
    nothing = no_knowledge(n)[1:]
    return rows, best(lambda: orient(adjacent, sepset, *nothing, marks), 5)


def _in_a_process_of_its_own(replicates: int) -> list[str]:
    """So that the memory of causal-learn and of the other parts is not counted."""
    run = [sys.executable, __file__, "--only-wide-replicates", "--wide-replicates", str(replicates)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def _many_replicates(data: FloatArray, replicates: int) -> list[str]:
    names = _names(data)
    start = time.perf_counter()
    full = pc(data, names, ALPHA).graph
    found = bootstrap(data, names, full=full, replicates=replicates, n_jobs=2, null_replicates=0)
    seconds = time.perf_counter() - start
    peak = _peak_memory()
    start = time.perf_counter()
    found.edge_table()
    tables = time.perf_counter() - start
    return [
        "## 224 values, 400 roles, half of them a replicate, 2 cores",
        "",
        f"{replicates:,} replicates in {_duration(seconds)} ({_duration(seconds / replicates)} each); "
        f"{found.used:,} used, {sum(found.failed.values()):,} failed (equal columns among 200 roles); edge "
        f"table in {_duration(tables)}. Packed graphs: {found.graphs.nbytes / 2**20:.0f} MiB. Largest "
        f"resident memory of the process: {peak:.0f} MiB.",
        "",
    ]


def _peak_memory() -> float:
    """MiB; not that of getrusage, which a process inherits from the one that started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _causal_learn(data: FloatArray) -> np.ndarray:
    from causallearn.search.ConstraintBased.PC import pc as causal_learn_pc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = causal_learn_pc(data, ALPHA, show_progress=False)
    return CausalGraph.from_causal_learn(_names(data), found.G.graph).marks


def _names(data: FloatArray) -> tuple[str, ...]:
    return tuple(f"v{k}" for k in range(data.shape[1]))


def _row(work: str, seconds: float, slow: float, verdict: str) -> str:
    return f"| {work} | {_duration(seconds)} | {_duration(slow)} | {slow / seconds:,.0f} | {verdict} |"


def _verdict(same: bool) -> str:
    return "equal" if same else "DIFFERENT"


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


if __name__ == "__main__":
    main()
