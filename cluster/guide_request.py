"""Requests: what the command `guide` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from discovery.guide_targets import TOLERANCE


@dataclass(frozen=True)
class GuideRequest:
    """What the command line asks for. `budget`: the most features together; `most`: the largest |strength|;
    `without`: levers not to be used; `reference`: FILE or FILE#key of a graph; `keep`: hold what that graph
    does not expect to follow."""

    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    method: str = "any"
    budget: int = 3
    most: float | None = None
    tolerance: float = TOLERANCE
    top: int = 3
    judges: int = 40
    judge_file: Path | None = None
    reference: str | None = None
    keep: bool = False
    without: tuple[str, ...] = ()
    graph_file: Path | None = None
    seed: int = 0
