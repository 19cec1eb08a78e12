"""What directions must know of the study's model besides its size: what it is called, and how it is built."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import axiograph.engine
from axiograph.engine.workers.models import ModelSource
from axiograph.steering.directions.hook_names import MlpOutput, mlp_output

_SHIPPED = Path(axiograph.engine.__file__).resolve().parent / "assets"


@dataclass(frozen=True)
class SteeredModel:
    """`names`: hub name or folder first, then other names that it is known by; empty: not known."""

    names: tuple[str, ...] = ()
    mlp: MlpOutput = "unknown"

    def is_meant_by(self, label: str) -> bool:
        """Whether an SAE with the model name `label` is of this model, as far as names tell: without the
        organisation, upper case, hyphens and underscores, in TransformerLens' or the hub's spelling."""
        if not label or not self.names:
            return True
        own = {_plain(name) for name in self.names}
        return bool(_spellings(label) & own) or any(_spellings(name) & {_plain(label)} for name in self.names)


def steered_model(source: ModelSource, config: Any) -> SteeredModel:
    """Of a study's model and the text part of its configuration."""
    names = [source.name, *_recorded_name(source.folder)]
    folder = source.folder.resolve()
    if folder.is_relative_to(_SHIPPED):
        names.append(f"axiograph-{folder.relative_to(_SHIPPED).parts[0]}")
    return SteeredModel(tuple(names), mlp_output(config))


def _recorded_name(folder: Path) -> list[str]:
    """What config.json calls the model that it was saved from, where it says so."""
    try:
        name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_name_or_path")
    except (OSError, ValueError, AttributeError):
        return []
    return [name] if isinstance(name, str) and name else []


def _plain(name: str) -> str:
    last = name.rstrip("/").rpartition("/")[2]
    return last.lower().replace("-", "").replace("_", "")


def _spellings(name: str) -> set[str]:
    """`name` with what else TransformerLens calls the model: gpt2-small is the hub's gpt2."""
    plain = _plain(name)
    try:
        from transformer_lens.supported_models import MODEL_ALIASES
    except ImportError:
        return {plain}
    groups = ({_plain(official), *map(_plain, others)} for official, others in MODEL_ALIASES.items())
    return {plain}.union(*(group for group in groups if plain in group))
