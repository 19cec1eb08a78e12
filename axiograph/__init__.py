"""axiograph: how the values of a language model hang together, and what happens to the others when one is
steered.

    import axiograph as ax

    study = ax.load_study("study.yaml")
    ax.plan(study)                     # requests, tokens, disk, time; runs nothing
    run = ax.run(study, "runs/first")  # or: run = ax.open("runs/first")
    run.profiles                       # a Polars frame: one row per role, one column per value
    run.graph                          # shows itself; .edges, .to_networkx(), .figure()
    run.effects                        # what steering changed: expected, possible, unexpected
    run.report()

Importing this module imports nothing else: a name brings in what it needs when it is first used, and no
model library comes in before a model does.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axiograph.api.calibration import advise, calibrate
    from axiograph.api.comparison import compare
    from axiograph.api.demonstration import demo
    from axiograph.api.features import PilotSettings, direction, features, pilot
    from axiograph.api.graph import ValueGraph, read_graph
    from axiograph.api.guide import GuideRequest, guide
    from axiograph.api.importing import import_items
    from axiograph.api.jobs import follow, stop, submit
    from axiograph.api.replication import replicate
    from axiograph.api.report import write_report
    from axiograph.api.results import discover
    from axiograph.api.run import Run
    from axiograph.api.run import open_run as open
    from axiograph.api.study import check, load_study, plan, run
    from axiograph.commands.progress import progress

# Each name and the module that has it.
_HOMES = {
    "GuideRequest": "api.guide",
    "PilotSettings": "api.features",
    "Run": "api.run",
    "ValueGraph": "api.graph",
    "advise": "api.calibration",
    "calibrate": "api.calibration",
    "check": "api.study",
    "compare": "api.comparison",
    "demo": "api.demonstration",
    "direction": "api.features",
    "discover": "api.results",
    "features": "api.features",
    "follow": "api.jobs",
    "guide": "api.guide",
    "import_items": "api.importing",
    "load_study": "api.study",
    "open": "api.run",
    "pilot": "api.features",
    "plan": "api.study",
    "progress": "commands.progress",
    "read_graph": "api.graph",
    "replicate": "api.replication",
    "run": "api.study",
    "stop": "api.jobs",
    "submit": "api.jobs",
    "write_report": "api.report",
}
__all__ = [
    "GuideRequest", "PilotSettings", "Run", "ValueGraph", "__version__", "advise", "calibrate", "check",
    "compare", "demo", "direction", "discover", "features", "follow", "guide", "import_items",
    "load_study", "open", "pilot", "plan", "progress", "read_graph", "replicate", "run", "stop", "submit",
    "write_report",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        try:
            return metadata.version("axiograph")
        except metadata.PackageNotFoundError:
            return "unknown (not installed)"
    if name in _HOMES:
        module = import_module(f"axiograph.{_HOMES[name]}")
        return getattr(module, "open_run" if name == "open" else name)
    raise AttributeError(f"module 'axiograph' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
