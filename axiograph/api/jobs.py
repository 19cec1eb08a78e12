"""Studies as jobs on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from axiograph.api.display import Shown
from axiograph.cluster.ray import submission
from axiograph.cluster.ray.submission import Submitted
from axiograph.texts.run import job_text


@dataclass(frozen=True, repr=False)
class Job(Shown):
    """A job under way: `name` and the `address` of the cluster's dashboard."""

    submitted: Submitted
    address: str

    @property
    def name(self) -> str:
        """What the cluster calls it."""
        return self.submitted.job

    def follow(self, say: Callable[[str], None]) -> None:
        """Hand its output to `say` until it ends. RunError where it fails."""
        submission.follow(self.name, self.address, say)

    def stop(self) -> str:
        """Stop it; returns its last state."""
        return submission.stop(self.name, self.address)

    @property
    def text(self) -> str:
        return job_text(self.submitted)


def submit(
    study: Path | str,
    address: str,
    out: str | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    retry_failed: bool = False,
    anyway: bool = False,
) -> Job:
    """Pack a study with the files that it names and the code, and submit it. `variables`: of the job's
    environment; credentials are refused. `retry_failed`, `anyway`: as of `ax.run`. Raises InputError, and
    RunError where the cluster cannot be reached."""
    wanted = {"--retry-failed": retry_failed, "--anyway": anyway}
    options = [option for option, is_wanted in wanted.items() if is_wanted]
    return Job(submission.submit(Path(study), address, out, dict(variables or {}), options), address)


def follow(job: str, address: str, say: Callable[[str], None]) -> None:
    """Hand the output of a job to `say` until it ends. RunError where it fails."""
    submission.follow(job, address, say)


def stop(job: str, address: str) -> str:
    """Stop a job; returns its last state."""
    return submission.stop(job, address)
