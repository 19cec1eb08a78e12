"""How every condition was answered: shares of the states and the length of answers, means over roles."""

from __future__ import annotations

import numpy as np
import polars as pl

from discovery.draws import RoleDraws, percentile_range
from engine.answers import STATES
from engine.run_dir import RunDir

TOKENS = "tokens"
_DRAWS = 1000


def answering(run: RunDir, split: str | None, level: float = 0.05, seed: int = 0) -> pl.DataFrame:
    """A row per condition and measure, in the order of the plan: condition, measure (a state: the share of
    answers in it; `tokens`: new tokens an answer), roles, answers, mean, low, high.

    Means are over roles, each counting once; low and high are the percentile interval at 1 − level of roles
    drawn again 1,000 times. `split`: the roles that count, None for all. Answers that were not generated
    (logprob mode) have no length."""
    table = _by_role(run, split)
    rows = []
    for (condition,), group in table.group_by("condition", maintain_order=True):
        scores = group.select(*STATES, TOKENS).to_numpy().astype(np.float64)
        drawn = RoleDraws.of(len(scores), _DRAWS, seed).means(scores)
        low, high = percentile_range(drawn.T, level)
        known = ~np.isnan(scores)
        for k, measure in enumerate([*STATES, TOKENS]):
            if known[:, k].any():
                mean = float(scores[known[:, k], k].mean())
                ends = (float(low[k]), float(high[k])) if known[:, k].sum() > 1 else (None, None)
                rows.append(
                    (condition, measure, int(known[:, k].sum()), int(group["answers"].sum()), mean, *ends)
                )
    schema = {"condition": pl.String, "measure": pl.String, "roles": pl.Int64, "answers": pl.Int64}
    return pl.DataFrame(
        rows, schema=schema | dict.fromkeys(("mean", "low", "high"), pl.Float64), orient="row"
    )


def _by_role(run: RunDir, split: str | None) -> pl.DataFrame:
    """condition, role, answers, a share per state, tokens: sorted by the order of the study, then by role."""
    plan = run.plan().select("request_id", "role", "condition", "split")
    if split is not None:
        plan = plan.filter(pl.col("split").cast(pl.String) == split)
    answers = run.store().scan().select("request_id", "state", "finish", "new_tokens")
    state = pl.col("state").cast(pl.String)
    written = pl.col("new_tokens").filter(pl.col("finish").cast(pl.String) != "scored")
    grouped = (
        plan.join(answers, on="request_id", how="inner")
        .group_by("condition", "role")
        .agg(
            answers=pl.len(), **{name: (state == name).mean() for name in STATES}, **{TOKENS: written.mean()}
        )
    )
    names = [condition.name for condition in run.inputs().conditions]
    order = {name: k for k, name in enumerate(names)}
    table = grouped.with_columns(pl.col("condition", "role").cast(pl.String)).collect(engine="streaming")
    place = pl.col("condition").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    return table.sort(place, "role")
