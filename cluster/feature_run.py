"""The stage `features`: which features of a study's SAEs are active on the span of its baseline prompts."""

from __future__ import annotations

import polars as pl

from cluster.preparation import prepare_unsteered
from engine.errors import InputError
from engine.models import load_model
from engine.run_dir import RunDir
from engine.study import Study
from steering.measure import feature_table, load_scales, save_features, span_streams
from steering.operations import Scales
from steering.saes import Sae


def record_features(study: Study, run: RunDir, prompts: int) -> pl.DataFrame:
    """Measure and record; the table of steering.measure.FEATURE_SCHEMA for all SAEs of the study."""
    prepared = prepare_unsteered(study, run)
    sources = {op.sae for spec in study.steering for op in spec.operations if op.sae is not None}
    if not sources:
        raise InputError("study, field steering", "an operation with an SAE", "none", "Add one.")
    saes = [prepared.directions.sae(source) for source in sorted(sources, key=str)]
    digests, source = prepared.directions.digests, prepared.measured_on
    if run.manifest_file.is_file() and run.store().count().rows:
        saes = _unrecorded(saes, load_scales(run.features_file, run.scales_file, source, digests), run)
    model = load_model(prepared.source, prepared.device)
    chosen = prepared.sample_prompts(prompts)
    if not chosen[0].span:
        raise InputError(
            f"prompt template {prepared.inputs.template.name}",
            "a marked span",
            "none",
            'Mark it, for example {{ " your values" | span }}.',
        )
    streams = span_streams(model, chosen, [sae.hook_point for sae in saes], study.sampling.batch_size)
    table = pl.concat([feature_table(sae, streams[sae.hook_point]) for sae in saes])
    save_features(table, run.features_file, source, digests)
    return table


def _unrecorded(saes: list[Sae], known: Scales, run: RunDir) -> list[Sae]:
    """The SAEs without recorded features: stored answers may be steered in units of the recorded ones."""
    recorded = {name for name, _ in known.max_activation}
    left = [sae for sae in saes if sae.name not in recorded]
    if not left:
        raise InputError(
            f"run directory {run.path}",
            "no answers yet, or an SAE without recorded features",
            "answers, which may be steered in units of what is recorded",
            f"See {run.features_file}, or measure again with another --out.",
        )
    return left
