"""The command `guide`: proposals from a run, their study files, and the runs that judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cluster.dose_run import answers_by_role
from cluster.guide_judges import Judges, find_judges
from cluster.guide_levers import RunLevers, conditions_of, kinds_of, run_levers
from cluster.guide_study import Trial, write_materials, write_study
from cluster.stages import read_scores, run_graph, scored_items
from cluster.tested_graph import replicates_of
from discovery.comparison import Comparison, compare
from discovery.draws import ROUNDING
from discovery.graph import CausalGraph
from discovery.guide_levers import LeverKind
from discovery.guide_link import position
from discovery.guide_model import EffectsModel, ItemMeans, Measured, effects_model
from discovery.guide_paths import Paths
from discovery.guide_proposal import Proposal
from discovery.guide_roles import RoleScores, role_proposals
from discovery.guide_search import Search
from discovery.guide_targets import TOLERANCE, Wishes, check_measured, parse_wishes
from discovery.matrix import value_columns
from discovery.packed import PackedGraphs
from discovery.provenance import check_provenance
from discovery.reference import read_graph
from discovery.relations import Weights
from engine.conditions import BASELINE
from engine.errors import InputError
from engine.files import write_atomic, write_json
from engine.inputs import Inputs
from engine.roles import NO_ROLE, Role
from engine.run_dir import RunDir
from engine.scores import part_scores
from engine.split import TEST, TRAIN

DRAWS = 500
UNGUIDED = "unguided"


@dataclass(frozen=True)
class GuideRequest:
    """What the command line asks for. `budget`: the most features together; `most`: the largest |strength|;
    `without`: levers not to be used; `reference`: FILE or FILE#key of a graph; `keep`: hold what that graph
    does not expect to follow."""

    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    method: str = "any"
    budget: int = 3
    most: float | None = None
    tolerance: float = TOLERANCE
    top: int = 3
    judges: int = 40
    judge_file: Path | None = None
    reference: str | None = None
    keep: bool = False
    without: tuple[str, ...] = ()
    graph_file: Path | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Chosen:
    """What of the run proposals are chosen by: the part of the roles, their profiles, levers and graph."""

    part: str
    profiles: pl.DataFrame
    inputs: Inputs
    levers: RunLevers
    graph: CausalGraph | None
    weights: Weights | None
    replicates: PackedGraphs | None


@dataclass(frozen=True, eq=False)
class Guided:
    """`proposals` by rank from 1; `trials`: what a study asks for each, roles apart; `unguided`: the single
    lever and its strength at each proposal's target change, by rank (0: at the wished change)."""

    run: RunDir
    folder: Path
    wishes: Wishes
    chosen: Chosen
    judges: Judges
    search: Search
    proposals: list[Proposal]
    trials: dict[int, Trial]
    unguided: dict[int, Trial]
    reference: Comparison | None
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> EffectsModel:
        return self.search.model

    def tables(self) -> dict[int, pl.DataFrame]:
        return {
            rank: proposal.table(self.model, self.wishes)
            for rank, proposal in enumerate(self.proposals, start=1)
        }


def guide(run: RunDir, request: GuideRequest, out: Path | None) -> Guided:
    """Choose proposals and write them, with the study files that test them, into `out` or the run's folder
    guide. Raises InputError for wishes that cannot be met, and where there is nothing to choose from."""
    profiles = read_scores(run, "profiles")
    names = value_columns(profiles)
    wishes = parse_wishes(request.raised, request.lowered, request.held, names, request.tolerance)
    chosen = _chosen(run, profiles, request)
    judges = find_judges(chosen.inputs, chosen.part, request.judges, request.judge_file)
    model = _model(run, chosen, judges, request.seed)
    check_measured(wishes, names, model.measured.baseline)
    reference, still = _reference(request, chosen.graph, wishes, names)
    search = Search(
        model,
        wishes,
        request.budget,
        len(judges.roles),
        kinds_of(request.method),
        chosen.weights,
        still,
    )
    folder = out or _folder(run, wishes)
    proposals = _proposals(run, chosen, judges, search, request.top)
    trials, unguided = _trials(search, proposals)
    found = Guided(
        run, folder, wishes, chosen, judges, search, proposals, trials, unguided, reference,
        _notes(chosen, judges, search, proposals),
    )  # fmt: skip
    _write(found)
    return found


