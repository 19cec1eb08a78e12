"""Models: where they come from, what they are (digest), how they are loaded; their parts, for sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest_files, digest_text
from axiograph.engine.workers.machine import limit_threads

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.schema import ModelSpec

# Tokenizer files are not among them: the prompt builder's digest covers what they do.
_WEIGHT_PATTERNS = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "generation_config.json",
    "adapter_config.json",
)


@dataclass(frozen=True)
class ModelSource:
    """A model on this machine: `folder` holds config, weights (safetensors) and tokenizer."""

    name: str
    folder: Path
    revision: str | None
    dtype: str
    trust_remote_code: bool

    def digest(self) -> bytes:
        """What the model is. A hub model is its commit; a directory is its files' contents."""
        if self.revision is not None:
            return digest_text("hub", self.name, self.revision)
        patterns = (*_WEIGHT_PATTERNS, *(["*.py"] if self.trust_remote_code else []))
        return digest_files(file for pattern in patterns for file in self.folder.glob(pattern))


def resolve_model(spec: ModelSpec) -> ModelSource:
    """Find the model of a study, on this machine or on the hub; InputError when it is not there."""
    if spec.path is not None:
        _check_folder(spec.path)
        return ModelSource(str(spec.path), spec.path, None, spec.dtype, spec.trust_remote_code)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    assert spec.hub is not None
    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    if spec.trust_remote_code:
        patterns.append("*.py")
    try:
        folder = Path(snapshot_download(spec.hub, revision=spec.revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            "study, field model.hub",
            f"the hub model {spec.hub} at revision {spec.revision or 'main'}",
            " ".join(str(error).split())[:300],
            "Check name, revision, login and network, or give a directory with model.path.",
        ) from error
    # The folder of a snapshot is named by the commit it was made from.
    return ModelSource(spec.hub, folder, folder.name, spec.dtype, spec.trust_remote_code)


def _check_folder(folder: Path) -> None:
    where = "study, field model.path"
    if not folder.is_dir():
        raise InputError(where, "a model directory", f"none at {folder}", "Check the path.")
    if not (folder / "config.json").is_file():
        raise InputError(where, f"config.json in {folder}", "none", "Point it at a saved transformers model.")
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            where,
            f"weights as *.safetensors in {folder}",
            "none",
            "Save the model with safe_serialization=True: pickled weights are not read.",
        )


def load_tokenizer(source: ModelSource) -> Any:
    """The tokenizer as transformers' AutoTokenizer gives it."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=source.trust_remote_code)
    except Exception as error:
        # A damaged tokenizer.json raises whatever the damage meets: KeyError, TypeError, plain Exception.
        raise InputError(
            f"tokenizer of {source.name}",
            "files that AutoTokenizer loads",
            " ".join(f"{type(error).__name__} {error}".split())[:300],
            "Save the tokenizer beside the model.",
        ) from error


def load_config(source: ModelSource) -> Any:
    """The text part of the model's configuration (hidden_size, num_hidden_layers, …)."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=source.trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as error:
        raise InputError(
            f"config.json of {source.name}",
            "a model that transformers knows",
            " ".join(str(error).split())[:300],
            "Check the file; a model with code of its own needs model.trust_remote_code.",
        ) from error
    return config.get_text_config()


def load_model(source: ModelSource, device: str) -> Any:
    """The model in evaluation mode on `device`, in the study's dtype, from safetensors only.

    InputError when it cannot be loaded, or when a weight is missing: transformers would draw it at random.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    # axiograph has a progress bar of its own.
    logging.disable_progress_bar()
    where = f"model {source.name}"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=getattr(torch, source.dtype),
            trust_remote_code=source.trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
        )
        model, info = loaded
        _check_all_there(info["missing_keys"], where)
        if getattr(model.config.get_text_config(), "attn_logit_softcapping", None):
            # PyTorch's fused attention, the default, leaves the soft-capping of Gemma 2 out without a word.
            model.set_attn_implementation("eager")
        model = model.to(device).eval()
        limit_threads(model)
        return model
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            where,
            f"a causal language model that loads in {source.dtype} on {device}",
            " ".join(str(error).split())[:300],
            "Check the weights, the dtype and the memory of the device.",
        ) from error


def _check_all_there(missing: Iterable[str], where: str) -> None:
    names = sorted(missing)
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise InputError(
            where, "every weight in its files", f"no {', '.join(names[:5])}{more}", "Save it again, complete."
        )


def resolve_device(device: str) -> str:
    """`auto` is the first GPU where there is one, else the CPU; anything else must exist."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(device)).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            "study, field model.device", "a device of this machine", f"{device} ({error})", "Use 'auto'."
        ) from error
    return device


def release_memory(device: str) -> None:
    """Give what dropped models held back to the device, where others can have it."""
    import gc

    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


LAYERS = (
    "model.layers",
    "model.language_model.layers",
    "transformer.h",
    "model.decoder.layers",
    "gpt_neox.layers",
)
FINAL_NORMS = (
    "model.norm",
    "model.language_model.norm",
    "transformer.ln_f",
    "model.decoder.final_layer_norm",
    "gpt_neox.final_layer_norm",
)


def find_module(model: Any, paths: Sequence[str]) -> Any:
    """The first of the dotted `paths` that `model` has, or None: architectures name parts differently."""
    for path in paths:
        module = model
        for name in path.split("."):
            module = getattr(module, name, None)
        if module is not None:
            return module
    return None


def decoder_layers(model: Any) -> torch.nn.ModuleList:
    """The list of decoder layers of a decoder-only model, wherever its architecture keeps it."""
    layers: torch.nn.ModuleList | None = find_module(model, LAYERS)
    if layers is not None:
        return layers
    raise InputError(
        f"model {type(model).__name__}",
        "a decoder-only model with a list of decoder layers",
        "none that is known",
        "Steering knows Llama-, Gemma-, Qwen-, Mistral-, GPT-2-, OPT- and NeoX-shaped models.",
    )


@contextmanager
def exchanged(forwards: Mapping[Any, Callable[..., Any]]) -> Iterator[None]:
    """Within, each of these modules computes what stands beside it; afterwards what it did before.

    Hooks go on as ever, since the module itself is what is called. A model serves one user at a time: where
    two overlap, the one that leaves last decides what stays."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    for module, forward in forwards.items():
        # Beside the class' own method, or instead of what others have put there.
        module.__dict__["forward"] = forward
    try:
        yield
    finally:
        for module, instance_forward in before.items():
            module.__dict__.pop("forward", None)
            if instance_forward is not None:
                module.__dict__["forward"] = instance_forward
