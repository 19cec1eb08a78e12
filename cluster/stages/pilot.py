"""The pilot sweep: which features move the values, found by steering each of them through the real engine.

A feature that is active where the values are named need not be one that moves them. So candidates are
steered one by one, on a few roles and items, and ranked by what happened. Only training roles and training
items are asked, so that what the study finds on its test roles was not chosen by them. The pilot is a run of
its own, in the folder `pilot` of the study's run: every command works on it, and the same call continues it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import Sampled, sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.stages.doses import write_doses
from axiograph.cluster.stages.features import Active
from axiograph.cluster.stages.score import read_scores, score, scored_items
from axiograph.discovery.effects.changes import Pairing, find_changes, select_roles
from axiograph.discovery.matrix.profiles import check_provenance, value_columns
from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest_json
from axiograph.engine.plan.inputs import Inputs, load_inputs
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.storage.files import write_atomic
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.questionnaire import Item, shared_texts
from axiograph.engine.study.roles import NO_ROLE, Role
from axiograph.engine.study.schema import Study
from axiograph.engine.study.split import TRAIN, rank
from axiograph.engine.study.steering import OperationSpec

MOST = 64


@dataclass(frozen=True)
class PilotSettings:
    """`candidates`: features steered, of each SAE, by activation (None: all active ones up to MOST; beyond
    the active ones come the others by number); `roles`, `items` (of each value): how many are asked;
    `directions`: random directions for comparison; `strengths`: None for those of the study."""

    candidates: int | None = None
    roles: int = 8
    items: int = 4
    directions: int = 10
    strengths: tuple[float, ...] | None = None
    ban: frozenset[int] = frozenset()
    seed: int = 0


@dataclass(frozen=True)
class AgainstRandom:
    """How features compare with random directions of the same length that were steered alike: `features` with
    an effect, `directions`, how many features lie `beyond` the largest of these, how many would by chance
    (`expected`), and `p`: how likely so many or more are if features do no more than random directions."""

    features: int
    directions: int
    beyond: int
    expected: float
    p: float


def against_random(effects: Sequence[float], control: Sequence[float]) -> AgainstRandom | None:
    """Of the effects of features and of random directions; None without either.

    If features were random directions, every order of all of them would be as likely as any other: the k
    largest of m features and r directions are all features with probability Π (m − i) / (m + r − i), i < k.
    Ties count for the directions."""
    features, directions = len(effects), len(control)
    if not features or not directions:
        return None
    beyond = sum(effect > max(control) for effect in effects)
    p = math.prod((features - i) / (features + directions - i) for i in range(beyond))
    return AgainstRandom(features, directions, beyond, features / (directions + 1), p)


@dataclass(frozen=True)
class Pilot:
    """`table`: see `rank_features`; `control`: the largest effects of random directions, largest first."""

    run: RunDir
    sampled: Sampled
    table: pl.DataFrame
    control: list[float]

    @property
    def against_random(self) -> AgainstRandom | None:
        """How the features compare with the random directions."""
        return against_random(self.table["effect"].drop_nulls().to_list(), self.control)


def run_pilot(study: Study, run: RunDir, active: Active, settings: PilotSettings) -> Pilot:
    """Steer the candidates, store the answers like those of any run, and rank the features by their effect.

    Raises InputError where no candidate is left, and errors of sampling as a run does."""
    inputs = load_inputs(study)
    data = _study_data(study, active, settings)
    items, roles = _items(inputs, settings), _roles(inputs, settings)
    key = digest_json([data, [asdict(i) for i in items], [asdict(r) for r in roles]]).hex()[:8]
    folder = run.path / "pilot" / key
    pilot_study = _write(folder, data, items, roles)
    pilot = create_run(folder / "run")
    with pilot.locked():
        _take_scales(run, pilot)
        prepared = prepare(pilot_study, pilot)
        sampled = sample(prepared, pilot, InProcessExecutor(prepared.make_worker))
        score(pilot)
        table, control = rank_features(pilot, pilot_study, active)
        write_atomic(folder / "features.parquet", table.write_parquet)
        write_atomic(folder / "features.csv", table.write_csv)
    return Pilot(pilot, sampled, table, control)


def rank_features(pilot: RunDir, study: Study, active: Active) -> tuple[pl.DataFrame, list[float]]:
    """A row per candidate, by rank: those that leave the model whole before those that break it, then by
    effect. Columns: rank, sae, feature, effect (the largest |mean difference| of a value to the baseline,
    over values and strengths), value, strength and difference where that was, changed (values that changed by
    the test of discovery.effects.testing at some strength), breaks (whether some strength does),
    max_activation and activation_rank on the span, link. And the effects of the random directions."""
    profiles = read_scores(pilot, "profiles")
    names = value_columns(profiles)
    selected = select_roles(profiles, TRAIN, BASELINE)
    check_provenance(selected, read_scores(pilot, "provenance"), BASELINE)
    changes = find_changes(Pairing(selected, BASELINE, names), study.effects.level).table()
    tables = write_doses(pilot, study.effects, profiles, changes, scored_items(pilot))
    responses = tables.dose_response.filter(pl.col("condition") != BASELINE)
    broken = tables.unreadable.filter(pl.col("state") == "breaks")["condition"].implode()
    size = pl.col("difference").abs()
    most = size.fill_null(-1.0).arg_max()
    sweeps = responses.join(tables.doses.select("condition", "sae", "control"), on="condition").group_by(
        "sweep", "sae", "feature", "control", maintain_order=True
    )
    effects = sweeps.agg(
        effect=size.max(),
        value=pl.col("value").get(most),
        strength=pl.col("strength").get(most),
        difference=pl.col("difference").get(most),
        changed=pl.col("value").filter(pl.col("changed").fill_null(False)).n_unique(),
        breaks=pl.col("condition").is_in(broken).any(),
    )
    control = effects.filter(pl.col("control").is_not_null())["effect"].drop_nulls()
    candidates = effects.filter(pl.col("control").is_null()).drop("sweep", "control")
    on_span = active.table.select("sae", "feature", "max_activation", "link", activation_rank="rank")
    table = candidates.join(on_span, on=["sae", "feature"], how="left").sort(
        "breaks", "effect", "feature", descending=[False, True, False], nulls_last=True
    )
    order = ["sae", "feature", "effect", "value", "strength", "difference", "changed", "breaks"]
    ranks = pl.int_range(1, pl.len() + 1).alias("rank")
    return table.select(ranks, *order, "max_activation", "activation_rank", "link"), sorted(
        control, reverse=True
    )


def _study_data(study: Study, active: Active, settings: PilotSettings) -> dict[str, Any]:
    """The pilot as a study file, with roles and items in files beside it."""

    def plain(spec: Any) -> Any:
        return spec.model_dump(mode="json", by_alias=True, exclude_none=True)

    steering: list[dict[str, Any]] = []
    for number, sae in enumerate(active.saes):
        spec = next(
            op for s in study.steering for op in s.operations if op.sae is not None and sae.is_of(op.sae)
        )
        steering += _entries(spec, _candidates(active, sae.name, settings), settings, number, plain)
    return {
        "schema": 1,
        "name": f"{study.name} pilot",
        "model": plain(study.model),
        "questionnaires": ["items.csv"],
        "roles": {"files": [{"path": "roles.json", "split": "train"}], "no_role": False},
        "prompt": plain(study.prompt),
        "steering": steering,
        "sampling": plain(study.sampling) | {"share": 1.0},
        "scoring": plain(study.scoring),
        "effects": plain(study.effects) | {"roles": "train"},
        "out": "run",
    }


def _entries(
    spec: OperationSpec, features: list[int], settings: PilotSettings, number: int, plain: Any
) -> list[dict[str, Any]]:
    """The candidates as a study's steering; the first of them with the random directions beside it."""
    strengths = settings.strengths or tuple(s for s in spec.strengths if s != 0)
    if not strengths:
        raise InputError(
            "study, field steering",
            "an operation with strengths other than 0 for every SAE",
            f"{spec.kind} without",
            "Give the pilot its own: --strengths=-2,2.",
        )
    kind = "add" if spec.kind == "project_out" else spec.kind
    operation = plain(spec) | {"kind": kind, "strengths": list(strengths)}
    operation.pop("controls", None)
    controls = {"directions": settings.directions, "seed": settings.seed}
    if kind == "clamp_feature" or settings.directions == 0:
        parts: list[dict[str, Any]] = [operation | {"features": features}]
    else:
        parts = [operation | {"features": features[:1], "controls": controls}]
        parts += [operation | {"features": features[1:]}] if features[1:] else []
    name = {} if number == 0 else {"name": f"SAE {number + 1}"}
    return [{"operations": [part], **name} for part in parts]