def _folder(run: RunDir, wishes: Wishes) -> Path:
    if run.mirror is not None:
        raise InputError(
            f"run {run.where}", "--out, a directory", "none", "A run in an object store needs one for this."
        )
    return run.path / "guide" / wishes.slug()


def _chosen(run: RunDir, profiles: pl.DataFrame, request: GuideRequest) -> Chosen:
    """The training roles choose where they were steered or hinted, otherwise the test roles."""
    inputs = run.inputs()
    tried = profiles.filter(pl.col("condition") != BASELINE)
    steered = {condition.name for condition in inputs.conditions if condition.is_steered}
    # Hints are asked of all roles, so that they do not tell which part was steered.
    sought = tried.filter(pl.col("condition").is_in(list(steered))) if steered else tried
    parts = sought["split"].unique().to_list() or tried["split"].unique().to_list()
    if not parts and request.method != "role":
        raise InputError(
            f"run {run.where}",
            "answers under features or hints, to choose from",
            "the baseline only",
            "Add steering or hints to the study and run it again, or choose roles with --method role.",
        )
    part = TRAIN if TRAIN in parts or not parts else TEST
    own = profiles.filter(pl.col("split") == part)
    answers = answers_by_role(scored_items(run).filter(pl.col("split").cast(pl.String) == part))
    asked = set(own["condition"])
    answers = answers.filter(pl.col("condition").is_in(list(asked)))
    levers = run_levers(inputs.conditions, answers, inputs.study.effects, request.most)
    levers = levers.without([name.strip() for text in request.without for name in text.split(",")])
    check_provenance(own, read_scores(run, "provenance"), BASELINE)
    return Chosen(part, own, inputs, levers, *_graph(run, request))


def _graph(
    run: RunDir, request: GuideRequest
) -> tuple[CausalGraph | None, Weights | None, PackedGraphs | None]:
    if request.graph_file is None and not (run.graph / "graph.json").is_file():
        return None, None, None
    graph, path = run_graph(run, request.graph_file)
    replicates = replicates_of(path)
    return graph, Weights.of(graph, replicates), replicates


def _model(run: RunDir, chosen: Chosen, judges: Judges, seed: int) -> EffectsModel:
    """The effects model of the choosing roles; with the items' part in its intervals where the judges are
    asked other ones."""
    level = chosen.inputs.study.effects.level
    names = value_columns(chosen.profiles)
    used = conditions_of(chosen.levers.levers)
    profiles = chosen.profiles.filter(pl.col("condition").is_in([BASELINE, *used]))
    if not used:  # roles only: nothing but the baseline is needed
        before = profiles.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
        return effects_model(Measured(tuple(names), before, {}, {}), (), None, level=level, seed=seed)
    items = _item_means(run, chosen, judges, names) if judges.new_items else None
    measured = Measured.of(profiles, baseline=BASELINE, level=level, seed=seed, items=items)
    levers = [lever for lever in chosen.levers.levers if lever.usable]
    plain = effects_model(measured, levers, None, draws=2, level=level, seed=seed)
    paths = _paths(run, chosen, plain.link.width, names, seed)
    return effects_model(measured, levers, paths, draws=DRAWS, level=level, seed=seed)


def _paths(run: RunDir, chosen: Chosen, width: float, names: Sequence[str], seed: int) -> Paths | None:
    if chosen.graph is None:
        return None
    rows = read_scores(run, "profiles").filter((pl.col("condition") == BASELINE) & (pl.col("split") == TRAIN))
    scores = rows.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
    return Paths.of(position(scores, width), names, chosen.graph, chosen.replicates, DRAWS, rng)


