"""A graph from any table of profiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.api.results import DiscoveryResult
from axiograph.api.settings import CORES, changed_discovery
from axiograph.cluster.site import site
from axiograph.cluster.stages.discover import discover_profiles
from axiograph.cluster.stages.profile_tables import read_profiles
from axiograph.engine.study.schema import DiscoverySpec


def discover(
    profiles: pl.DataFrame | Path | str,
    out: Path | str | None = None,
    *,
    jobs: int = CORES,
    ray: str | None = None,
    spec: DiscoverySpec | None = None,
    notify: Callable[[str], None] | None = None,
    **changes: Any,
) -> DiscoveryResult:
    """The graph of any table with one row per role and one column per value: a frame (Polars or pandas) or a
    CSV or Parquet file.

    `out`: where graph, tables and figures are written; None: nowhere. `spec`, `changes`: settings as in a
    study's `discovery`. `notify` is told where it may take long. Raises InputError for a table that cannot be
    used."""
    table = read_profiles(profiles)
    folder = None if out is None else Path(out)
    with site(ray) as where:
        settings = changed_discovery(spec or DiscoverySpec(), changes)
        discovery = discover_profiles(table, settings, folder, jobs=where.jobs(jobs), notify=notify)
    return DiscoveryResult(discovery, folder)
