"""The demonstration and the calibration command, small, on the built-in respondent and the real engine."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import yaml

from axiograph.cluster.demonstration import DemoSettings, demo
from axiograph.cluster.guide.advice import advise_run
from axiograph.cluster.stages.calibration import analysis_of, calibration_notes, design_of
from axiograph.discovery.calibration.noise import NOISE_FILE, load_noise
from axiograph.discovery.calibration.respondent import (
    ASSETS,
    Planted,
    agreement,
    over_names,
    planted_effects,
    total_effects,
)
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.loading import load_study
from axiograph.texts.advice import advice_text
from axiograph.texts.demo import demo_text
from tests import studies
from tests.docs.dictionary import Check

ROLES, STEERED = 20, 3


@pytest.fixture(scope="module")
def planted():
    return Planted.load()


@pytest.fixture(scope="module")
def shown(planted, tmp_path_factory):
    settings = DemoSettings(
        mode="generate",
        roles=ROLES,
        strengths=(2.0,),
        steered_roles=STEERED,
        steered=("Security", "Power"),
        replicates=50,
    )
    out = tmp_path_factory.mktemp("demo") / "run"
    return settings, demo(settings, out, jobs=1)


def test_it_asks_what_it_says_and_leaves_every_artefact(shown):
    _, found = shown
    # 96 items: baseline of all roles, two values steered at one strength on the test roles.
    assert found.sampled.answered == found.sampled.planned == 96 * (ROLES + STEERED + 2 * STEERED)
    run = found.run.path
    study = yaml.safe_load((run / "study.yaml").read_text())
    assert study["out"] == "." and study["scoring"] == {"mode": "generate"}
    assert (run / "graph" / "graph.json").is_file() and (run / "graph" / "all_roles.png").is_file()
    assert pl.read_parquet(run / "effects" / "planted.parquet").equals(found.effects_truth)
    assert pl.read_parquet(run / "scores" / "one_word.parquet")["word"].null_count() == 0


def test_every_file_and_column_has_its_entry_in_the_data_dictionary(shown):
    _, found = shown
    check = Check("demo", "run", "scores", "graph", "effects", "comparison")
    check.look(found.run.path)
    assert not check.faults
    assert not [entry for entry in check.unseen() if entry.startswith("effects/planted")]


def test_steering_moves_what_was_planted_with_its_sign(shown, planted):
    _, found = shown
    assert set(found.effects_truth["steered"]) == {"Security", "Power"}
    assert found.effects_truth.height == 2 * len(planted.names)
    total = total_effects(found.effects_truth)
    strong = total.filter(pl.col("planted").abs() >= 0.5)
    assert (strong["planted"].sign() == strong["measured"].sign()).all()
    found_agreement = agreement(found.effects_truth)
    assert found_agreement.correlation > 0.9 and 0.6 < found_agreement.ratio < 1.6


def test_text_shows_truth_features_and_files(shown, planted):
    _, found = shown
    text = demo_text(found)
    assert "SHD" in text and str(found.study_file) in text
    assert f"Security (f{planted.features['Security']})" in text
    for i, j in planted.graph.directed_edges():
        a, b = planted.names[min(i, j)], planted.names[max(i, j)]
        line = next(line for line in text.splitlines() if line.startswith(f"{a} · {b} "))
        assert ("→" if i < j else "←") in line
    assert "Fewer than 6 roles" in text


def test_text_shows_what_steering_adds_to_the_roles(shown):
    _, found = shown
    text = demo_text(found)
    assert "By the roles alone: " in text and "alone" in text and "Total effects by the graph" in text
    assert found.totals_truth.equals(
        pl.read_parquet(found.run.path / "graph" / "planted_total_effects.parquet")
    )
    assert found.truth == found.planted.dag
    assert max(len(line) for line in text.split("Effects of steering")[0].splitlines()) <= 95


def test_a_demonstration_as_a_pilot_advises_what_to_ask(shown):
    _, found = shown
    advice = advise_run(found.run, 3000)
    assert {"Conformity", "Benevolence", "Stimulation"} <= set(advice.without_lever)
    text = advice_text(advice)
    assert "training roles" in text and max(map(len, text.splitlines())) <= 80


def test_same_directory_goes_on_and_other_answers_are_refused(shown, tmp_path):
    settings, found = shown
    run = tmp_path / "run"
    shutil.copytree(found.run.path, run)
    again = demo(settings, run, jobs=1)
    assert again.sampled.answered == 0
    assert again.effects_truth.equals(found.effects_truth)
    more = demo(replace(settings, roles=ROLES + 2, strengths=(2.0, -2.0)), run, jobs=1)
    assert more.sampled.answered == 96 * (2 + 2 * STEERED)
    before = (run / "study.yaml").read_bytes()
    with pytest.raises(InputError, match=r"scoring\.mode"):
        demo(DemoSettings(mode="logprob", roles=ROLES, steered_roles=STEERED), run, jobs=1)
    assert (run / "study.yaml").read_bytes() == before


def test_a_first_start_that_is_refused_leaves_no_study(tmp_path, monkeypatch):
    def refuse(study, run):
        raise InputError("study", "something else", "this", "Change it.")

    monkeypatch.setattr("axiograph.cluster.demonstration.prepare", refuse)
    with pytest.raises(InputError, match="something else"):
        demo(DemoSettings(), tmp_path / "run", jobs=1)
    assert not (tmp_path / "run" / "study.yaml").exists()


@pytest.mark.slow
def test_logprob_mode_runs_too(tmp_path):
    settings = DemoSettings(
        mode="logprob", roles=20, strengths=(2.0,), steered_roles=2, steered=("Power",), replicates=5
    )
    found = demo(settings, tmp_path / "run", jobs=1)
    total = total_effects(found.effects_truth)
    own = total.filter(pl.col("value") == "Power")
    assert own["measured"][0] > 0.5 and own["planted"][0] == pytest.approx(1.0)


def test_a_directory_that_holds_only_the_study_is_one_to_go_on_with(tmp_path):
    (tmp_path / "study.yaml").write_text("left by a demonstration that was stopped in its first second\n")
    assert create_run(tmp_path).path == tmp_path


def test_planted_values_are_those_of_the_options(planted):
    fields = list(planted.loadings)
    options = [next(iter(planted.loadings[field])) for field in fields]
    text = "; ".join(f"{field}: {option}" for field, option in zip(fields, options, strict=True))
    terms = sum(planted.loadings[field][option] for field, option in zip(fields, options, strict=True))
    # V solves V = B V + E with E the scaled terms.
    value = planted.values([text])[0]
    weights = np.eye(len(planted.names)) - np.linalg.inv(planted.total)
    assert value == pytest.approx(weights @ value + planted.noise_sd * terms)
    with pytest.raises(InputError, match="Home: moon"):
        planted.values(["Home: moon"])


def test_truth_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"truth\.json"):
        Planted.load(tmp_path)


def test_planted_effects_by_hand(planted):
    names = planted.names
    values = np.random.default_rng(0).normal(size=(50, len(names)))
    baseline = pl.DataFrame(
        {"role": [f"r{i}" for i in range(50)]} | dict(zip(names, 0.5 * values.T, strict=True))
    )
    place = names.index("Security")
    shift = planted.shift_per_strength * 2 * planted.total[:, place]
    rows = {"condition": "c", "value": list(names), "mean_difference": 0.4 * shift, "p_adjusted": 0.01}
    changes = pl.DataFrame(rows | {"changed": [True] * 8})
    table = planted_effects(planted, changes, {"c": ("Security", 2.0)}, baseline, values)
    assert table["planted"].to_numpy() == pytest.approx(shift)
    assert table["measured"].to_numpy() == pytest.approx(0.8 * shift)  # 0.4 of scores that rise by 0.5
    found = agreement(table)
    assert (found.cells, found.ratio) == (8, pytest.approx(0.8))
    assert found.moved == found.hits == int((shift != 0).sum())
    assert found.still == found.alarms == 8 - found.moved
    assert found.still_largest == pytest.approx(0.0)
    totals = total_effects(table)
    assert totals["planted"].to_numpy() == pytest.approx(planted.total[:, place])
    assert totals["measured"].to_numpy() == pytest.approx(0.8 * planted.total[:, place])


def test_over_names_gives_values_left_out_no_edge():
    graph = CausalGraph.from_edges(["b", "a"], [("b", "a")])
    wide = over_names(graph, ["a", "b", "c"])
    assert wide == CausalGraph.from_edges(["a", "b", "c"], [("b", "a")])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--strengths", "0"], ["--strengths", "not all 0"]),
        (["--strengths", "two"], ["--strengths", "'two'"]),
        (["--strengths", "2,2"], ["--strengths", "different"]),
        (["--roles", "5"], ["--roles", "20 or more"]),
    ],
)
def test_demo_says_what_is_wrong(axiograph, tmp_path, arguments, words):
    code, _, err = axiograph("demo", *arguments, "--out", tmp_path / "run")
    assert code == 2
    assert all(word in err for word in words) and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_noise_was_measured_on_the_shipped_model():
    digest = hashlib.sha256((ASSETS / "model" / "model.safetensors").read_bytes()).hexdigest()
    known = json.loads(NOISE_FILE.read_text())["model_sha256"]
    assert known == digest, "run examples/respondent/item_noise.py again: the model has changed"
    assert load_noise().slope > 1


def test_calibrate_writes_and_prints(axiograph, study_assets, tmp_path):
    generate = [{"fields": str(study_assets / "fields.yaml"), "n": 30}]
    study = studies.write(tmp_path, study_assets, roles={"generate": generate}, discovery={"replicates": 10})
    code, out, err = axiograph("calibrate", study, "--graphs", "3", "--jobs", "1")
    assert code == 0, err
    assert "Recommendation" in out and "3 values, 4 items each, 25 training" in out
    folder = tmp_path / "run" / "calibration"
    assert (folder / "calibration.json").is_file() and (folder / "calibration.png").is_file()
    # A run may start in the directory that its calibration was written into.
    assert create_run(tmp_path / "run").path == tmp_path / "run"
    code, _, err = axiograph("calibrate", study, "--graphs", "2", "--jobs", "1", "--out", tmp_path / "else")
    assert code == 0 and (tmp_path / "else" / "calibration.json").is_file()


def test_calibrate_refuses_pooled_rows_and_a_missing_study(axiograph, study_assets, tmp_path):
    pooled = studies.write(tmp_path, study_assets, discovery={"rows": "pooled"})
    code, _, err = axiograph("calibrate", pooled)
    assert code == 2 and "discovery.rows" in err
    code, _, err = axiograph("calibrate", tmp_path / "nothing.yaml")
    assert code == 2 and "nothing.yaml" in err


def test_design_is_what_the_study_asks(study_assets, tmp_path):
    changes = {
        "split": {"roles": 0.8, "items": 0.5},
        "sampling": {"method": "sample", "temperature": 0.7, "top_p": 0.9, "repeats": 2},
        "scoring": {"mode": "generate"},
        "discovery": {"correction": "repeats", "alpha": 0.02},
        "hints": [],
    }
    study = load_study(studies.write(tmp_path, study_assets, **changes))
    inputs = load_inputs(study)
    design, analysis = design_of(inputs), analysis_of(study)
    assert (design.train_roles, design.test_roles) == (20, 5)  # 24 and "no role", which trains
    assert sum(design.asked_train) == sum(design.asked_test) == 6
    assert not any(a and b for a, b in zip(design.asked_train, design.asked_test, strict=True))
    assert (design.temperature, design.top_p, design.repeats) == (0.7, 0.9, 2)
    # Two features at strengths 0 and 40: the first is the baseline.
    assert (design.conditions, design.effect_roles) == (2, {"train": 0, "test": 5})
    assert (analysis.parts, analysis.discovery.alpha) == ("repeat", 0.02)
    assert calibration_notes(inputs, design) == []


def test_notes_say_what_is_not_simulated(study_assets, tmp_path):
    known = {"knowledge": {"forbidden": [["Joy", "Order"]]}}
    study = load_study(studies.write(tmp_path, study_assets, steering=[], hints=[], discovery=known))
    inputs = load_inputs(study)
    notes = " ".join(calibration_notes(inputs, design_of(inputs)))
    assert "steers nothing" in notes and "background knowledge" in notes