def _item_means(run: RunDir, chosen: Chosen, judges: Judges, names: Sequence[str]) -> ItemMeans:
    """Mean differences by item over the choosing roles."""
    scored = scored_items(run).filter(pl.col("split").cast(pl.String) == chosen.part)
    if chosen.inputs.study.scoring.drop_shared_items:
        scored = scored.filter(~pl.col("shared"))
    texts = pl.col("condition", "value", "item_id").cast(pl.String)
    means = (
        scored.with_columns(texts)
        .group_by("condition", "value", "item_id")
        .agg(score=pl.col("score").mean())
        .collect(engine="streaming")
    )
    before = means.filter(pl.col("condition") == BASELINE).sort("value", "item_id")
    value = np.array([names.index(name) for name in before["value"]], np.int64)
    keys = before.select("item_id", base="score")
    differences = {}
    for (condition,), own in means.group_by("condition"):
        joined = keys.join(own.select("item_id", "score"), on="item_id", how="left", maintain_order="left")
        found = (joined["score"] - joined["base"]).fill_null(np.nan).to_numpy()
        differences[str(condition)] = np.where(np.abs(found) <= ROUNDING, 0.0, found)
    return ItemMeans(value, differences, judges.ratio)


def _reference(
    request: GuideRequest, graph: CausalGraph | None, wishes: Wishes, names: Sequence[str]
) -> tuple[Comparison | None, tuple[str, ...]]:
    """How the run's graph compares with the reference, and the values that must stay still for its sake."""
    if request.reference is None:
        if request.keep:
            raise InputError("--keep-reference", "--reference", "none", "Give the graph to keep to.")
        return None, ()
    whole = Path(request.reference)
    file, _, key = request.reference.rpartition("#")
    path, name = (whole, None) if whole.exists() or not file else (Path(file), key)
    reference = read_graph(path, name).graph
    compared = None if graph is None else compare(graph, reference)
    if not request.keep:
        return compared, ()
    known = [target.value for target in wishes.targets if target.value in reference.names]
    if not known:
        wanted = ", ".join(target.value for target in wishes.targets)
        raise InputError(
            f"reference {request.reference}", f"a graph with {wanted}", "none of them", "Check its names."
        )
    follows = reference.definite_descendants() | reference.possible_descendants()
    free = {
        reference.names[k] for name in known for k in np.flatnonzero(follows[reference.names.index(name)])
    }
    wished = {target.value for target in wishes.targets}
    return compared, tuple(n for n in reference.names if n in names and n not in free | wished)


def _proposals(run: RunDir, chosen: Chosen, judges: Judges, search: Search, top: int) -> list[Proposal]:
    found: list[Proposal] = []
    refused: InputError | None = None
    if search.kinds & {LeverKind.SAE, LeverKind.HINT}:
        try:
            found += search.proposals(top)
        except InputError as error:
            if LeverKind.ROLE not in search.kinds or search.kinds == {LeverKind.ROLE}:
                raise
            refused = error
    if LeverKind.ROLE in search.kinds and (refused is None or _only_roles(search)):
        ratio = judges.ratio if judges.new_items else 1.0
        found += role_proposals(_role_scores(run, chosen, search), search, top, ratio=ratio)
    if refused is not None and not found:
        raise refused
    if not found:
        raise InputError(
            search.wishes.words(),
            "a role of the run whose profile lies the wanted way",
            "none",
            "Measure next: more roles, or features and hints.",
        )
    return sorted(found, key=lambda proposal: proposal.cost)


def _only_roles(search: Search) -> bool:
    return not search.levers()


def _role_scores(run: RunDir, chosen: Chosen, search: Search) -> RoleScores:
    kept = (pl.col("split").cast(pl.String) == chosen.part) | (pl.col("role").cast(pl.String) == NO_ROLE.name)
    scored = scored_items(run).filter(kept & (pl.col("condition").cast(pl.String) == BASELINE))
    parts = part_scores(scored, "item", drop_shared=chosen.inputs.study.scoring.drop_shared_items)
    # Only where "no role" was asked the same items is its profile one to compare with.
    same = chosen.inputs.study.split.items == 1 or chosen.part == TRAIN
    asked = any(role.name == NO_ROLE.name for role in chosen.inputs.roles)
    return RoleScores.of(parts, search.model.names, NO_ROLE.name if asked and same else None)


def _trials(search: Search, proposals: Sequence[Proposal]) -> tuple[dict[int, Trial], dict[int, Trial]]:
    """By rank, what is asked for a proposal and for the unguided lever at its target change."""
    trials, unguided = {}, {}
    for rank, proposal in enumerate(proposals, start=1):
        if proposal.kind is LeverKind.ROLE:
            continue
        trials[rank] = Trial(f"p{rank}", proposal.kind, proposal.settings)
        lever, strength = search.rival(proposal)
        if dict(proposal.settings) != {lever.name: strength}:
            unguided[rank] = Trial(f"u{rank}", lever.kind, {lever.name: strength})
    return trials, unguided


