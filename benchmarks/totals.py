"""Total effects and predictions of left-out levers: how often their intervals hold what they should.

    OMP_NUM_THREADS=1 python benchmarks/totals.py --graphs 10

Studies of benchmarks/interventions.py. A planted total effect is meant in standard deviations of the values,
scores are answers to 12 yes/no items; 200 replicates. Slope: planted on found, through 0. Predicted: measured
effects of left-out levers within the 95 % interval of their prediction.
"""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import polars as pl
from interventions_studies import SETTINGS, Setting, study

from axiograph.discovery.discover import discover
from axiograph.discovery.interventions.search import total_effects
from axiograph.engine.study.schema import DiscoverySpec

OUT = Path(__file__).parent / "results" / "totals.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=10)
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="The first so many.")
    arguments = parser.parse_args()
    graphs = arguments.graphs
    lines = [_line(setting, graphs) for setting in SETTINGS[: arguments.settings]]
    about = "\n".join(__doc__.splitlines()[4:])
    OUT.write_text(
        f"""# Total effects and predictions

`OMP_NUM_THREADS=1 python benchmarks/totals.py --graphs {graphs} --settings {arguments.settings}`; Python \
{platform.python_version()}, numpy \
{metadata.version("numpy")}, {platform.machine()}.

{about}

| setting | planted, in the range | not planted, in the range | error (rms) | slope | predicted |
|---|---|---|---|---|---|
{chr(10).join(lines)}
""",
        encoding="utf-8",
    )


def _line(setting: Setting, graphs: int) -> str:
    held, away, errors, products, squares, within = [], [], [], 0.0, 0.0, np.zeros(2)
    for number in range(graphs):
        table, coverage = _found(setting, number)
        inside = table["planted"].is_between(table["total_low"] - 1e-9, table["total_high"] + 1e-9).to_numpy()
        moved = (table["planted"].abs() > 1e-9).to_numpy()
        held.append(inside[moved])
        away.append(inside[~moved])
        errors.append(((table["total"] - table["planted"]) ** 2).to_numpy())
        products += float((table["total"] * table["planted"]).sum())
        squares += float((table["total"] ** 2).sum())
        within += coverage
    line = (
        f"| {setting.name} | {np.concatenate(held).mean():.2f} | {np.concatenate(away).mean():.2f} | "
        f"{np.sqrt(np.concatenate(errors).mean()):.3f} | {products / squares:.2f} | "
        f"{within[0] / within[1]:.3f} |"
    )
    print(line, flush=True)
    return line


def _found(setting: Setting, number: int) -> tuple[pl.DataFrame, tuple[int, int]]:
    """Total effects with the planted ones; how many predictions held, of how many."""
    one = study(setting, number)
    names = one.model.graph.names
    columns = {"role": [f"r{k}" for k in range(len(one.baseline))]}
    table = pl.DataFrame(columns | dict(zip(names, one.baseline.T, strict=True)))
    spec = DiscoverySpec(rows="interventional", replicates=200)
    found = discover(table, spec, experiments=one.experiments, null_replicates=0, jobs=2).interventional
    assert found is not None and found.prediction.coverage is not None
    total = total_effects(one.model.weights)
    spread = np.sqrt(np.diag(total.T @ total))
    planted = total * spread[:, None] / spread[None, :]
    place = {name: k for k, name in enumerate(names)}
    cells = [planted[place[a], place[b]] for a, b in found.totals.select("source", "target").iter_rows()]
    return found.totals.with_columns(planted=pl.Series(cells)), found.prediction.coverage


if __name__ == "__main__":
    main()
