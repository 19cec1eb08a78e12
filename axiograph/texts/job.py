"""What submitting a study prints."""

from __future__ import annotations

from axiograph.cluster.ray.submission import Submitted


def job_text(job: Submitted) -> str:
    """For the person who submitted it: what travelled, and how to come back."""
    at = f"--address {job.address}"
    left = [f"Not packed, must lie at the same path on the cluster: {path}" for path in job.bundle.left]
    return "\n".join(
        [
            f"Job {job.job} runs on {job.address}; {job.bundle.files} files of the study and the code "
            f"were packed ({job.size / 1e6:.1f} MB).",
            *left,
            f"The run goes to {job.out}, as the cluster sees it.",
            f"  axiograph submit {at} --attach {job.job}   follow it again",
            f"  axiograph submit {at} --stop {job.job}     stop it; submitted again, it continues",
            f"  axiograph status {job.out}",
        ]
    )
