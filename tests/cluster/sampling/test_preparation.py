"""Preparation: what would fail in hour six is refused before the first answer."""

from __future__ import annotations

import pytest

from axiograph.cluster.sampling.loop import install_plan
from axiograph.cluster.sampling.preparation import prepare, study_notes
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.study.loading import load_study
from tests import sae_kinds, studies


def prepared(folder, assets, **changes):
    return prepare(load_study(studies.write(folder, assets, steering=[], **changes)), RunDir(folder / "run"))


@pytest.mark.parametrize("longest", ["role", "item", "definition"])
def test_the_longest_prompt_is_found_by_its_tokens(longest, study_assets, tmp_path):
    # Few characters of many tokens each, among many of fewer: 120 × 4 bytes no merge knows.
    dense, plain = "𝔘" * 120, "in keeping with your values " * 6
    assert len(dense) < len(plain)
    roles = [f"p{i},{plain} {i}" for i in range(4)] + [f"q,{dense if longest == 'role' else 'short'}"]
    (tmp_path / "roles.csv").write_text("\n".join(["name,text", *roles]), encoding="utf-8")
    items = [f"i{i},Q,Joy,1,{plain} {i}?" for i in range(4)]
    items += [f"j,Q,Order,1,{dense if longest == 'item' else 'a'}?"]
    header = "item_id,questionnaire,value,agreement,question"
    (tmp_path / "items.csv").write_text("\n".join([header, *items]), encoding="utf-8")
    (tmp_path / "d.yaml").write_text(
        f"Order: {dense if longest == 'definition' else 'a'}\n", encoding="utf-8"
    )
    changes = {
        "roles": {"files": [{"path": str(tmp_path / "roles.csv")}]},
        "questionnaires": [str(tmp_path / "items.csv")],
        "definitions": str(tmp_path / "d.yaml"),
    }
    with pytest.raises(InputError, match="at most 512 tokens, the model's length"):
        prepared(tmp_path, study_assets, **changes)


def test_no_cue_is_a_cue(study_assets, tmp_path):
    """A prompt that ends in its own "Answer:" is scored as it stands."""
    made = prepared(tmp_path, study_assets, prompt={"answer_cue": ""})
    inputs = made.inputs
    fields = inputs.fields(inputs.roles[0], inputs.conditions[0], inputs.items[0])
    (prompt,) = made.build([fields])
    assert prompt.cued == prompt.ids


def test_notes_say_before_the_night_what_a_study_cannot_lead_to(study_assets, tmp_path):
    def notes(**changes):
        study = load_study(studies.write(tmp_path, study_assets, **changes))
        return study_notes(prepare(study, RunDir(tmp_path / "run")).inputs)

    assert notes() == []
    few = {"generate": [{"fields": str(study_assets / "fields.yaml"), "n": 9}]}
    # 7 of the 9 roles and "no role" train: half of these 8 are 4 rows a replicate.
    (note,) = notes(roles=few)
    assert "8 training roles and 3 values are too few for a graph" in note
    assert notes(roles=few, discovery={"resample": "roles_with_replacement"}) == []
    (note,) = notes(values=["Joy"])
    assert "25" not in note and "1 values" in note
    (note,) = notes(steer_roles="train")
    assert "no effect of steering will be tested" in note
    assert notes(steer_roles="train", effects={"roles": "all"}) == []


def test_what_is_steered_otherwise_than_one_might_think_is_said_and_kept(study_assets, tmp_path, axiograph):
    """At the start, in the plan and in the manifest; the answers themselves are the same."""
    labelled = sae_kinds.save(tmp_path / "sae", "standard", meta_model_name="other/Large-2")
    elsewhere = {"layer": 0, "place": "resid_pre"}
    operation = {"sae": {"path": str(labelled)}, "features": [3], "strengths": [4], "hook_point": elsewhere}
    path = studies.write(tmp_path, study_assets, steering=[{"operations": [operation]}])
    notes = prepare(load_study(path), RunDir(tmp_path / "run")).notes()
    assert [note.partition(f"SAE {labelled} ")[2].partition(" other/Large-2")[0] for note in notes] == [
        "is labelled as one of",
        "was trained at blocks.1.hook_resid_post, and steers at resid_pre.0, as the study says.",
    ]
    code, out, err = axiograph("plan", path, "--calibrate", 0)
    said = " ".join((out + err).split())
    assert code == 0 and all(" ".join(note.split()) in said for note in notes), said
    study = load_study(path)
    run = create_run(study.out)
    install_plan(prepare(study, run), run)
    assert run.manifest()["steering_notes"] == notes
    plain = studies.write(tmp_path, study_assets)
    assert prepare(load_study(plain), RunDir(tmp_path / "other")).notes() == []
