"""Submission of a study to a Ray cluster through Ray's own job client: submit, follow, stop, come back.

What travels is a bundle: one small folder with the study, the files that it names and the code that runs it.
It is the job's working directory on another machine. Data of the run, which may be large, stay where they
are; of the environment nothing is packed, so that no credential can be.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.schema import Study

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

STUDY = "study.yaml"
FILES = "files"
LARGE = 100 * 2**20  # a model or an SAE of more bytes stays where it is
POLL_S = 1.0
START_S = 120.0
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
Say = Callable[[str], None]


@dataclass
class Bundle:
    """`out`: where the run goes, as the study says it; `left`: what is too large to travel and must lie at
    the same path on the cluster."""

    folder: Path
    name: str
    out: str
    left: list[Path] = field(default_factory=list)
    files: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Submitted:
    """A job on the cluster at `address`; `out`: where its run goes; `size` of the bundle, in bytes."""

    job: str
    address: str
    out: str
    bundle: Bundle
    size: int


def submit(
    study_file: Path,
    address: str,
    out: str | None = None,
    variables: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Submitted:
    """Pack the study and submit `axiograph run` on it; returns at once.

    `variables`: of the job's environment, which every reader of the cluster sees: those that look like
    credentials are refused (InputError). `options`: more of `axiograph run`."""
    check_variables(variables or {})
    with tempfile.TemporaryDirectory(prefix="axiograph-bundle-") as name:
        bundle = pack(study_file, Path(name), out)
        job = f"{_label(bundle.name)}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10_000:04d}"
        client = _client(address)
        with _explained(address):
            _retry_until_ready(
                lambda: client.submit_job(
                    entrypoint=entrypoint(bundle.out, options),
                    submission_id=job,
                    runtime_env={"working_dir": name, "env_vars": dict(variables or {})},
                    metadata={"study": bundle.name, "out": bundle.out},
                )
            )
        return Submitted(job, address, bundle.out, bundle, bundle.size)


def _retry_until_ready(send: Callable[[], object]) -> None:
    """A cluster that has just started answers before it can take jobs; Ray says then to try again."""
    until = time.monotonic() + START_S
    while True:
        try:
            send()
            return
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(POLL_S)


def entrypoint(out: str, options: Sequence[str] = ()) -> str:
    """The command that the cluster's head runs in the bundle."""
    command = ["python", "-m", "axiograph.cli", "run", STUDY, "--ray", "auto", "--out", out, *options]
    return shlex.join(command)


def pack(study_file: Path, folder: Path, out: str | None = None) -> Bundle:
    """Pack the study into `folder`, which is empty. InputError where the study or a file of it is wrong."""
    study = load_study(study_file)
    load_inputs(study)  # every file that it names is read: what is wrong is said here, not on the cluster
    bundle = Bundle(folder, study.name, str(out or study.out))
    packed = _with_packed_files(study, bundle)
    data = packed.model_dump(mode="json", by_alias=True) | {"out": bundle.out}
    (folder / STUDY).write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    # In a clone of the repository, folders of the package are links to those beside it: what they lead to is
    # packed.
    source = Path(str(resources.files("axiograph")))
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return bundle


def _with_packed_files(value: Any, bundle: Bundle) -> Any:
    """`value` with every path of a file in it copied into the bundle, and relative to that."""
    if isinstance(value, BaseModel):
        # Where the run goes is no file to pack.
        left = {"out"} if isinstance(value, Study) else set()
        names = [name for name in type(value).model_fields if name not in left]
        packed = {name: _with_packed_files(getattr(value, name), bundle) for name in names}
        return value.model_copy(update=packed)
    if isinstance(value, tuple):
        return tuple(_with_packed_files(item, bundle) for item in value)
    return _pack_file(value, bundle) if isinstance(value, Path) else value


