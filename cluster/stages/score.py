"""The stage `score`: profiles, rates and reliability of what is stored, also while a run is still sampling.

A role's profile under a condition is the mean over its items: over some of them it would be another number.
So a role counts under a condition when everything that it is asked there is answered, and not before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import polars as pl

from axiograph.cluster.stages.quality import (
    answering,
    means_over_roles,
    one_word,
    reliability_intervals,
)
from axiograph.cluster.stages.style_verdict import style_verdict
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring import content, item_rest, profiles, scores
from axiograph.engine.scoring.correlations import correlation_table
from axiograph.engine.scoring.factors import Factors, find_factors
from axiograph.engine.scoring.norms import norm_table
from axiograph.engine.scoring.style import Style, find_style, style_shares
from axiograph.engine.scoring.tally import WORKER, Tally, tally
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.study.questionnaire import one_way_keyed, shared_texts

FILE = "coverage.parquet"
_CELL = ("role", "condition")


@dataclass(frozen=True)
class Coverage:
    """Requests planned and stored, and cells (role × condition) in the plan and `complete`."""

    planned: int
    stored: int
    cells: int
    complete: int

    @property
    def is_whole(self) -> bool:
        return self.complete == self.cells


def cover(run: RunDir, tallied: Tally) -> Coverage:
    """Look at what is stored now, and keep which cells are complete for the stages that follow.

    `tallied`: all of the run. RunError when no cell is complete."""
    whole = complete_cells(tallied)
    coverage = Coverage(tallied.requests, tallied.stored, tallied.answers.height, whole.height)
    if not coverage.complete:
        raise RunError(
            f"run directory {run.where}",
            "a role that has answered everything under some condition",
            f"none yet ({coverage.stored:,} of {coverage.planned:,} requests are answered)",
            "Wait, or give the run command again: it continues where it stopped.",
        )
    path = run.scores / FILE
    if coverage.is_whole:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, whole.write_parquet)
    return coverage


def complete_cells(tallied: Tally) -> pl.DataFrame:
    """role, condition of the cells in which everything is answered, sorted."""
    whole = tallied.answers.filter(pl.col("answered") == pl.col("planned"))
    return whole.select(_CELL).sort(_CELL)


def is_partial(run: RunDir) -> bool:
    """Whether the scores are those of a part."""
    return (run.scores / FILE).is_file()


def covered(run: RunDir) -> pl.LazyFrame:
    """The plan, as far as it was covered when the run was scored last."""
    plan = run.plan()
    if not is_partial(run):
        return plan
    cells = pl.scan_parquet(run.scores / FILE).rename({name: f"{name}_text" for name in _CELL})
    text = [pl.col(name).cast(pl.String).alias(f"{name}_text") for name in _CELL]
    keys = [f"{name}_text" for name in _CELL]
    return plan.with_columns(text).join(cells, on=keys, how="semi", maintain_order="left").drop(keys)


@dataclass(frozen=True)
class Scored:
    """Tables of the stage `score`; see engine.scoring.profiles for their columns."""

    profiles: pl.DataFrame
    rates: pl.DataFrame
    reliability: pl.DataFrame
    item_rest: pl.DataFrame
    constant_items: pl.DataFrame
    shared: int
    one_way_keyed: tuple[str, ...]
    coverage: Coverage
    acquiescence_means: pl.DataFrame
    style: Style
    style_shares: pl.DataFrame
    style_verdict: str
    one_word: pl.DataFrame
    order_effects: pl.DataFrame
    norms: pl.DataFrame
    correlations: pl.DataFrame
    factors: Factors
    response_distributions: pl.DataFrame


def score(run: RunDir) -> Scored:
    """Profiles, reliability, acquiescence and answer rates of what is stored: in one pass over plan and
    responses, whose memory does not grow with them (engine.scoring.tally)."""
    inputs = run.inputs()
    run.plan()  # says what is wrong with the file, if anything is
    tallied = tally(run.plan_file, run.store(), inputs.items_frame())
    coverage = cover(run, tallied)
    if not coverage.is_whole:
        tallied = tallied.of(complete_cells(tallied))
    shared = shared_texts(inputs.items)
    acquiescence, order_effects = profiles.acquiescence(tallied), profiles.order_effects(tallied)
    conditions = [condition.name for condition in inputs.conditions]
    contents = _contents(run, inputs, tallied, coverage)
    study = inputs.study
    graph_profiles = contents.profiles[study.scoring.profile]
    reliability = profiles.reliability(tallied, contents.item_scores)
    asked_all = study.sampling.share == 1 and study.split.items == 1
    result = Scored(
        profiles=graph_profiles,
        rates=_in_plan_order(profiles.answer_rates(tallied), inputs),
        reliability=reliability,
        item_rest=item_rest.item_rest(contents.item_scores, inputs.items_frame()),
        constant_items=profiles.constant_items(tallied),
        shared=len(shared),
        one_way_keyed=one_way_keyed(inputs.items),
        coverage=coverage,
        acquiescence_means=means_over_roles(acquiescence, "acquiescence", conditions),
        style=contents.style,
        style_shares=contents.shares,
        style_verdict=style_verdict(
            contents.shares, contents.style.variance, contents.style.shifts, study.scoring.profile
        ),
        one_word=one_word(tallied.answers, conditions, study.scoring.mode == "logprob"),
        order_effects=means_over_roles(order_effects, "order_effect", conditions),
        norms=norm_table(inputs, profiles.profiles(tallied)),
        correlations=correlation_table(graph_profiles, reliability, asked_all=asked_all),
        factors=find_factors(contents.item_scores, inputs.values),
        response_distributions=profiles.response_distributions(tallied),
    )
    order = ["condition", "role", *WORKER]
    tables = {
        "profiles": result.profiles,
        "profiles_mean": contents.profiles["mean"],
        "profiles_content": contents.profiles["content"],
        "profiles_all_items": contents.all_items,
        "rates": result.rates,
        "reliability": result.reliability,
        "acquiescence": acquiescence,
        "constant_items": result.constant_items,
        "answering": answering(tallied.answers, inputs.role_split, conditions),
        "acquiescence_means": result.acquiescence_means,
        "reliability_intervals": reliability_intervals(result.reliability),
        "style": result.style_shares,
        "style_roles": result.style.roles,
        "style_conditions": result.style.shifts,
        "one_word": result.one_word,
        "order_effects": order_effects,
        "order_effect_means": result.order_effects,
        "response_distributions": result.response_distributions,
        "item_deviations": contents.deviations,
        "item_rest": result.item_rest,
        "norms": result.norms,
        "correlations": result.correlations,
        "eigenvalues": result.factors.eigenvalues,
        "factor_loadings": result.factors.loadings,
        "factor_values": result.factors.values,
        # Which worker answered each role under each condition, for the check of DESIGN 3.
        "provenance": tallied.workers.select("role", "condition", *WORKER).sort(order),
    }
    for name, table in tables.items():
        write_atomic(run.scores / f"{name}.parquet", table.write_parquet)
    about = {"profile": study.scoring.profile, "verdict": result.style_verdict}
    write_json(run.scores / "style.json", about | asdict(result.style.variance))
    names = ("roles", "items", "kept", "reason")
    write_json(run.scores / "factors.json", {name: getattr(result.factors, name) for name in names})
    listed = {text: [f"{i.item_id} ({i.value})" for i in items] for text, items in shared}
    write_json(
        run.scores / "questionnaire.json", {"shared_texts": listed, "one_way_keyed": result.one_way_keyed}
    )
    return result


@dataclass(frozen=True)
class _Contents:
    """`profiles`: by the names of `scoring.profile`; `all_items`: of the study's, with items that serve
    several values; `shares`: engine.scoring.style.style_shares."""

    profiles: dict[str, pl.DataFrame]
    all_items: pl.DataFrame
    style: Style
    shares: pl.DataFrame
    deviations: pl.DataFrame
    item_scores: pl.DataFrame


def _contents(run: RunDir, inputs: Inputs, tallied: Tally, coverage: Coverage) -> _Contents:
    """Plain means and contents. Answers are read again where the items that a role has scores on differ: what
    is left out of a sum of scores must then be known of every answer."""
    study = inputs.study
    by_split, drop_shared = study.split.items < 1, study.scoring.drop_shared_items
    items = content.with_item_means(tallied, inputs.items_frame())
    deviations = content.item_deviations(items, by_split=by_split, drop_shared=drop_shared)
    of_all = content.item_deviations(items, by_split=by_split, drop_shared=False)
    gaps = content.needs_item_means(tallied, items, study.askings, by_split=by_split)
    if gaps:
        again = tally(run.plan_file, run.store(), items)
        tallied = again if coverage.is_whole else again.of(complete_cells(tallied))
    style = find_style(tallied, drop_shared=drop_shared)
    used, used_of_all = (deviations, of_all) if gaps else (None, None)
    all_items = profiles.profiles(tallied)
    if study.scoring.profile == "content":
        all_items = content.content_profiles(tallied, style, used_of_all, by_split=by_split)
    cells = content.value_cells(tallied, style, used, by_split=by_split, drop_shared=drop_shared)
    return _Contents(
        profiles={
            "mean": profiles.profiles(tallied, drop_shared=drop_shared),
            "content": content.content_profiles(
                tallied, style, used, by_split=by_split, drop_shared=drop_shared
            ),
        },
        all_items=all_items,
        style=style,
        shares=style_shares(cells, inputs.values, style.variance),
        deviations=deviations,
        item_scores=item_rest.item_scores(
            tallied, items, style if study.scoring.profile == "content" else None, drop_shared=drop_shared
        ),
    )


def read_answering(run: RunDir) -> pl.DataFrame:
    """cluster.stages.quality.answering of a run, made from its answers where an earlier version has scored
    it without."""
    if (run.scores / "answering.parquet").is_file():
        return read_scores(run, "answering")
    inputs = run.inputs()
    tallied = tally(run.plan_file, run.store(), inputs.items_frame())
    if is_partial(run):
        tallied = tallied.of(pl.read_parquet(run.scores / FILE))
    return answering(tallied.answers, inputs.role_split, [condition.name for condition in inputs.conditions])


def _responses(run: RunDir) -> pl.LazyFrame:
    # The plan has an item for every row; that of a response may be another one with the same text.
    return run.store().scan().drop("role", "condition", "item_id", "repeat")


def scored_items(run: RunDir) -> pl.LazyFrame:
    """engine.scoring.scores.item_scores of all stored answers."""
    return scores.item_scores(covered(run), _responses(run), run.inputs().items_frame())


def profile_items(run: RunDir) -> pl.LazyFrame:
    """As `scored_items`, such that the profiles are the means over the items that vary: contents where
    profiles are."""
    scored = scored_items(run)
    # An earlier version has scored plain means and no such table.
    is_content = (run.scores / "style_roles.parquet").is_file()
    if run.inputs().study.scoring.profile == "mean" or not is_content:
        return scored
    constant = read_scores(run, "constant_items")["item_id"].to_list()
    tables = read_scores(run, "item_deviations"), read_scores(run, "style_roles")
    return content.content_scores(scored, *tables, constant)


def _in_plan_order(rates: pl.DataFrame, inputs: Inputs) -> pl.DataFrame:
    names = pl.DataFrame({"condition": [condition.name for condition in inputs.conditions]})
    return names.join(
        rates.with_columns(pl.col("condition").cast(pl.String)),
        on="condition",
        how="inner",
        maintain_order="left",
    )


def read_scores(run: RunDir, name: str) -> pl.DataFrame:
    """A table of the stage `score`; InputError when that has not run."""
    path = run.scores / f"{name}.parquet"
    if not path.is_file():
        raise InputError(
            run.shown(path), "the table of the stage score", "none", f"Run `axiograph score {run.where}`."
        )
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            run.shown(path), "a complete table", reason, f"Run `axiograph score {run.where}`."
        ) from error


def check_scored(run: RunDir) -> None:
    """RunError when not a single answer could be scored."""
    table = read_scores(run, "rates")
    states = [state for state in ("yes", "no", "chosen", "unsure") if state in table.columns]
    if table.select(pl.sum_horizontal(states).sum()).item() == 0:
        raise RunError(
            f"run directory {run.where}",
            "at least one answer that can be read",
            "none",
            "The model does not answer in the template's form: look at one with `axiograph show`, and change "
            "the template (a chat model needs chat: true) or use scoring mode logprob.",
        )
