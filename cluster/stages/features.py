"""The stage `features`: which features of a study's SAEs are active on the span of its baseline prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from axiograph.cluster.sampling.preparation import Prepared, prepare_unsteered
from axiograph.engine.errors import InputError
from axiograph.engine.prompting.prompts import Prompt
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import Study
from axiograph.engine.workers.models import load_model, release_memory
from axiograph.steering.directions.operations import Scales
from axiograph.steering.directions.saes import Sae
from axiograph.steering.hf.measurement import (
    feature_table,
    load_features,
    load_scales,
    save_features,
    span_heads,
    span_streams,
)

RECORDED = "Activations as recorded before."


@dataclass(frozen=True)
class Active:
    """`table`: FEATURE_SCHEMA rows of all SAEs of the study, largest first within each, with `rank` (1 is
    largest) and `link` (Neuronpedia's page, null where sae-lens knows none); `saes`: in the same order;
    `note`: on how many prompts they were measured, and why."""

    table: pl.DataFrame
    saes: tuple[Sae, ...]
    note: str


def record_features(study: Study, run: RunDir, prompts: int) -> Active:
    """Measure on `prompts` baseline prompts (one, where what lies before the span is alike in all), and
    record. InputError where answers may be steered in units of what is recorded already."""
    prepared = prepare_unsteered(study, run)
    saes = _saes(study, prepared)
    points = {sae.name: sae.reading_point for sae in saes}  # refuses one that cannot be read
    digests, source = prepared.directions.digests, prepared.measured_on
    if run.manifest_file.is_file() and run.store().rows():
        saes = _unrecorded(saes, load_scales(run.features_file, run.scales_file, source, digests), run)
    chosen, note = span_prompts(prepared, prompts)
    model = load_model(prepared.source, prepared.device)
    streams = span_streams(model, chosen, [points[sae.name] for sae in saes], study.sampling.batch_size)
    del model
    release_memory(prepared.device)
    table = pl.concat([feature_table(sae, streams[points[sae.name]]) for sae in saes])
    save_features(table, run.features_file, source, digests)
    return Active(_ranked(table, saes), tuple(saes), note)


def recorded_features(study: Study, run: RunDir) -> Active | None:
    """What was recorded for the study's model, template and SAEs before; None where one is missing."""
    prepared = prepare_unsteered(study, run)
    saes = _saes(study, prepared)
    table = load_features(run.features_file, prepared.measured_on, prepared.directions.digests)
    if set(table["sae"]) != {sae.name for sae in saes}:
        return None
    return Active(_ranked(table, saes), tuple(saes), RECORDED)


def span_prompts(prepared: Prepared, prompts: int) -> tuple[list[Prompt], str]:
    """Baseline prompts up to the end of their span (one where all are alike that far), and what to say."""
    chosen = prepared.sample_prompts(prompts)
    if not chosen[0].span:
        raise InputError(
            f"prompt template {prepared.inputs.template.name}",
            "a marked span",
            "none",
            'Mark it, for example {{ " your values" | span }}.',
        )
    heads = span_heads(chosen)
    if len({head.ids for head in heads}) == 1:
        why = "no role or question stands before the span, so that all prompts are alike there"
        return heads[:1], f"Measured once: {why}."
    return (
        heads,
        f"Measured on {len(heads)} prompts of several roles and questions, which stand before the span.",
    )


def _saes(study: Study, prepared: Prepared) -> list[Sae]:
    sources = {op.sae for spec in study.steering for op in spec.operations if op.sae is not None}
    if not sources:
        raise InputError("study, field steering", "an operation with an SAE", "none", "Add one.")
    return [prepared.directions.sae(source) for source in sorted(sources, key=str)]


def _ranked(table: pl.DataFrame, saes: Sequence[Sae]) -> pl.DataFrame:
    by_name = {sae.name: sae for sae in saes}
    links = [by_name[name].link(feature) for name, feature in table.select("sae", "feature").iter_rows()]
    ordered = table.with_columns(link=pl.Series(links, dtype=pl.String)).sort(
        "sae", "max_activation", "feature", descending=[False, True, False]
    )
    return ordered.with_columns(rank=pl.int_range(1, pl.len() + 1).over("sae"))


def _unrecorded(saes: list[Sae], scales: Scales, run: RunDir) -> list[Sae]:
    """The SAEs without recorded features: stored answers may be steered in units of the recorded ones."""
    recorded = {name for name, _ in scales.max_activation}
    left = [sae for sae in saes if sae.name not in recorded]
    if not left:
        raise InputError(
            f"run directory {run.where}",
            "no answers yet, or an SAE without recorded features",
            "answers, which may be steered in units of what is recorded",
            f"See {run.shown(run.features_file)}, or measure again with another --out.",
        )
    return left
