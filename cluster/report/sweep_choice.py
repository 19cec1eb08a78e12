"""The control by which a reader of a chart chooses one of several sweeps or values."""

from __future__ import annotations

from typing import Any

from cluster.report.artefacts import Artefacts


def choice(alt: Any, name: str, options: list[str], label: str) -> Any:
    """A list to choose from, the first one chosen; rows are kept by `only`."""
    return alt.param(
        name=f"chosen_{name}", value=options[0], bind=alt.binding_select(options=options, name=label)
    )


def only(layer: Any, choices: list[Any]) -> Any:
    """The rows of a chart that fit what is chosen."""
    for chosen in choices:
        layer = layer.transform_filter(f"datum['{chosen.name.removeprefix('chosen_')}'] === {chosen.name}")
    return layer


def effect_split(found: Artefacts) -> str | None:
    """The roles on which effects were tested, None for all."""
    roles = found.effects_settings().get("roles")
    return None if roles in (None, "all") else str(roles)
