"""What is measured on the unsteered stream before steering: feature activations and residual norms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.errors import InputError
from engine.files import write_atomic, write_json
from engine.generation import in_batches, pad_batch
from engine.prompts import Prompt
from engine.study import HookPointSpec
from steering.operations import Scales
from steering.saes import Sae
from steering.stream import hooked

if TYPE_CHECKING:
    import torch

FEATURE_SCHEMA = {
    "sae": pl.String,
    "feature": pl.Int64,
    "max_activation": pl.Float64,  # over all span tokens of all prompts
    "mean_activation": pl.Float64,
    "share_active": pl.Float64,  # share of span tokens with an activation above 0
}


def span_streams(
    model: Any, prompts: Sequence[Prompt], points: Iterable[HookPointSpec], batch_size: int
) -> dict[HookPointSpec, torch.Tensor]:
    """Unsteered stream rows [span tokens of all prompts, d_model] in float32, per hook point."""
    import torch

    collected: dict[HookPointSpec, list[torch.Tensor]] = {point: [] for point in points}
    for point, rows in collected.items():
        for group in in_batches(range(len(prompts)), batch_size):
            chosen = [prompts[i] for i in group]
            batch = pad_batch([prompt.ids for prompt in chosen], 0, str(model.device))

            def record(
                stream: torch.Tensor, batch: Any = batch, chosen: Any = chosen, rows: Any = rows
            ) -> None:
                for place, prompt in enumerate(chosen):
                    columns = [batch.starts[place] + position for position in prompt.span]
                    rows.append(stream[place, columns].float().cpu())

            with torch.inference_mode(), hooked(model, point, record):
                model(
                    input_ids=batch.ids,
                    attention_mask=batch.mask,
                    position_ids=batch.positions,
                    use_cache=False,
                    logits_to_keep=1,
                )
    return {point: torch.cat(rows) for point, rows in collected.items()}


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


def save_features(table: pl.DataFrame, path: Path) -> None:
    write_atomic(path, table.write_parquet)


def load_scales(features_file: Path, scales_file: Path) -> Scales:
    """Scales as recorded in a run; a file that is not there leaves its part empty."""
    largest: dict[tuple[str, int], float] = {}
    norms: Mapping[str, float] = {}
    if features_file.is_file():
        table = pl.read_parquet(features_file, columns=["sae", "feature", "max_activation"])
        largest = {(sae, feature): value for sae, feature, value in table.iter_rows()}
    if scales_file.is_file():
        norms = json.loads(scales_file.read_text(encoding="utf-8"))["residual_norm"]
    return Scales(largest, norms)


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


def save_norms(norms: Mapping[str, float], path: Path) -> None:
    write_json(path, {"residual_norm": dict(norms)})
