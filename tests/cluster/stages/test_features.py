"""`axiograph features`: activations with links and bans, and the pilot sweep that ranks by effect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sae_lens import SAE

from axiograph.cluster.sampling.preparation import prepare, prepare_unsteered
from axiograph.cluster.stages.features import record_features, recorded_features, span_prompts
from axiograph.cluster.stages.pilot import AgainstRandom, PilotSettings, against_random, run_pilot
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.loading import load_study
from axiograph.engine.workers.models import load_model
from axiograph.texts.features import features_text
from tests import sae_kinds, studies, tiny

ASSETS = Path(__file__).parents[3] / "engine" / "assets" / "respondent"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """One with the role before the span."""
    path = tmp_path_factory.mktemp("template") / "late.j2"
    path.write_text("{{ role }} Keep{{ ' your values' | span }}. {{ question }}\nThought:")
    return path


def loaded(tmp_path, assets, **changes):
    study = load_study(studies.write(tmp_path, assets, **changes))
    return study, create_run(study.out)


def test_once_where_nothing_differs_before_the_span_else_over_roles(study_assets, template, tmp_path):
    for number, (prompt, wanted) in enumerate([({}, 1), ({"path": str(template)}, 32)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        study, run = loaded(folder, study_assets, prompt=prompt, hints=[])
        prepared = prepare_unsteered(study, run)
        heads, note = span_prompts(prepared, 32)
        assert len(heads) == wanted
        assert ("once" in note) == (wanted == 1)
        full = prepared.sample_prompts(32)
        # Up to the span and no further, with the span where it was.
        assert all(head.ids == prompt.ids[: len(head.ids)] for head, prompt in zip(heads, full, strict=False))
        assert all(max(head.span) == len(head.ids) - 1 for head in heads)


def test_one_prompt_gives_what_all_prompts_give(study_assets, tmp_path, monkeypatch):
    study, run = loaded(tmp_path, study_assets)
    once = record_features(study, run, 16)
    monkeypatch.setattr(
        "axiograph.cluster.stages.features.span_prompts",
        lambda prepared, n: (prepared.sample_prompts(n), "all"),
    )
    all_of_them = record_features(study, run, 16)
    for name in ("max_activation", "mean_activation", "share_active"):
        joined = once.table.join(all_of_them.table, on=["sae", "feature"])
        assert joined[name].to_numpy() == pytest.approx(joined[f"{name}_right"].to_numpy(), abs=1e-4)


def test_links_bans_and_what_is_recorded(study_assets, tmp_path):
    sae = tiny.save_sae(tmp_path / "sae", neuronpedia_id="tiny/1-res")
    operation = {"sae": {"path": str(sae)}, "features": [3], "strengths": [40]}
    study, run = loaded(tmp_path, study_assets, steering=[{"operations": [operation]}])
    assert recorded_features(study, run) is None
    active = record_features(study, run, 8)
    first, second = active.table["feature"][:2]
    text = features_text(active, 5)
    assert f"https://neuronpedia.org/tiny/1-res/{first}" in text and f"\n{first} " in text
    without = features_text(active, 5, frozenset({first}))
    assert f"\n{first} " not in without and f"\n{second} " in without and "1 banned" in without
    assert recorded_features(study, run).table.equals(active.table)


def test_a_transcoder_is_measured_where_it_reads(study_assets, tmp_path):
    """And steers where it writes; one that reads what axiograph does not give it is refused."""
    for number, (hook, refused) in enumerate(
        [("blocks.0.hook_resid_post", False), ("blocks.1.mlp.hook_in", True)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        sae = sae_kinds.save(folder / "sae", "transcoder", hook, meta_hook_name_out="blocks.1.hook_mlp_out")
        operation = {"sae": {"path": str(sae)}, "features": [3], "strengths": [40]}
        study, run = loaded(folder, study_assets, steering=[{"operations": [operation]}])
        if refused:
            with pytest.raises(InputError, match=r"found one that reads 'blocks\.1\.mlp\.hook_in'"):
                record_features(study, run, 8)
            continue
        active = record_features(study, run, 8)
        prepared = prepare(study, run)
        heads, _ = span_prompts(prepared, 8)
        model = load_model(prepared.source, "cpu")
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([heads[0].ids]), output_hidden_states=True).hidden_states
            acts = SAE.load_from_disk(sae).encode(states[1][0, list(heads[0].span)])
        found = active.table.sort("feature")["max_activation"].to_numpy()
        assert found == pytest.approx(acts.amax(0).numpy(), abs=1e-4) and found.max() > 0
        (steered,) = prepared.operations.values()
        assert str(steered[0].hook_point) == "resid_post.1"


def test_a_pilot_is_a_run_on_training_roles_that_can_be_repeated(study_assets, tmp_path):
    study, run = loaded(tmp_path, study_assets)
    active = record_features(study, run, 8)
    banned = int(active.table["feature"][0])
    settings = PilotSettings(candidates=3, roles=6, items=2, directions=2, ban=frozenset({banned}))
    found = run_pilot(study, run, active, settings)
    assert found.table["feature"].sort().to_list() == sorted(active.table["feature"][1:4])
    assert found.table["rank"].to_list() == [1, 2, 3]
    assert found.table["effect"].to_list() == sorted(found.table["effect"], reverse=True)
    assert len(found.control) == 2
    # 6 roles × 3 values × 2 items, for the baseline, 3 features and 2 directions at the study's one strength.
    assert found.sampled.answered == 36 * 6
    train = {name for name, part in load_inputs(study).role_split.items() if part == "train"}
    asked = found.run.inputs()
    assert {role.name for role in asked.roles} < train
    assert {item.agreement for item in asked.items} == {1, -1}
    manifest = json.loads(found.run.manifest_file.read_text())
    assert any("~direction1" in name for name in manifest["identity"]["directions"])
    # The effect is the change that the run's own tables hold.
    doses = pl.read_parquet(found.run.effects / "dose_response.parquet")
    row = found.table.row(0, named=True)
    own = doses.filter(
        (pl.col("feature") == row["feature"]) & (pl.col("value") == row["value"]) & (pl.col("strength") == 40)
    )
    assert own["difference"].to_list() == [row["difference"]] and abs(row["difference"]) == row["effect"]
    again = run_pilot(study, run, active, settings)
    assert again.sampled.answered == 0 and again.table.equals(found.table)


def test_features_beside_random_directions_by_hand():
    # Of 2 features and 1 direction in every order: a feature is the largest in 2 of 3, both are in 1 of 3.
    assert against_random([3.0, 1.0], [2.0]) == AgainstRandom(2, 1, 1, 1.0, pytest.approx(2 / 3))
    assert against_random([3.0, 2.5], [2.0]).p == pytest.approx(1 / 3)
    assert against_random([2.0, 1.0], [2.0]) == AgainstRandom(2, 1, 0, 1.0, 1.0)
    assert against_random([], [2.0]) is None and against_random([2.0], []) is None


def test_a_ranking_of_noise_is_seldom_told_from_random_directions():
    rng = np.random.default_rng(0)
    found = [against_random(*np.split(np.abs(rng.normal(size=42)), [32])) for _ in range(2000)]
    assert np.mean([each.p <= 0.05 for each in found]) <= 0.06
    assert np.mean([each.beyond for each in found]) == pytest.approx(found[0].expected, rel=0.1)
    told = [against_random(np.abs(rng.normal(0, 4, 32)), np.abs(rng.normal(size=10))) for _ in range(200)]
    assert np.mean([each.p <= 0.05 for each in told]) > 0.5


def test_the_command(axiograph, study_assets, tmp_path):
    study = studies.write(tmp_path, study_assets)
    code, out, _ = axiograph(
        "features", study, "--rank-by", "effect", "--candidates", 2, "--roles", 2, "--items", 1,
        "--directions", 1, "--strengths=-40,40", "--top", 1,
    )  # fmt: skip
    assert code == 0, out
    assert "random directions of the same length" in out and "features.csv" in out
    assert "features lie beyond the largest of them" in out and "1.0 would by chance" in out
    # The study's own run comes after it, in the same directory.
    code, _, err = axiograph("run", study, "--jobs", "1")
    assert code == 0, err
    code, _, err = axiograph("features", study, "--ban", "3,x")
    assert code == 2 and "--ban" in err


@pytest.mark.slow
def test_planted_features_come_first_by_effect_and_not_by_activation(tmp_path):
    study = load_study(Path(__file__).parents[3] / "examples" / "respondent.yaml")
    study = study.model_copy(update={"out": tmp_path / "run"})
    run = create_run(study.out)
    active = record_features(study, run, 8)
    planted = set(json.loads((ASSETS / "truth.json").read_text())["features"].values())
    table = run_pilot(study, run, active, PilotSettings()).table
    own = table.filter(pl.col("feature").is_in(planted))
    # Those of the planted that are active on the span at all: behind ten others by activation.
    assert own.height >= 5 and own["activation_rank"].min() > 10
    assert own["rank"].to_list() == list(range(1, own.height + 1))
