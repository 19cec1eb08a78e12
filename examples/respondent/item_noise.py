"""Measures how the built-in respondent's answers scatter about its planted values, through the engine itself.

    python examples/respondent/item_noise.py [--roles 400] [--steered-roles 20] [--out DIR]

Writes item_noise.json beside truth.json: what `axiograph calibrate` simulates answers with. To be run again
whenever the model changes; a test holds the digest in the file against the shipped model.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from axiograph.cluster.demonstration import STRENGTHS, DemoSettings, demo
from axiograph.discovery.calibration.noise import NOISE_FILE, Items, fit_noise, fit_steering_noise
from axiograph.discovery.calibration.respondent import ASSETS, Planted
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import write_json

GREEDY_ROLES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--roles", type=int, default=400)
    parser.add_argument("--steered-roles", type=int, default=20)
    parser.add_argument("--out", type=Path, help="Keep the answers here; default: a temporary folder.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        found = measure(folder, arguments.roles, arguments.steered_roles)
    write_json(NOISE_FILE, found)
    print(NOISE_FILE.read_text(encoding="utf-8"))


def measure(folder: Path, roles: int, steered_roles: int) -> dict[str, Any]:
    """The document of item_noise.json."""
    odds = demo(
        DemoSettings(mode="logprob", roles=roles, steered_roles=steered_roles, replicates=20),
        folder / "odds",
        1,
    )
    few = DemoSettings(
        roles=GREEDY_ROLES, steered_roles=2, strengths=(2.0,), steered=odds.planted.names[:1], replicates=20
    )
    greedy = demo(few, folder / "greedy", 1)
    table, order = _log_odds(odds.run), _items(odds.run, odds.planted)
    baseline, names = _matrix(table.filter(pl.col("condition") == "baseline"), order[0])
    texts = {role.name: role.text for role in odds.run.inputs().roles}
    complete = ~np.isnan(baseline).any(axis=1)
    values = odds.planted.values([texts[name] for name in names])
    noise = fit_noise(baseline[complete], values[complete], order[1])
    steering = _steering(odds.planted, table, order, noise.slope)
    rates = greedy.run.store().scan().group_by("state").agg(n=pl.len()).collect()
    states = {str(state): int(n) for state, n in rates.iter_rows()}
    total = sum(states.values())
    noise = replace(
        noise,
        unsure_rate=states.get("unsure", 0) / total,
        missing_rate=(states.get("refused", 0) + states.get("unparsed", 0)) / total,
        steering_value_sd=steering.value_sd,
        steering_residual_sd=steering.residual_sd,
    )
    model = (ASSETS / "model" / "model.safetensors").read_bytes()
    return {
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "noise": asdict(noise),
        "steering": asdict(steering) | {"strengths": list(STRENGTHS)},
        "roles": {
            "log_odds": int(complete.sum()),
            "left_out_for_missing": int((~complete).sum()),
            "steered": steered_roles,
            "greedy": GREEDY_ROLES + 2,
        },
    }


def _log_odds(run: RunDir) -> pl.DataFrame:
    """role, condition, item_id, log_odds (null where there is none to read)."""
    keys = ["role", "condition", "item_id"]
    plan = run.plan().select("request_id", *(pl.col(key).cast(pl.String) for key in keys))
    state = pl.col("state").cast(pl.String).is_in(["yes", "no"]) & ~pl.col("fallback").fill_null(False)
    odds = run.store().scan().select("request_id", log_odds=pl.when(state).then(pl.col("log_odds")))
    return plan.join(odds, on="request_id").drop("request_id").collect()


def _items(run: RunDir, planted: Planted) -> tuple[list[str], Items]:
    items = sorted(run.inputs().items, key=lambda item: item.item_id)
    return [item.item_id for item in items], Items(
        np.array([item.agreement for item in items]),
        np.array([planted.names.index(item.value) for item in items]),
        np.array([planted.thresholds[item.item_id] for item in items]),
    )


def _matrix(rows: pl.DataFrame, items: list[str]) -> tuple[np.ndarray, list[str]]:
    """[roles, items] log-odds, NaN where missing, and the names of the roles."""
    wide = rows.pivot(on="item_id", index="role", values="log_odds").sort("role")
    return wide.select(items).to_numpy().astype(float), wide["role"].to_list()


def _steering(planted: Planted, table: pl.DataFrame, order: tuple[list[str], Items], slope: float) -> Any:
    before, names = _matrix(table.filter(pl.col("condition") == "baseline"), order[0])
    differences, shifts = [], []
    for k, value in enumerate(planted.names):
        for strength in STRENGTHS:
            sign = "+" if strength > 0 else "-"
            condition = f"f{planted.features[value]}:{sign}{abs(strength):g}"
            after, steered = _matrix(table.filter(pl.col("condition") == condition), order[0])
            differences.append(after - before[[names.index(name) for name in steered]])
            shifts.append(planted.shift_per_strength * strength * planted.total[:, k])
    difference = np.stack(differences)
    complete = ~np.isnan(difference).any(axis=(0, 2))
    return fit_steering_noise(difference[:, complete], np.stack(shifts), order[1], slope)


if __name__ == "__main__":
    main()
