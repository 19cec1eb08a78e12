"""The stage `score`: profiles, rates and reliability of what is stored, also while a run is still sampling.

A role's profile under a condition is the mean over its items: over some of them it would be another number.
So a role counts under a condition when everything that it is asked there is answered, and not before.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from axiograph.cluster.stages.quality import acquiescence_means, answering, reliability_intervals
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring import profiles, scores
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
    constant_items: pl.DataFrame
    shared: int
    one_way_keyed: tuple[str, ...]
    coverage: Coverage


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
    acquiescence = profiles.acquiescence(tallied)
    conditions = [condition.name for condition in inputs.conditions]
    result = Scored(
        profiles=profiles.profiles(tallied, drop_shared=inputs.study.scoring.drop_shared_items),
        rates=_in_plan_order(profiles.answer_rates(tallied), inputs),
        reliability=profiles.reliability(tallied),
        constant_items=profiles.constant_items(tallied),
        shared=len(shared),
        one_way_keyed=one_way_keyed(inputs.items),
        coverage=coverage,
    )
    order = ["condition", "role", *WORKER]
    tables = {
        "profiles": result.profiles,
        "profiles_all_items": profiles.profiles(tallied),
        "rates": result.rates,
        "reliability": result.reliability,
        "acquiescence": acquiescence,
        "constant_items": result.constant_items,
        "answering": answering(tallied.answers, inputs.role_split, conditions),
        "acquiescence_means": acquiescence_means(acquiescence, conditions),
        "reliability_intervals": reliability_intervals(result.reliability),
        # Which worker answered each role under each condition, for the check of DESIGN 3.
        "provenance": tallied.workers.select("role", "condition", *WORKER).sort(order),
    }
    for name, table in tables.items():
        write_atomic(run.scores / f"{name}.parquet", table.write_parquet)
    listed = {text: [f"{i.item_id} ({i.value})" for i in items] for text, items in shared}
    write_json(
        run.scores / "questionnaire.json", {"shared_texts": listed, "one_way_keyed": result.one_way_keyed}
    )
    return result


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
    if table.select(pl.sum_horizontal("yes", "no", "unsure").sum()).item() == 0:
        raise RunError(
            f"run directory {run.where}",
            "at least one yes, no or unsure answer",
            "none",
            "The model does not answer in the template's form: look at one with `axiograph show`, and change "
            "the template (a chat model needs chat: true) or use scoring mode logprob.",
        )