def _pack_file(path: Path, bundle: Bundle) -> Path:
    if not path.exists():
        raise InputError("study", f"the file {path}", "none", "Mend the path in the study.")
    if _size(path) > LARGE:
        bundle.left.append(path)
        return path
    # Numbered, so that files of one name from several folders do not meet.
    target = Path(FILES) / str(bundle.files) / path.name
    bundle.files += 1
    copy = bundle.folder / target
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        copy.parent.mkdir(parents=True)
        shutil.copy2(path, copy)
    return target


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [inside for inside in path.rglob("*") if inside.is_file()]
    return sum(file.stat().st_size for file in files)


def check_variables(variables: Mapping[str, str]) -> None:
    """InputError for a name that looks like a credential's."""
    secret = next((name for name in variables if _SECRET.search(name)), None)
    if secret is not None:
        raise InputError(
            f"--env {secret}",
            "a variable that everybody may read: the cluster shows the environment of a job",
            "the name of a credential",
            "Give credentials to the cluster itself (an instance role, a Kubernetes secret, the environment "
            "of `ray start`).",
        )


def follow(job: str, address: str, say: Say) -> None:
    """Hand on the job's log until it ends; RunError unless it succeeded. A lost connection is made again."""
    client = _client(address)
    asyncio.run(_tail(client, job, address, say))
    with _explained(address):
        info = client.get_job_info(job)
    status = str(info.status.value)
    if status != "SUCCEEDED":
        raise RunError(
            f"job {job}",
            "to succeed",
            f"{status}: {' '.join((info.message or 'no message').split())[:300]}",
            "What was answered is stored: submit the study again with the same --out, and it continues.",
        )


def stop(job: str, address: str, patience_s: float = 60.0) -> str:
    """Stop the job and wait until it is; the state it is in then."""
    client = _client(address)
    with _explained(address):
        client.stop_job(job)
        until = time.monotonic() + patience_s
        while not client.get_job_status(job).is_terminal() and time.monotonic() < until:
            time.sleep(POLL_S / 4)
        return str(client.get_job_status(job).value)


async def _tail(client: JobSubmissionClient, job: str, address: str, say: Say) -> None:
    shown = 0
    while True:
        seen = 0
        try:
            async for text in client.tail_job_logs(job):
                # A new connection begins with the first line again.
                new = text[max(0, shown - seen) :]
                seen += len(text)
                if new:
                    say(new)
                    shown = max(shown, seen)
        except (RuntimeError, OSError):
            pass  # whether the job or the connection is at its end is asked below
        with _explained(address):
            if client.get_job_status(job).is_terminal():
                rest = client.get_job_logs(job)[shown:]
                if rest:
                    say(rest)
                return
        await asyncio.sleep(POLL_S)


def _client(address: str) -> JobSubmissionClient:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            "--address",
            "http://HOST:8265 or https://HOST",
            f"'{address}'",
            "Give the address of the dashboard.",
        )
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise InputError(
            "axiograph submit", "the package ray[default]", "none", "pip install 'ray[default]==2.60.0'"
        ) from error
    with _explained(address):
        return JobSubmissionClient(address)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Errors of Ray's client in a paragraph. Tokens travel in headers, which no message shows."""
    import requests
    from ray.exceptions import RayError

    try:
        yield
    except (ConnectionError, requests.exceptions.RequestException) as error:
        raise RunError(
            f"cluster {address}",
            "a Ray dashboard that answers",
            f"'{_first_line(error)}'",
            "Check that the cluster runs (ray status) and that the port is forwarded "
            "(ssh -L 8265:localhost:8265 HEAD).",
        ) from error
    except (RayError, RuntimeError, ValueError) as error:
        remedy = "See the dashboard's log, or the list of jobs (ray job list --address …)."
        if "uthenticat" in str(error) or "nauthorized" in str(error) or "401" in str(error):
            remedy = (
                "The cluster wants a token: export RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH (or "
                "~/.ray/auth_token) with the file that the cluster was started with."
            )
        raise RunError(f"cluster {address}", "to do as asked", f"'{_first_line(error)}'", remedy) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _label(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:40] or "study"
