"""The stage `direction`: the directions of a contrast at its hook points, and what they are worth, stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from axiograph.cluster.contrasts.prompts import (  # fmt: skip
    contrast_notes,
    contrast_prompts,
    labels,
    prompt_counts,
    readings,
)
from axiograph.cluster.sampling.model_side import refuse_served
from axiograph.cluster.sampling.preparation import Prepared, prepare_unsteered
from axiograph.cluster.sampling.progress import progress
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import write_atomic
from axiograph.engine.study.contrasts import ContrastSpec
from axiograph.engine.study.schema import Study
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.models import load_config, load_model, release_memory
from axiograph.steering.directions.contrast import (
    Array,
    Prompts,
    Separation,
    Stability,
    mean_difference,
    separation,
    stability,
)
from axiograph.steering.directions.provenance import Provenance, read_vectors, save_directions
from axiograph.steering.hf.span_means import SpanMeans, span_means

FOLDER = "directions"


@dataclass(frozen=True)
class MadeDirection:
    """The direction at one hook point: `vector` [d_model], in units of the stream; `residual_norm`: the
    median L2 norm of the stream rows that were read."""

    hook_point: HookPointSpec
    vector: Array
    residual_norm: float
    stability: Stability
    separation: Separation

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self.vector))


@dataclass(frozen=True)
class MadeDirections:
    """What `contrast` came to. `path`: the file of vectors on this machine; of a run in an object store a
    copy that goes with the process, whose address is `remote`. `table`: one row per hook point, as stored
    beside it; `counts`: prompts by part and side; `numbers`: of positive texts, negative texts, and
    questions that all of them were asked; `n_layers`: of the model."""

    contrast: ContrastSpec
    directions: tuple[MadeDirection, ...]
    path: Path
    remote: str | None
    table: pl.DataFrame
    counts: dict[str, int]
    numbers: tuple[int, int, int]
    n_layers: int
    notes: tuple[str, ...]


def make_directions(study: Study, spec: ContrastSpec, run: RunDir) -> MadeDirections:
    """Measure on the study's model, and store in the run.

    InputError for a contrast that does not fit the study, or where stored answers are steered along other
    directions of that name."""
    refuse_served(study, "a direction in its stream")
    prepared = prepare_unsteered(study, run)
    config = load_config(prepared.source)
    points = spec.hook_points(config.num_hidden_layers)
    asked = contrast_prompts(prepared, spec)
    read = readings(prepared, spec, asked, getattr(config, "max_position_embeddings", None))
    prompts = labels(asked)
    model = load_model(prepared.source, prepared.device)
    with progress("reading", len(read), "prompts") as advance:
        means = span_means(model, read, points, study.sampling.batch_size, advance)
    del model
    release_memory(prepared.device)
    directions = tuple(_direction(spec, point, means[point], prompts) for point in points)
    path = run.path / FOLDER / f"{spec.name}.safetensors"
    vectors = {str(made.hook_point): made.vector for made in directions}
    _refuse_steered(run, path, vectors)
    table = _table(directions)
    counts = prompt_counts(prompts)
    save_directions(path, vectors, _provenance(prepared, spec, directions, counts))
    write_atomic(path.with_suffix(".parquet"), table.write_parquet)
    notes = tuple(contrast_notes(prepared.inputs, spec))
    remote = None if run.mirror is None else run.shown(path)
    numbers, n_layers = _numbers(prompts), config.num_hidden_layers
    return MadeDirections(spec, directions, path, remote, table, counts, numbers, n_layers, notes)


def _direction(spec: ContrastSpec, point: HookPointSpec, means: SpanMeans, prompts: Prompts) -> MadeDirection:
    fitted = ~prompts.held_out
    vector = mean_difference(means.means[fitted], prompts.positive[fitted])
    # What is stored and steered along are these float32 numbers.
    vector = vector.astype(np.float32).astype(np.float64)
    if not np.linalg.norm(vector) > 0:
        raise InputError(
            f"contrast {spec.name}, {point}",
            "sides that differ in the stream",
            "no difference at all",
            "The texts do not reach these tokens there: read a later layer or another span.",
        )
    stable, told = stability(means.means, prompts), separation(means.means, vector, prompts)
    return MadeDirection(point, vector, means.norm, stable, told)


def _numbers(prompts: Prompts) -> tuple[int, int, int]:
    texts = set(zip(prompts.positive.tolist(), prompts.text, strict=True))
    positive = sum(side for side, _ in texts)
    return positive, len(texts) - positive, len({q for q in prompts.question if q is not None})


def _scores(made: MadeDirection) -> dict[str, Any]:
    return {
        "norm": made.norm,
        "residual_norm": made.residual_norm,
        "halves": made.stability.cosine,
        "halves_chance": made.stability.chance,
        "halved": made.stability.over,
        **asdict(made.separation),
    }


def _table(directions: Sequence[MadeDirection]) -> pl.DataFrame:
    rows = [{"hook_point": str(made.hook_point)} | _scores(made) for made in directions]
    texts = ("hook_point", "halved", "over", "reason")
    counts = ("positive", "negative")
    types = {
        name: pl.String if name in texts else pl.Int64 if name in counts else pl.Float64 for name in rows[0]
    }
    return pl.DataFrame(rows, schema=types)


def _provenance(
    prepared: Prepared, spec: ContrastSpec, directions: tuple[MadeDirection, ...], counts: dict[str, int]
) -> Provenance:
    identity = prepared.plan.identity
    try:
        version = metadata.version("axiograph")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return Provenance(
        name=spec.name,
        model=prepared.source.name,
        revision=prepared.source.revision,
        model_digest=identity.model.hex(),
        dtype=identity.dtype,
        template=prepared.inputs.template.name,
        prompt_digest=identity.prompt.hex(),
        contrast_digest=spec.digest.hex(),
        span=spec.span,
        axiograph=version,
        contrast=spec.model_dump(mode="json", exclude_none=True),
        prompts=counts,
        scores={str(made.hook_point): _scores(made) for made in directions},
    )


def _refuse_steered(run: RunDir, path: Path, vectors: dict[str, Array]) -> None:
    """InputError where answers of the run are steered along the file, and it would become another."""
    if not path.is_file() or not run.manifest_file.is_file() or not run.store().rows():
        return
    names = run.manifest()["identity"]["directions"]
    used = any(str(place) in name for name in names for place in (path.absolute(), path.resolve()))
    before = read_vectors(path)
    same = before.keys() == vectors.keys() and all(
        np.array_equal(before[key], vectors[key].astype(np.float32)) for key in vectors
    )
    if used and not same:
        raise InputError(
            f"directions {path}",
            "the same directions as before, since stored answers are steered along them",
            "others",
            "Give the contrast another name.",
        )