def _candidates(active: Active, sae: str, settings: PilotSettings) -> list[int]:
    features = active.table.filter(pl.col("sae") == sae).sort(
        "max_activation", "feature", descending=[True, False]
    )
    if settings.candidates is None:
        features = features.filter(pl.col("max_activation") > 0)
    left = [feature for feature in features["feature"] if feature not in settings.ban]
    left = left[: settings.candidates or MOST]
    if not left:
        raise InputError(sae, "a feature that is active on the span and not banned", "none", "Ban fewer.")
    return left


def _roles(inputs: Inputs, settings: PilotSettings) -> list[Role]:
    train = [role for role in inputs.roles if inputs.role_split[role.name] == TRAIN and role != NO_ROLE]
    if not train:
        raise InputError(
            "study, field roles", "training roles with a text, for the pilot", "none", "Add some."
        )
    return sorted(train, key=lambda role: rank(settings.seed, "pilot role", role.name))[: settings.roles]


def _items(inputs: Inputs, settings: PilotSettings) -> list[Item]:
    """So many of each value's training items, of both keys where there are both."""
    shared = {item.item_id for _, items in shared_texts(inputs.items) for item in items}
    chosen: list[Item] = []
    for value in inputs.values:
        train = [i for i in inputs.items if i.value == value and inputs.item_split[i.item_id] == TRAIN]
        alone = [i for i in train if i.item_id not in shared] or train
        drawn = sorted(alone, key=lambda item: rank(settings.seed, "pilot item", item.item_id))
        keys = {sign: [i for i in drawn if i.agreement == sign] for sign in (1, -1)}
        # One of each key in turn.
        turn = {i.item_id: n for items in keys.values() for n, i in enumerate(items)}
        chosen += sorted(drawn, key=lambda item: (turn[item.item_id], -item.agreement))[: settings.items]
    return chosen


def _write(folder: Path, data: dict[str, Any], items: Sequence[Item], roles: Sequence[Role]) -> Study:
    texts = {role.name: role.text for role in roles}
    head = (
        "# Written by `axiograph features --rank-by effect`; `axiograph run` on this file goes on with it.\n"
    )
    files = {
        "roles.json": json.dumps(texts, ensure_ascii=False, indent=1) + "\n",
        "items.csv": _csv(items),
        "study.yaml": head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomic(folder / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))  # type: ignore[misc]
    return load_study(folder / "study.yaml")


def _csv(items: Sequence[Item]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["item_id", "questionnaire", "value", "agreement", "question"])
    writer.writerows([i.item_id, i.questionnaire, i.value, i.agreement, i.question] for i in items)
    return text.getvalue()


def _take_scales(run: RunDir, pilot: RunDir) -> None:
    """Units of the pilot are those of the study: what was measured for it holds here too."""
    for source, target in ((run.features_file, pilot.features_file), (run.scales_file, pilot.scales_file)):
        if source.is_file() and not target.is_file():
            content = source.read_bytes()
            write_atomic(target, lambda path, content=content: path.write_bytes(content))  # type: ignore[misc]
