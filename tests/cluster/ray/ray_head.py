"""A Ray cluster of one node on this machine, with token authentication, as `ray start --head` makes it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class RayHead:
    """`environment`: what a client needs to be let in."""

    address: str
    token: str
    environment: dict[str, str]

    def axiograph(self, *arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
        """The command line in a process of its own: Ray reads its authentication once."""
        command = [sys.executable, "-m", "axiograph.cli", *map(str, arguments)]
        environment = self.environment | changes
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=500, check=False
        )


@contextmanager
def ray_head(more: dict[str, str]) -> Iterator[RayHead]:
    """`more`: variables of the cluster's own environment, as credentials of an object store."""
    # Sockets lie below it, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="rh", dir="/tmp", ignore_cleanup_errors=True) as folder:
        token = secrets.token_hex(16)
        token_file = Path(folder) / "token"
        token_file.write_text(token)
        port, dashboard = _free_port(), _free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | more
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}
        environment |= {"RAY_worker_niceness": "0"}  # at its default of 15 a busy machine hardly runs workers
        environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        command = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--head",
            "--block",
            f"--port={port}",
        ]
        command += [f"--dashboard-port={dashboard}", "--num-cpus=2", f"--temp-dir={folder}/r"]
        # Without an agent on a port of its own no job starts while another cluster runs on the machine.
        command += [f"--dashboard-agent-listen-port={_free_port()}"]
        command += ["--object-store-memory=80000000", "--disable-usage-stats"]
        log = (Path(folder) / "log").open("w")
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{dashboard}"
            _wait(address, process, Path(folder) / "log")
            yield RayHead(address, token, environment)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/api/version", timeout=2):
                return
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):  # it answers, and wants a token
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"no Ray cluster: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
