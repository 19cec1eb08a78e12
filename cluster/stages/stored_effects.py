"""What the stage `effects` left in a run, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.effects.moderation import Prior
from axiograph.discovery.effects.testing import Effects
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import EffectsSpec

GRAPH_TABLES = ("relations", "responses", "pooled", "contrasts")  # there only where there was a graph
TABLES = ("changes", *GRAPH_TABLES)


def read_effects(run: RunDir) -> Effects | None:
    """The tables of the run and what they rest on, those without columns that need a graph where there was
    none; None where no condition could be tested.

    Raises InputError where the stage has not run, RunError for a damaged file."""
    about = run.effects / "effects.json"
    if not about.is_file():
        if (run.effects / "between_roles.parquet").is_file():
            return None
        raise _absent(run, about)
    try:
        document = json.loads(about.read_text(encoding="utf-8"))
        names = TABLES if document["graph"] is not None else ("changes",)
        tables = dict.fromkeys(TABLES, pl.DataFrame())
        tables |= {name: pl.read_parquet(run.effects / f"{name}.parquet") for name in names}
        return Effects(
            changes=tables["changes"],
            relations=tables["relations"],
            responses=tables["responses"],
            pooled=tables["pooled"],
            contrasts=tables["contrasts"],
            spec=_spec(run, document),
            prior=_prior(document),
            graph_replicates=document["graph_replicates"],
            not_in_graph=tuple(document["not_in_graph"]),
            cycles=[tuple(cycle) for cycle in document["cycles"]],
            negative_controls=tuple(document.get("negative_controls", ())),
            judges=document.get("judges", {}),
        )
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise _damaged(run, about, error) from error


def _prior(document: dict[str, Any]) -> Prior | None:
    """What the tests knew of variances; None for tables of an earlier version, which has none."""
    return Prior.read(document["prior"]) if document.get("prior") is not None else None


def _spec(run: RunDir, document: dict[str, Any]) -> EffectsSpec:
    """The settings behind the tables; what the document does not name is as in the study."""
    names = ("roles", "level", "control", "control_graphs", "seed")
    stored = {name: document[name] for name in names} | {"resamples": document["interval_resamples"]}
    return EffectsSpec.model_validate(run.inputs().study.effects.model_dump() | stored)


def read_between_roles(run: RunDir) -> pl.DataFrame:
    """The paper's contrast of roles (discovery.effects.contrast.between_roles), without columns where changes
    were tested without a graph. InputError where the stage has not run, RunError for a damaged file."""
    path = run.effects / "between_roles.parquet"
    if not path.is_file():
        if (run.effects / "changes.parquet").is_file():
            return pl.DataFrame()
        raise _absent(run, path)
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(run, path, error) from error


def _absent(run: RunDir, path: Path) -> InputError:
    remedy = f"Run `axiograph effects {run.where}`."
    return InputError(run.shown(path), "the tables of the stage effects", "none", remedy)


def _damaged(run: RunDir, path: Path, error: Exception) -> RunError:
    return RunError(
        run.shown(path),
        "complete tables of the stage effects",
        str(error).splitlines()[0],
        f"Run `axiograph effects {run.where}` again.",
    )


def read_split_effects(run: RunDir) -> pl.DataFrame | None:
    """discovery.effects.style.split_effects of the run; None where there is nothing."""
    path = run.effects / "style.parquet"
    return pl.read_parquet(path) if path.is_file() else None
