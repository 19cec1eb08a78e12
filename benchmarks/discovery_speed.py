"""Speed and memory of the PC kernel and of resampling, against causal-learn in one run on one machine.

    python benchmarks/discovery_speed.py [--full] [--skip-slow]

The data are the paper's published answers (AXIOGRAPH_PAPER_DATA, default ../shared/paper). Writes
benchmarks/results/discovery_speed.md. Kernel and causal-learn take turns, and the best time of each counts,
so that a machine on which others work spoils neither alone. Takes about four minutes, of which
causal-learn's run on 100 columns is two (`--skip-slow` leaves it out); `--full` gives causal-learn all
1,000 replicates and makes 10,000 at 224 values, in about ten minutes.
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
from dataclasses import dataclass
from importlib.metadata import version
from math import comb
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: one core means one core

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import no_knowledge
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.pc import skeleton
from axiograph.discovery.pc.kernel import bounds, cpdag
from axiograph.discovery.pc.orientation import orient
from axiograph.discovery.pc.search import pc
from axiograph.discovery.resampling.bootstrap import BootstrapResult, bootstrap
from axiograph.discovery.resampling.rows import Resample, Resampling, draw_many
from axiograph.discovery.resampling.score_table import ScoreTable, Search

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "discovery_speed.md"
ALPHA = 0.05
FLOPS_A_TEST = 12  # 4 fused multiply-adds and 4 products in lanes.test_lanes; comparisons are not counted
FEATURES = ("", "14351", "1025", "2965", "10096", "1341", "1975", "10605", "14049", "1312", "4752")


def main() -> None:
    options = _options()
    if options.only_wide_replicates:
        print("\n".join(_many_replicates(wide_scores()[:, :224], options.only_wide_replicates)))
        return
    lines = [*_header(), *_compilation()]
    reference, wide = (1000, 10_000) if options.full else (60, 2000)
    lines += _seventeen(paper_scores(), reference)
    lines += _wide(wide_scores(), options.skip_slow)
    lines += _in_a_process_of_its_own(wide)
    lines += [f"Load average at the end: {_load()}."]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-slow", action="store_true", help="leave out causal-learn on 100 columns")
    parser.add_argument("--full", action="store_true", help="1,000 replicates by causal-learn, 10,000 wide")
    parser.add_argument("--only-wide-replicates", type=int, metavar="N", help="print that part and stop")
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
    return [
        "# Speed of causal discovery",
        "",
        f"`python benchmarks/discovery_speed.py {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "",
        f"{_processor()}; Python {platform.python_version()}, {packages}; OMP_NUM_THREADS=1. Load average "
        f"at the start: {_load()} (above 0.5 others worked on the machine, and times here are too long).",
        "",
    ]


def _load() -> str:
    return ", ".join(f"{x:.1f}" for x in os.getloadavg())


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = {line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")}
    wide = "AVX-512" if "avx512f" in text else "AVX2" if "avx2" in text else "no AVX2"
    return f"{os.cpu_count()}-core {', '.join(names) or platform.processor()}, {wide}"


def _compilation() -> list[str]:
    code = (
        "import time, numpy as np\nfrom axiograph.discovery.pc.search import pc\n"
        "from axiograph.discovery.resampling.bootstrap import bootstrap\n"
        "from axiograph.discovery.resampling.rows import Resampling\n"
        "from axiograph.discovery.resampling.score_table import ScoreTable, Search\n"
        "x = np.random.default_rng(0).normal(size=(40, 4))\nstart = time.perf_counter()\n"
        "table, draws = ScoreTable(x, 'abcd'), Resampling(2, null_replicates=0)\n"
        "bootstrap(table, Search(), draws, full=pc(x, 'abcd').graph)\n"
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


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int, rounds: int
) -> tuple[float, float]:
    """The shortest time of each: in each round `runs` times ours, then theirs once, and ours again at the
    end."""
    fast, slow = [], []
    for _ in range(rounds):
        fast.append(best(ours, runs))
        slow.append(best(theirs, 1))
    return min(*fast, best(ours, runs)), min(slow)


def _seventeen(data: FloatArray, reference: int) -> list[str]:
    corr, names = np.asarray(np.corrcoef(data.T)), _names(data)
    found = cpdag(corr, len(data), ALPHA)
    same = _verdict(np.array_equal(found.marks, _causal_learn(data)))
    peer = lambda: _causal_learn(data)  # noqa: E731
    kernel, theirs = in_turn(lambda: cpdag(corr, len(data), ALPHA), peer, 1000, 5)
    whole, again = in_turn(lambda: pc(data, names, ALPHA), peer, 200, 3)
    lines = [
        f"## 17 values, {len(data)} rows",
        "",
        "| work | time | causal-learn | ratio | graphs |",
        "|---|---|---|---|---|",
        _row("correlation matrix → CPDAG, one core", kernel, theirs, same),
        _row("data → CPDAG with all checks (`discovery.pc.search.pc`), one core", whole, again, same),
    ]
    chosen = (Resample.HALF_OF_ROLES, Resample.ROLES_WITH_REPLACEMENT)
    lines += [_replicates(data, resample, reference) for resample in chosen]
    rows, orientation = _orders(corr, len(data))
    return [
        *lines,
        "",
        f"{found.tests} tests in {_duration(kernel)}: {found.tests / kernel / 1e6:.0f} million a second, "
        "orientation and the call from Python included.",
        "",
        *_order_table(rows, orientation),
        "What bounds it: nodes have 5 to 8 neighbours here, so that a leaf of the walk (one set S, all y) is "
        "one register, barely half of whose lanes hold a test, and the dozen vector instructions of a leaf "
        "are the smaller part of its cost. The rest does not depend on how many y there are: for each S a "
        "division, six numbers spread over a register and the union of the masks; for each prefix of S a "
        "rank-one update of one register a row; for each x and order the gathering of its neighbours' "
        "correlations and the writing of its separating sets. From order 4 on there are as many prefixes as "
        "sets. Replicates are bound by the same, and by branches guessed wrong more often when every "
        "graph is a new one.",
        "",
    ]


def _replicates(data: FloatArray, resample: Resample, reference: int) -> str:
    """1,000 replicates in two threads against causal-learn's loop in two processes, on the same draws."""
    from joblib import Parallel, delayed

    names = _names(data)
    full = CausalGraph.empty(names)
    rows = draw_many(len(data), resample, 0, range(reference))
    table, resampling = ScoreTable(data, names), Resampling(1000, resample, null_replicates=0)

    def ours() -> BootstrapResult:
        return bootstrap(table, Search(), resampling, full=full, jobs=2)

    with Parallel(n_jobs=2) as parallel:

        def theirs() -> list[np.ndarray]:
            return parallel(delayed(_causal_learn)(data[drawn]) for drawn in rows)

        graphs = ours().graphs
        # This starts the processes, whose imports are not causal-learn's work, and is timed in no round.
        pairs = zip(graphs.marks(0, reference), theirs(), strict=True)
        equal = sum(np.array_equal(a, b) for a, b in pairs)
        fast, slow = in_turn(ours, theirs, 20, 2 if reference == 1000 else 3)
    slow *= 1000 / reference
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
        ours = lambda corr=corr: cpdag(corr, 400, ALPHA)  # noqa: E731
        runs, cells = max(20, 4000 // columns), ["not run"] * 3
        if columns <= (50 if skip_slow else 100):
            graph: list[np.ndarray] = []
            peer = lambda part=part, graph=graph: graph.append(_causal_learn(part))  # noqa: E731
            seconds, slow = in_turn(ours, peer, runs, 3 if columns < 50 else 1)
            same = _verdict(np.array_equal(found.marks, graph[0]))
            cells = [_duration(slow), f"{slow / seconds:,.0f}", same]
        else:
            seconds = best(ours, runs)
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
    rows, orientation = _orders(corr, 400)
    dense = [row for row in rows if row.order in (2, 3)]
    inner = sum(row.tests for row in dense) * FLOPS_A_TEST / sum(row.seconds for row in dense) / 1e9
    return [
        f"All columns: {tests / seconds / 1e6:,.0f} million tests a second, orientation included. At "
        f"{FLOPS_A_TEST} floating-point operations a test that is {reached:.1f} GFLOP/s, "
        f"{reached / peak:.0%} of the {peak:.0f} GFLOP/s of NumPy's matrix product on this core; at "
        f"orders 2 and 3, where two thirds of the tests are, {inner:.1f} GFLOP/s or {inner / peak:.0%}.",
        "",
        *_order_table(rows, orientation),
        "What bounds it, from the machine code: eight tests (a register) take 4 loads, 8 multiplications or "
        "fused multiply-adds, 3 comparisons and 7 operations on masks. The comparisons use the same units "
        "as the arithmetic, and four of the eight arithmetic instructions count for one operation instead "
        "of two: 12 of 22, so that a little over half of the peak of fused multiply-adds is the most that "
        "this way of testing can reach. Of the registers' lanes a sixth is empty (padding, and the nodes of "
        "the set itself). The rest is the fixed cost of a set (see above), to be borne by nine registers at "
        "order 2, six at order 3 and two to four above. At order 1 there is little arithmetic: what counts "
        "is gathering the correlations of 94 neighbours from rows all over the matrix, and uniting the "
        "separating sets of the pairs that are removed. A pair is tested from both ends, and goes on being "
        "tested until its order is done, as causal-learn unites all sets that separate it: a set tests all "
        "y in its registers at once, so that leaving out some y would save nothing.",
        "",
    ]


@dataclass(frozen=True)
class Order:
    """One order of one run: `registers` of eight tests, some of them empty."""

    order: int
    neighbours: float
    tests: int
    registers: int
    seconds: float


def _order_table(rows: list[Order], orientation: float) -> list[str]:
    lines = [
        "| order | mean neighbours | tests | registers of 8 | time | ns a register |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cost = f"{row.seconds / row.registers * 1e9:.1f}" if row.registers else ""
        lines.append(
            f"| {row.order} | {row.neighbours:.1f} | {row.tests:,} | {row.registers:,} | "
            f"{_duration(row.seconds)} | {cost} |"
        )
    return [*lines, f"| orientation | | | | {_duration(orientation)} | |", ""]


def _orders(corr: FloatArray, n_rows: int) -> tuple[list[Order], float]:
    """A run that is stopped after each order (each call from Python adds about a microsecond), and the
    time of orientation."""
    n = len(corr)
    lower, upper = bounds(ALPHA, n_rows, n)
    adjacent = (1 - np.eye(n)).astype(np.uint8)
    sepset = np.zeros((n, n, (n + 63) // 64), np.uint64)
    pending = np.empty((4096, n), np.int32)
    position = np.zeros(4, np.int64)
    rows = []
    while int((degrees := (adjacent != 0).sum(axis=1)).max()) > position[0]:
        before = adjacent.copy(), sepset.copy(), position.copy()
        seconds = np.inf
        for _ in range(200 if n < 50 else 4):
            for array, state in zip((adjacent, sepset, position), before, strict=True):
                array[:] = state
            start = time.perf_counter()
            if position[0] == 0:
                skeleton._marginal(corr, lower, upper, adjacent, pending, position)
            else:
                skeleton._conditional(
                    corr, lower, upper, adjacent, sepset, pending, position, int(degrees.max())
                )
            seconds = min(seconds, time.perf_counter() - start)
        order = int(position[0])
        made = int(position[3] - before[2][3])
        registers = sum(comb(int(k), order) * -(-int(k) // 8) for k in degrees if k > order) if order else 0
        rows.append(Order(order, float(degrees.mean()), made, registers, seconds))
        adjacent[adjacent != skeleton.ADJACENT] = 0
        position[:3] = order + 1, 0, 0
    marks = np.empty((n, n), np.uint8)
    nothing = no_knowledge(n)
    return rows, best(lambda: orient(adjacent, sepset, *nothing, marks), 20)


def _in_a_process_of_its_own(replicates: int) -> list[str]:
    """So that the memory of causal-learn and of the other parts is not counted."""
    run = [sys.executable, __file__, "--only-wide-replicates", str(replicates)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def _many_replicates(data: FloatArray, replicates: int) -> list[str]:
    names = _names(data)
    start = time.perf_counter()
    full = pc(data, names, ALPHA).graph
    resampling = Resampling(replicates, null_replicates=0)
    found = bootstrap(ScoreTable(data, names), Search(), resampling, full=full, jobs=2)
    seconds = time.perf_counter() - start
    peak = _peak_memory()
    start = time.perf_counter()
    found.edges.table()
    tables = time.perf_counter() - start
    counts = found.replicates
    return [
        "## 224 values, 400 roles, half of them a replicate, 2 cores",
        "",
        f"{replicates:,} replicates in {_duration(seconds)} ({_duration(seconds / replicates)} each); "
        f"{counts.used:,} used, {sum(counts.failed.values()):,} failed (equal columns among 200 roles); edge "
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
