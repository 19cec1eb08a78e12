"""The choice of a site: this process, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from axiograph.cluster.ray.connection import joined
from axiograph.cluster.ray.executor import STALL_S, RayOptions
from axiograph.cluster.ray.site import RaySite
from axiograph.cluster.sampling.site import LocalSite, Site


@contextmanager
def site(ray: str | None, workers: int | None = None, stall_s: float = STALL_S) -> Iterator[Site]:
    """This process without `ray`; else the cluster at that address (cluster.ray.connection.joined), with at
    most so many workers of a kind, which are killed when they stand still for `stall_s` seconds.

    InputError where there is no cluster."""
    if ray is None:
        yield LocalSite()
        return
    with joined(ray):
        yield RaySite(RayOptions(stall_s=stall_s, workers=workers))
