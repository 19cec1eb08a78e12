"""What is measured on the unsteered stream before steering: feature activations and residual norms."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from axiograph.engine.errors import InputError
from axiograph.engine.prompting.prompts import Prompt
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.generation import Batch, in_batches, pad_batch
from axiograph.steering.directions.operations import Scales
from axiograph.steering.directions.saes import Sae
from axiograph.steering.hf.stream import unsteered_pass

if TYPE_CHECKING:
    import torch

FEATURE_SCHEMA = {
    "sae": pl.String,
    "feature": pl.Int64,
    "max_activation": pl.Float64,  # over all span tokens of all prompts
    "mean_activation": pl.Float64,
    "share_active": pl.Float64,  # share of span tokens with an activation above 0
}


def span_heads(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts up to the last token of their span: what lies behind changes nothing there."""
    return [replace(prompt, ids=prompt.ids[: max(prompt.span) + 1], cued=()) for prompt in prompts]


def span_streams(
    model: Any, prompts: Sequence[Prompt], points: Iterable[HookPointSpec], batch_size: int
) -> dict[HookPointSpec, torch.Tensor]:
    """Unsteered stream rows [span tokens of all prompts, d_model] in float32, per hook point; one pass over
    each prompt."""
    import torch

    collected: dict[HookPointSpec, list[torch.Tensor]] = {point: [] for point in points}
    for group in in_batches(range(len(prompts)), batch_size):
        chosen = [prompts[i] for i in group]
        batch = pad_batch([prompt.ids for prompt in chosen], 0, str(model.device))
        records = {point: _record(batch, chosen, rows) for point, rows in collected.items()}
        unsteered_pass(model, batch, records)
    return {point: torch.cat(rows) for point, rows in collected.items()}


def _record(
    batch: Batch, prompts: Sequence[Prompt], rows: list[torch.Tensor]
) -> Callable[[torch.Tensor], None]:
    """Appends the stream on the spans of `prompts`, which are those of `batch`, to `rows`."""

    def record(stream: torch.Tensor) -> None:
        for row, prompt in enumerate(prompts):
            columns = [batch.starts[row] + position for position in prompt.span]
            rows.append(stream[row, columns].float().cpu())

    return record


def feature_table(sae: Sae, stream: torch.Tensor) -> pl.DataFrame:
    """Activations of every feature over stream rows [n, d_model], largest first (FEATURE_SCHEMA)."""
    activations = sae.activations(stream)
    return pl.DataFrame(
        {
            "sae": [sae.name] * sae.n_features,
            "feature": range(sae.n_features),
            "max_activation": activations.amax(0).double().tolist(),
            "mean_activation": activations.mean(0).double().tolist(),
            "share_active": (activations > 0).double().mean(0).tolist(),
        },
        schema=FEATURE_SCHEMA,
    ).sort("max_activation", "feature", descending=[True, False])


def save_features(table: pl.DataFrame, path: Path, source: str, saes: Mapping[str, str]) -> None:
    """Record FEATURE_SCHEMA rows with `source` (what was measured: model, dtype and prompt) and the digests
    of their SAEs (by name), beside what was measured on others."""
    digests = pl.col("sae").replace_strict(saes, return_dtype=pl.String)
    recorded = table.with_columns(source=pl.lit(source), sae_digest=digests)
    if path.is_file():
        others = _features(path).join(recorded, on=["source", "sae", "sae_digest"], how="anti")
        recorded = pl.concat([recorded, others])
    write_atomic(path, recorded.write_parquet)


def load_scales(features_file: Path, scales_file: Path, source: str, saes: Mapping[str, str]) -> Scales:
    """Scales recorded in a run for this `source` and these SAEs (digests by name), and for no other: a
    model, template or SAE that changed behind its name has no scales yet."""
    rows = load_features(features_file, source, saes).select("sae", "feature", "max_activation").iter_rows()
    largest = {(sae, feature): value for sae, feature, value in rows}
    return Scales(largest, _norms(scales_file).get(source, {}))


def load_features(features_file: Path, source: str, saes: Mapping[str, str]) -> pl.DataFrame:
    """FEATURE_SCHEMA rows recorded for this `source` and these SAEs (digests by name); empty without any."""
    if not features_file.is_file():
        return pl.DataFrame(schema=FEATURE_SCHEMA)
    digests = pl.col("sae").replace_strict(saes, default=None, return_dtype=pl.String)
    measured = (pl.col("source") == source) & (pl.col("sae_digest") == digests)
    return _features(features_file).filter(measured).select(FEATURE_SCHEMA.keys())


def _features(path: Path) -> pl.DataFrame:
    columns = [*FEATURE_SCHEMA, "source", "sae_digest"]
    try:
        return pl.read_parquet(path, columns=columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            str(path),
            "features as `axiograph features` records them",
            str(error).splitlines()[0],
            "Move the file away and run `axiograph features` again.",
        ) from error


def _norms(path: Path) -> dict[str, dict[str, float]]:
    """source → hook point → norm; empty without the file."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["residual_norm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path), "residual norms as a run records them", f"'{error}'", "Restore the file."
        ) from error


def measure_residual_norms(
    model: Any, prompts: Sequence[Prompt], points: Sequence[HookPointSpec], batch_size: int
) -> dict[str, float]:
    """Median L2 norm of the baseline stream on the span, per hook point (by its name)."""
    streams = span_streams(model, prompts, points, batch_size)
    norms = {str(point): float(stream.norm(dim=-1).median()) for point, stream in streams.items()}
    if not all(norm > 0 for norm in norms.values()):
        raise InputError(
            "study, steering unit residual_norm",
            "a stream with a norm above 0 on the span",
            str(norms),
            "Mark a span in the template.",
        )
    return norms


def save_norms(norms: Mapping[str, float], path: Path, source: str) -> None:
    """Record all norms of `source`, beside what was measured on others."""
    write_json(path, {"residual_norm": {**_norms(path), source: dict(norms)}})
