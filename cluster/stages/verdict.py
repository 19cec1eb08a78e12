"""What a run knows of the answers behind its graph, for the verdict."""

from __future__ import annotations

import json

import polars as pl

from axiograph.cluster.stages.score import read_scores
from axiograph.discovery.verdict.judgement import Answering
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.reliability import WEAK_ALPHA
from axiograph.engine.scoring.style import LEVEL
from axiograph.engine.study.conditions import BASELINE

_WORDS = ("yes", "no", "unsure")
_SCORED = (*_WORDS, "chosen")


def answering_of(run: RunDir) -> Answering:
    """From the tables of the stage `score`. InputError where it has not run."""
    reliability, rates = read_scores(run, "reliability"), read_scores(run, "rates")
    alphas = dict(reliability.select("value", "alpha").iter_rows())
    weak = {name: alpha for name, alpha in alphas.items() if alpha is None or alpha < WEAK_ALPHA}
    word, word_share, unscored = "", None, None
    baseline = rates.filter(pl.col("condition").cast(pl.String) == BASELINE)
    if baseline.height and baseline["answered"][0]:
        row = baseline.row(0, named=True)
        # The sign of log-odds is no answer, and an option of a scale no word.
        if run.inputs().study.scoring.mode == "generate" and not row.get("chosen"):
            word = max(_WORDS, key=lambda state: row[state])
            word_share = row[word] / row["answered"]
        unscored = 1 - sum(row.get(state, 0) for state in _SCORED) / row["answered"]
    return Answering(
        style_share=_style_share(run),
        style_taken_out=run.inputs().study.scoring.profile == "content",
        weak=dict(sorted(weak.items(), key=lambda item: (item[1] is not None, item[1] or 0.0))),
        values=len(alphas),
        word=word,
        word_share=word_share,
        unscored=unscored,
    )


def _style_share(run: RunDir) -> float | None:
    """Of all values together, where style is told from chance; None where it is not, or was not measured."""
    table, about = run.scores / "style.parquet", run.scores / "style.json"
    if not table.is_file() or not about.is_file():
        return None
    p = json.loads(about.read_text(encoding="utf-8"))["p"]
    overall = pl.read_parquet(table).filter(pl.col("value").is_null())["style_share"]
    if p is None or p >= LEVEL or overall.is_empty():
        return None
    share: float | None = overall[0]
    return share
