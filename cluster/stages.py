"""The stages behind sampling: score, discover, effects. Each reads a run's artefacts and writes its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cluster.coverage import Coverage, complete_cells, cover, covered
from cluster.dose_run import write_doses
from cluster.indicators import indicator_table
from cluster.progress import progress
from cluster.tested_graph import check_fresh, replicates_of, value_graph
from discovery.algorithms import AlgorithmSettings
from discovery.bootstrap import NULL_REPLICATES
from discovery.contrast import between_roles
from discovery.discover import Discovery, discover
from discovery.effects import Effects, effects
from discovery.graph import CausalGraph
from discovery.knowledge import Knowledge
from discovery.parts import Part
from discovery.replicating import Jobs
from engine import profiles, scores
from engine.conditions import BASELINE
from engine.errors import InputError, RunError
from engine.files import write_atomic, write_json
from engine.inputs import Inputs
from engine.questionnaire import one_way_keyed, shared_texts
from engine.roles import NO_ROLE
from engine.run_dir import RunDir
from engine.study import DiscoverySpec, Study
from engine.tally import WORKER, tally


@dataclass(frozen=True)
class Scored:
    """Tables of the stage `score`; see engine.profiles for their columns."""

    profiles: pl.DataFrame
    rates: pl.DataFrame
    reliability: pl.DataFrame
    constant_items: pl.DataFrame
    shared: int
    one_way_keyed: tuple[str, ...]
    coverage: Coverage


def score(run: RunDir) -> Scored:
    """Profiles, reliability, acquiescence and answer rates of what is stored: in one pass over plan and
    responses, whose memory does not grow with them (engine.tally)."""
    inputs = run.inputs()
    run.plan()  # says what is wrong with the file, if anything is
    tallied = tally(run.plan_file, run.store(), inputs.items_frame())
    coverage = cover(run, tallied)
    if not coverage.is_whole:
        tallied = tallied.of(complete_cells(tallied))
    shared = shared_texts(inputs.items)
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
        "acquiescence": profiles.acquiescence(tallied),
        "constant_items": result.constant_items,
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


def _responses(run: RunDir) -> pl.LazyFrame:
    # The plan has an item for every row; that of a response may be another one with the same text.
    return run.store().scan().drop("role", "condition", "item_id", "repeat")


def scored_items(run: RunDir) -> pl.LazyFrame:
    """engine.scores.item_scores of all stored answers."""
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
        found = str(error).splitlines()[0]
        raise RunError(
            run.shown(path), "a complete table", found, f"Run `axiograph score {run.where}`."
        ) from error


def discover_graph(run: RunDir, study: Study, jobs: Jobs) -> Discovery:
    """The value graph from the training roles' baseline profiles, one row per role, or, on request, from
    those of all conditions with steering and hints as nodes (DESIGN 11)."""
    settings = study.discovery
    kept = pl.col("split") == "train"
    if settings.rows == "baseline":
        kept &= pl.col("condition") == BASELINE
    train = read_scores(run, "profiles").filter(kept)
    indicators = None
    if settings.rows == "pooled":
        if not (train["condition"] != BASELINE).any():
            raise InputError(
                f"run directory {run.where}",
                "steered or hinted answers of training roles, to pool them with the baseline",
                "none",
                "Give the study steering with 'steer_roles: all' (or 'train'), or hints, and run it again.",
            )
        asked = set(train["condition"])
        indicators = indicator_table([c for c in run.inputs().conditions if c.name in asked])
    parts = None
    if settings.correction != "none":
        part = _PART[settings.correction]
        scored = scored_items(run).filter(kept)
        parts = scores.part_scores(scored, part, drop_shared=study.scoring.drop_shared_items)
    return discover_profiles(train, settings, run.graph, jobs, indicators=indicators, parts=parts)


_PART: dict[str, Part] = {"items": "item", "repeats": "repeat"}


def discover_profiles(
    profiles: pl.DataFrame,
    settings: DiscoverySpec,
    out: Path,
    jobs: Jobs,
    *,
    indicators: pl.DataFrame | None = None,
    parts: pl.DataFrame | None = None,
) -> Discovery:
    """The graph of any table of profiles, one row per role, saved in `out`.

    `indicators` and `parts` as in discovery.discover: what settings `rows: pooled` and `correction` need."""
    needed = {"rows: pooled": settings.rows == "pooled" and indicators is None}
    needed["correction"] = settings.correction != "none" and parts is None
    for name, missing in needed.items():
        if missing:
            raise InputError(
                f"discovery setting {name}",
                "a run directory",
                "a table of profiles, which knows neither conditions nor items",
                "Give the directory of the run.",
            )
    with progress("discovery", settings.replicates + NULL_REPLICATES, "replicates") as advance:
        done = 0

        def report(now: int, total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        found = discover(
            profiles,
            alpha=settings.alpha,
            replicates=settings.replicates,
            resample=settings.resample,
            seed=settings.seed,
            n_jobs=jobs,
            threshold=settings.threshold,
            algorithm=settings.algorithm,
            settings=AlgorithmSettings(**settings.settings.model_dump()),
            knowledge=_knowledge(settings),
            pairwise=settings.missing == "pairwise",
            indicators=indicators,
            parts=parts,
            part=_PART.get(settings.correction, "item"),
            progress=report,
            notify=lambda line: print(line, flush=True),
        )
    found.save(out)
    return found


def _knowledge(settings: DiscoverySpec) -> Knowledge | None:
    given = settings.knowledge
    found = Knowledge(frozenset(given.forbidden), frozenset(given.required), given.tiers)
    return None if found == Knowledge() else found


def run_graph(run: RunDir, graph_file: Path | None) -> tuple[CausalGraph, Path]:
    """The graph of `graph_file` (graph.json), or the run's own, and where it is. InputError where the run's
    own was made from other profiles than it has now."""
    path = graph_file or run.graph / "graph.json"
    if not path.is_file():
        remedy = f"Run `axiograph discover {run.where}` first, or give --graph."
        raise InputError(f"graph {run.shown(path)}", "a graph written by axiograph", "none", remedy)
    check_fresh(run, path, read_scores(run, "profiles"))
    return value_graph(path), path


def compare_roles(run: RunDir, graph: CausalGraph) -> tuple[str, pl.DataFrame]:
    """The paper's contrast between roles on baseline profiles: (reference role, table of between_roles).

    Every role is compared with "no role", or with the first role where that has no answers: the roles that
    the same kind of worker answered (DESIGN 3) and, where items are split too, only those of its part, since
    the others were asked other items.
    """
    table, inputs = read_scores(run, "profiles"), run.inputs()
    there = set(table.filter(pl.col("condition") == BASELINE)["role"])
    roles = [role.name for role in inputs.roles if role.name in there] or [inputs.roles[0].name]
    reference = NO_ROLE.name if NO_ROLE.name in roles else roles[0]
    table = table.filter(pl.col("role").is_in(_answered_alike(run, reference)))
    split = inputs.role_split[reference] if inputs.study.split.items < 1 else None
    settings = inputs.study.effects
    found = between_roles(
        table,
        graph,
        reference=reference,
        condition=BASELINE,
        split=split,
        level=settings.level,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    write_atomic(run.effects / "between_roles.parquet", found.write_parquet)
    return reference, found


def _answered_alike(run: RunDir, reference: str) -> pl.Series:
    """The roles whose baseline came from the worker that answered the `reference` role."""
    used = read_scores(run, "provenance").filter(pl.col("condition") == BASELINE)
    used = used.with_columns(pl.col("role").cast(pl.String))
    own = used.filter(pl.col("role") == reference).select(WORKER)
    return used.join(own, on=list(WORKER), how="semi")["role"]


def find_effects(run: RunDir, study: Study, graph: CausalGraph, path: Path) -> Effects:
    """What every condition changed against `graph`, which came from `path`."""
    settings = study.effects
    found = effects(
        read_scores(run, "profiles"),
        read_scores(run, "provenance"),
        graph,
        replicates=replicates_of(path),
        split=None if settings.roles == "all" else settings.roles,
        baseline=BASELINE,
        level=settings.level,
        interval_resamples=settings.resamples,
        control=settings.control,
        control_graphs=settings.control_graphs,
        seed=settings.seed,
    )
    for name in ("changes", "relations", "responses", "pooled", "contrasts"):
        write_atomic(run.effects / f"{name}.parquet", getattr(found, name).write_parquet)
    write_json(
        run.effects / "effects.json",
        {
            "graph": run.shown(path),
            "baseline": found.baseline,
            "roles": settings.roles,
            "level": found.level,
            "resamples": found.resamples,
            "interval_resamples": found.interval_resamples,
            "graph_replicates": found.graph_replicates,
            "control": str(found.control),
            "control_graphs": found.control_graphs,
            "seed": settings.seed,
            "smallest_p": found.smallest_p,
            "not_in_graph": list(found.not_in_graph),
            "cycles": [list(cycle) for cycle in found.cycles],
        },
    )
    write_doses(run, study, read_scores(run, "profiles"), found.changes, scored_items(run))
    return found


def has_contrasts(run: RunDir, study: Study) -> bool:
    """Whether the run holds a condition besides the baseline on the roles that effects are tested on."""
    table = read_scores(run, "profiles").filter(pl.col("condition") != BASELINE)
    if study.effects.roles != "all":
        table = table.filter(pl.col("split") == study.effects.roles)
    return not table.is_empty()


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
