"""The graph of roles and experiments together, on planted graphs, beside PC and best-order search on the
roles, and beside other methods for both (benchmarks/interventions_peers.py has how to install them).

    OMP_NUM_THREADS=1 python benchmarks/interventions.py --graphs 30

How far each is from the directed graph, and how often an arrow of a high frequency is reversed. Random
planted graphs (discovery.calibration.simulation.random_model); 12 yes/no items a value with the noise of
the built-in respondent, answered greedily or sampled once at temperature 1. Training roles answer the
baseline; test roles the baseline and every feature at strengths −1 and +1, each of which moves its value by
as many units (standard deviations) and all that follows from it. SHD is to the planted DAG: an edge without
a direction, or with the wrong one, counts as one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from interventions_peers import PEERS, Peer
from interventions_studies import SETTINGS, Setting, Study, study

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import Endpoint
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.numerics.arrays import BoolArray
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.pc.search import pc
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.engine.study.schema import DiscoverySpec

OUT = Path(__file__).parent / "results" / "interventions.md"
SURE = 0.9
THRESHOLD = float(DiscoverySpec().threshold)
_TIMED = 2  # of the settings
PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "gies",
    "graphical_model_learning",
    "conditional_independence",
)
PEERS_ABOUT = """
- Rows: `scores`, what the steered roles answered, and all baselines as observational; the settings are those
  that the methods come with. `differences`, each steered role's difference to its own baseline, added to the
  training roles' mean; the settings are the best of a few on 20 other graphs (8 and 17 values, greedy).
- GIES (Hauser & Bühlmann 2012) is told which value every feature acts on, and so are the arrows from
  steering. joint, UT-IGSP (Squires et al. 2020) and JCI (Mooij et al. 2020; PC or best-order search with a
  node a feature) are not.
- Arrows from steering: the pairs that pc or boss on the roles join; x → y where steering x moves y and
  steering y does not move x (paired t tests), else as pc or boss have it.
- UT-IGSP gives a DAG: where the data do not tell a direction it draws one, right half of the time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=30)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--joint-only", action="store_true", help="print the first table and write nothing")
    arguments = parser.parse_args()
    lines = [_line(setting, arguments.graphs, arguments.replicates) for setting in SETTINGS]
    if arguments.joint_only:
        return
    seconds = _time_of_replicates()
    peers = _peers(arguments.graphs)
    OUT.write_text(_page(arguments, lines, seconds, peers), encoding="utf-8")


def _line(setting: Setting, graphs: int, replicates: int) -> str:
    distances: dict[str, list[int]] = {name: [] for name in ("pc", "boss", "joint", "drawn", "consensus")}
    sure = turned = nothing = 0
    for number in range(graphs):
        one = study(setting, number)
        names = one.model.graph.names
        search = InterventionalSearch.beside(BestOrder(), one.experiments, names, one.baseline)
        distances["pc"].append(_distance(pc(one.baseline, names).graph, one.dag))
        distances["boss"].append(_distance(BestOrder()(one.baseline, names).graph, one.dag))
        whole = search(one.baseline, names).graph
        distances["joint"].append(_distance(whole, one.dag))
        distances["drawn"].append(_distance(_drawn(search, one.baseline, names), one.dag))
        found = bootstrap(
            ScoreTable(one.baseline, names),
            Search(search),
            Resampling(replicates, null_replicates=0),
            full=whole,
        ).edges
        distances["consensus"].append(_distance(found.consensus(THRESHOLD), one.dag))
        frequent = found.forward >= SURE * replicates
        sure += int(frequent.sum())
        turned += int((frequent & one.dag.T).sum())
        nothing += int((frequent & ~one.dag & ~one.dag.T).sum())
    cells = [_mean(d) for d in distances.values()]
    shares = [
        f"{sure / graphs:.1f}",
        f"{100 * turned / max(1, sure):.1f}",
        f"{100 * nothing / max(1, sure):.1f}",
    ]
    line = f"| {setting.name} | {setting.train} + {setting.test} | {' | '.join([*cells, *shares])} |"
    print(line, flush=True)
    return line


def _drawn(search: InterventionalSearch, baseline: np.ndarray, names: tuple[str, ...]) -> CausalGraph:
    """The best order's own DAG: an arrow also where the other one would be nearly as good."""
    correlation = np.corrcoef(baseline.T)
    inputs = SearchInput(baseline, correlation, names, len(baseline), 0.0, None, True)
    arrows = search.joint(inputs, constraints(None, names)).weights != 0
    return CausalGraph(names, arrows * int(Endpoint.ARROW) + arrows.T * int(Endpoint.TAIL))


