"""Files of directions that axiograph made: a vector for each hook point, and what it was made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from axiograph.engine.storage.files import write_atomic
from axiograph.engine.study.conditions import Condition
from axiograph.engine.study.steering import DirectionFile
from axiograph.steering.directions.contrast import Array

HEADER = "axiograph_direction"
VERSION = 1


@dataclass(frozen=True)
class Provenance:
    """What a file of directions was made of. `model_digest`, `prompt_digest` (template and tokenizer),
    `contrast_digest`: hex. `contrast`: the contrast file, `prompts`: numbers of prompts that made the
    directions and that were held out, `scores`: by hook point."""

    name: str
    model: str
    revision: str | None
    model_digest: str
    dtype: str
    template: str
    prompt_digest: str
    contrast_digest: str
    span: str
    axiograph: str
    contrast: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


def save_directions(path: Path, vectors: Mapping[str, Array], provenance: Provenance) -> None:
    """Write vectors [d_model] by hook point, as float32, at once or not at all; the rest in the header."""
    from safetensors.numpy import save_file

    tensors = {key: np.ascontiguousarray(vector, dtype=np.float32) for key, vector in vectors.items()}
    header = json.dumps({"version": VERSION} | asdict(provenance), ensure_ascii=False, allow_nan=False)
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata={HEADER: header}))


def read_vectors(path: Path) -> dict[str, Array]:
    """The vectors of a file that `save_directions` wrote; none of one that is not there or not readable."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError):
        return {}


def read_provenance(path: Path) -> Provenance | None:
    """None for a file without provenance, or that cannot be read: what steers by it says so itself."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            data = json.loads((file.metadata() or {})[HEADER])
        known = Provenance.__dataclass_fields__
        provenance = Provenance(**{key: value for key, value in data.items() if key in known})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError):
        return None
    texts = (provenance.name, provenance.model, provenance.model_digest, provenance.prompt_digest)
    return provenance if all(isinstance(text, str) for text in texts) else None


def direction_notes(conditions: Iterable[Condition], model: str, digest: bytes, prompt: bytes) -> list[str]:
    """What a study of `model` (with the digest of its weights, and that of its template and tokenizer) should
    know of the directions that it steers along: those made on another model, or at another place."""
    sources: dict[DirectionFile, set[str]] = {}
    for condition in conditions:
        for point in condition.operations:
            if point.spec.direction is not None:
                sources.setdefault(point.spec.direction, set()).add(str(point.hook_point))
    notes: dict[str, None] = {}
    for source, places in sources.items():
        made = read_provenance(source.path)
        if made is None:
            continue
        if made.model_digest != digest.hex():
            other = made.model if made.model != model else "other weights of that name"
            notes[
                f"direction {made.name} was made on {other}, and not on the model of this study ({model}): "
                "its vectors need not mean the same there."
            ] = None
        elif made.prompt_digest != prompt.hex():
            notes[f"direction {made.name} was made under another prompt template ({made.template})."] = None
        if source.key in made.scores and places != {source.key}:
            used = ", ".join(sorted(places - {source.key}))
            notes[f"direction {made.name} was made at {source.key} and is used at {used}."] = None
    return list(notes)