def _notes(chosen: Chosen, judges: Judges, search: Search, proposals: Sequence[Proposal]) -> list[str]:
    notes = []
    if chosen.graph is None:
        notes.append("The run has no graph: what must follow and what should stay is not known.")
    if chosen.levers.broken:
        notes.append(f"Left out, since they break the model: {', '.join(chosen.levers.broken)}.")
    if not judges.new_items:
        notes.append(
            "The judges are new roles, but are asked the same items: how far the result holds for other "
            "items is in no interval here (give the study split.items below 1 to know)."
        )
        if any(proposal.kind is LeverKind.ROLE for proposal in proposals):
            notes.append(
                "Proposed roles are judged on other items only: none here, so that they are not judged."
            )
    if search.model.levers and not all(lever.settled for lever in search.model.levers):
        notes.append(
            f"{len(search.model.measured.baseline)} roles do not settle at which strength some features "
            "break the model: every measured strength was allowed."
        )
    return notes


def study_trials(found: Guided, ranks: Sequence[int]) -> list[Trial]:
    """What a study asks for the proposals of these ranks and their unguided rivals, nothing twice."""
    seen: dict[tuple[Any, ...], Trial] = {}
    for rank in ranks:
        for table in (found.trials, found.unguided):
            if rank in table:
                seen.setdefault(trial_key(table[rank]), table[rank])
    return list(seen.values())


def trial_key(trial: Trial) -> tuple[Any, ...]:
    """Equal for trials that do the same."""
    return (trial.kind, tuple(sorted(trial.settings.items())))


def proposed_roles(found: Guided, ranks: Sequence[int]) -> list[Role]:
    """The roles among the proposals of these ranks."""
    wanted = [
        next(iter(p.settings))
        for rank, p in enumerate(found.proposals, start=1)
        if rank in ranks and p.kind is LeverKind.ROLE
    ]
    return [role for role in found.chosen.inputs.roles if role.name in wanted]


def _write(found: Guided) -> None:
    """proposals.json, proposals.parquet and .csv, the materials, and a study file for every proposal."""
    folder, inputs = found.folder, found.chosen.inputs
    ranks = list(range(1, len(found.proposals) + 1))
    write_materials(folder, inputs, found.judges, proposed_roles(found, ranks))
    no_role = any(p.kind is LeverKind.ROLE for p in found.proposals)
    asked = no_role and any(role.name == NO_ROLE.name for role in inputs.roles)
    for rank in ranks:
        write_study(
            folder,
            f"proposal-{rank}",
            inputs,
            found.chosen.levers,
            study_trials(found, [rank]),
            no_role=asked,
        )
    parts = [
        table.with_columns(proposal=pl.lit(rank, pl.Int64), name=pl.lit(found.proposals[rank - 1].name))
        for rank, table in found.tables().items()
    ]
    whole = pl.concat(parts).select("proposal", "name", pl.exclude("proposal", "name"))
    write_atomic(folder / "proposals.parquet", whole.write_parquet)
    write_atomic(folder / "proposals.csv", whole.write_csv)
    write_json(folder / "proposals.json", _document(found))


def _document(found: Guided) -> Mapping[str, Any]:
    model = found.model
    return {
        "schema": "axiograph-guide/1",
        "run": found.run.where,
        "wishes": found.wishes.words(),
        "tolerance_sd": found.wishes.tolerance,
        "held_for_the_reference": list(found.search.keep_still),
        "chosen_by": {"part": found.chosen.part, "roles": len(model.measured.baseline)},
        "judges": {
            "roles": len(found.judges.roles),
            "source": found.judges.source,
            "items": len(found.judges.items),
            "other_items": found.judges.new_items,
        },
        "level": model.level,
        "link_width": model.link.width,
        "curve_error": model.curve_error,
        "levers": [lever.name for lever in model.levers],
        "proposals": [
            {"rank": rank} | proposal.document() for rank, proposal in enumerate(found.proposals, start=1)
        ],
        "unguided": {str(rank): dict(trial.settings) for rank, trial in found.unguided.items()},
        "reference": None if found.reference is None else found.reference.document(),
        "notes": found.notes,
    }