def _peers(graphs: int) -> list[str]:
    """A line a method: its cells by setting, and its seconds in the third."""
    columns: list[list[tuple[str, float]]] = []
    for setting in SETTINGS:
        studies = [study(setting, number) for number in range(graphs)]
        columns.append([_peer(peer, studies[: peer.graphs]) for peer in PEERS])
        print(setting.name, *(cell for cell, _ in columns[-1]), sep=" | ", flush=True)
    lines = []
    for k, peer in enumerate(PEERS):
        cells = " | ".join(column[k][0] for column in columns)
        lines.append(f"| {peer.name} | {peer.setting} | {cells} | {columns[_TIMED][k][1]:.2g} |")
    return lines


def _peer(peer: Peer, studies: list[Study]) -> tuple[str, float]:
    """Its cell, with what failed, and the median CPU seconds of a study."""
    distances, seconds, failed = [], [], 0
    for one in studies:
        started = time.process_time()
        try:
            distances.append(_distance(peer.find(one), one.dag))
        except ImportError:
            return "not installed", np.nan
        except Exception as error:  # of other packages: whatever they raise is a failure, and counted
            print(f"{peer.name}, {peer.setting}: {error!r}", flush=True)
            failed += 1
        seconds.append(time.process_time() - started)
    cell = _mean(distances) if len(distances) > 1 else "–"
    return cell + (f" ({failed} failed)" if failed else ""), float(np.median(seconds))


def _mean(distances: list[int]) -> str:
    return f"{np.mean(distances):.2f} ± {np.std(distances, ddof=1) / np.sqrt(len(distances)):.2f}"


def _distance(graph: CausalGraph, dag: BoolArray) -> int:
    """Pairs that are not as in the DAG."""
    arrows, lines = graph.directed_mask(), graph.undirected_mask()
    return int(np.triu((arrows != dag) | (arrows != dag).T | lines, 1).sum())


def _time_of_replicates() -> float:
    """Seconds for 1,000 replicates of 17 values × 34 conditions on two threads."""
    one = study(SETTINGS[_TIMED], 0)
    names = one.model.graph.names
    search = Search(InterventionalSearch.beside(BestOrder(), one.experiments, names, one.baseline))
    table, full = ScoreTable(one.baseline, names), CausalGraph.empty(names)
    started = time.perf_counter()
    bootstrap(table, search, Resampling(1000, null_replicates=0), full=full, jobs=2)
    return time.perf_counter() - started


def _hardware() -> str:
    """The processor's name where the system tells it, and how many cores."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"


def _versions() -> str:
    """Of the packages that are installed."""
    found = []
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def _page(arguments: argparse.Namespace, lines: list[str], seconds: float, peers: list[str]) -> str:
    about = "\n".join(__doc__.splitlines()[4:])
    return f"""# Roles and experiments together

`OMP_NUM_THREADS=1 python benchmarks/interventions.py --graphs {arguments.graphs} --replicates \
{arguments.replicates}`; Python {platform.python_version()}, {_versions()}; {_hardware()}.
{about}

SHD to the directed graph, mean ± standard error: pc and boss, one search on the training roles' baseline;
joint, one search on roles and experiments; drawn, the same with an arrow on every edge, also where the other
direction is nearly as good; its consensus at a threshold of {THRESHOLD:g}. Arrows in
{SURE:g} of the replicates or more: how many a graph, reversed and between values that no edge joins, in %.

| setting | roles | pc | boss | joint | drawn | consensus | arrows ≥ {SURE:g} | reversed | no edge |
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

1,000 replicates of 17 values × 34 conditions on two threads: {seconds:.1f} s.

## Other methods

The same answers, the same SHD; one search each. Graphs: {arguments.graphs}; {_fewer()}. Failed searches are
counted beside the mean of the rest. Seconds: of CPU time a graph ({SETTINGS[_TIMED].name}), median.
{PEERS_ABOUT}

| method | rows and settings | {" | ".join(setting.name for setting in SETTINGS)} | seconds |
|---|---|{"---|" * len(SETTINGS)}---|
{chr(10).join(peers)}
"""


def _fewer() -> str:
    """Which methods searched fewer graphs."""
    return "; ".join(f"{peer.name} ({peer.setting}): {peer.graphs}" for peer in PEERS if peer.graphs)


if __name__ == "__main__":
    main()
