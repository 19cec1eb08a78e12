"""The examples for clusters: scripts that bash reads, manifests of the right shape, commands that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted((EXAMPLES / "slurm").glob("*.sbatch"))
MANIFESTS = sorted((EXAMPLES / "kuberay").glob("*.yaml"))
PAGES = [
    *SCRIPTS,
    *MANIFESTS,
    *(EXAMPLES.parent / "docs" / f"{name}.md" for name in ("scale", "object_store", "clusters")),
]


def lines(path):
    """The file with continued lines joined, without comment signs."""
    text = path.read_text().replace("\\\n", " ")
    return [re.sub(r"^[#\s]+", "", line) for line in text.splitlines()]


def commands(path):
    """Every `axiograph …` of the file, as words."""
    found = []
    for line in lines(path):
        for match in re.finditer(r"(?:^|entrypoint: |-- +)(axiograph (?:[^`#]|`(?=\w))+)", line):
            words = shlex.split(match.group(1).replace("…", "etc"))
            if len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
                found.append(words[1:])
    return found


def test_there_is_something_to_check():
    assert SCRIPTS and len(MANIFESTS) == 2
    every = [words[0] for path in PAGES for words in commands(path)]
    assert {"run", "submit", "status"} <= set(every)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_are_those_of_the_command_line(path):
    from axiograph.cli import app

    known = get_command(app).commands
    for name, *arguments in commands(path):
        assert name in known, name
        known[name].make_context(name, arguments)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_read_by_bash_and_by_shellcheck(path):
    subprocess.run(["bash", "-n", path], check=True)
    checker = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert checker, "the extra dev brings it"
    done = subprocess.run([checker, "--shell=bash", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_slurm_script_makes_a_private_token_and_starts_one_ray_node_per_task():
    text = SCRIPTS[0].read_text()
    assert "RAY_AUTH_MODE=token" in text
    assert "umask 077" in text
    line = next(line for line in lines(SCRIPTS[0]) if "symmetric-run" in line)
    assert "--ntasks-per-node=1" in line
    from ray.scripts.symmetric_run import symmetric_run

    words = shlex.split(line[line.index("symmetric-run") :].replace("$SLURM_NNODES", "2"))[1:]
    options = words[: words.index("--")]
    parsed = symmetric_run.make_context("symmetric-run", options)
    assert parsed.params["min_nodes"] == 2
    assert words[words.index("--") + 1 :][:2] == ["axiograph", "run"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_have_the_shape_of_kuberay(path):
    document = yaml.safe_load(path.read_text())
    assert document["apiVersion"] == "ray.io/v1"
    spec = document["spec"]
    cluster = spec["rayClusterSpec"] if document["kind"] == "RayJob" else spec
    assert document["kind"] in ("RayJob", "RayCluster")
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-gpus"] == "0"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        resources = container["resources"]
        # Ray reckons with the limits: other requests would promise it what it does not get.
        assert resources["requests"] == resources["limits"]
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}
        assert "env" not in container  # credentials come from a Secret, not from this file
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]) > 0


def test_the_image_has_the_versions_of_the_project():
    import ray

    text = (EXAMPLES / "kuberay" / "Dockerfile").read_text()
    assert f"rayproject/ray:{ray.__version__}-py311" in text
    pins = (EXAMPLES.parent / "pyproject.toml").read_text()
    for pin in re.findall(r"\b([a-z]+==[\d.]+)\b", text):
        assert f'"{pin}"' in pins
    for path in MANIFESTS:
        assert f"rayVersion: {ray.__version__}" in path.read_text()
