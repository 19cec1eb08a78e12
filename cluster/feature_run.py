"""The stage `features`: which features of a study's SAEs are active on the span of its baseline prompts."""

from __future__ import annotations

import polars as pl

from cluster.preparation import prepare_unsteered
from engine.errors import InputError
from engine.models import load_model
from engine.run_dir import RunDir
from engine.study import Study
from steering.measure import feature_table, save_features, span_streams


def record_features(study: Study, run: RunDir, prompts: int) -> pl.DataFrame:
    """Measure and record; the table of steering.measure.FEATURE_SCHEMA for all SAEs of the study."""
    prepared = prepare_unsteered(study, run)
    sources = {op.sae for spec in study.steering for op in spec.operations if op.sae is not None}
    if not sources:
        raise InputError("study, field steering", "an operation with an SAE", "none", "Add one.")
    saes = [prepared.directions.sae(source) for source in sorted(sources, key=str)]
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
    save_features(table, run.features_file)
    return table
