"""Seconds and peak memory of planning a million requests, and of writing them as the run's plan.

The peer in the same run is the shortest loop that makes as many 16-byte hashes of as many joined strings
and keeps nothing: what a plan costs at least in Python.

    python benchmarks/plan_speed.py
"""

from __future__ import annotations

import hashlib
import platform
import resource
import tempfile
import time
from pathlib import Path

from axiograph.cluster.sampling.loop import library_versions, write_plan
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.plan.rows import Plan, PlanIdentity
from axiograph.engine.study.loading import parse_study

ROLES, ITEMS, FEATURES = 200, 1000, 4  # × (baseline + features) conditions = 1,000,000 rows


def make_study(folder: Path) -> Plan:
    rows = ["item_id,questionnaire,value,agreement,question"]
    rows += [f"i{i},Own,Value {i % 20},{1 if i % 2 else -1},Is number {i} good?" for i in range(ITEMS)]
    (folder / "items.csv").write_text("\n".join(rows) + "\n")
    options = ", ".join(f"o{i}" for i in range(20))
    (folder / "fields.yaml").write_text(f"A: [{options}]\nB: [{options}]\n")
    operation = {"sae": {"path": "sae"}, "features": list(range(FEATURES)), "strengths": [1]}
    roles = {"generate": [{"fields": "fields.yaml", "n": ROLES}], "no_role": False}
    study = parse_study(
        {
            "schema": 1, "name": "million", "model": {"path": "none"}, "questionnaires": ["items.csv"],
            "roles": roles, "steering": [{"operations": [operation]}], "out": "run",
        },
        where="benchmark",
        base=folder,
    )  # fmt: skip
    inputs = load_inputs(study)
    steering = {c.name: c.name.encode().ljust(16) for c in inputs.conditions if c.is_steered}
    return Plan(inputs, PlanIdentity(bytes(16), "float32", bytes(16), steering))


def bare_hashes(count: int) -> float:
    started = time.perf_counter()
    base = hashlib.blake2b(digest_size=16)
    for i in range(count):
        state = base.copy()
        state.update(b"role" + b"condition" + b"item" + i.to_bytes(4, "little"))
        state.digest()
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        plan = make_study(Path(name))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        write_plan(plan, Path(name) / "plan.parquet")
        seconds = time.perf_counter() - started
        size = (Path(name) / "plan.parquet").stat().st_size
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peer = bare_hashes(len(plan))
    print(f"{platform.machine()}; {library_versions()}")
    print(f"rows                      {len(plan):,}")
    print(f"plan and Parquet file     {seconds:.2f} s, {size / 1e6:.1f} MB")
    print(f"as many bare hashes       {peer:.2f} s")
    print(f"ratio                     {seconds / peer:.2f}")
    print(f"peak memory               {after / 1e3:.0f} MB, {before / 1e3:.0f} of them before planning")


if __name__ == "__main__":
    main()
