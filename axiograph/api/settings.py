"""Settings of a study changed by keyword, checked as those of a study file are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from axiograph.cluster.ray.executor import STALL_S
from axiograph.engine.errors import InputError
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.schema import DiscoverySpec, Study

__all__ = ["CORES", "STALL_S", "as_study", "changed_discovery"]
CORES = os.cpu_count() or 1


def as_study(study: Study | Path | str) -> Study:
    """The study itself, or that of a file. InputError for a file that is none."""
    return study if isinstance(study, Study) else load_study(Path(study))


def changed_discovery(base: DiscoverySpec, changes: Mapping[str, object], prefix: str = "") -> DiscoverySpec:
    """`base` with these fields changed. InputError that names the field, behind `prefix`, and what it
    takes."""
    try:
        # Without its defaults: a default may depend on what is changed (DiscoverySpec.missing).
        return DiscoverySpec.model_validate(base.model_dump(exclude_defaults=True) | dict(changes))
    except ValidationError as error:
        first = error.errors()[0]
        names = ", ".join(f"{prefix}{name} {value}" for name, value in changes.items())
        where = f"{prefix}{first['loc'][0]}" if first["loc"] else "options of discover"
        expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        value = first["input"] if first["loc"] else names
        raise InputError(where, expected, f"{value}", "Correct the option or the study.") from error
