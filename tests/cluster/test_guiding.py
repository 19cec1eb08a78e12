"""The command `guide` on a small run of the built-in respondent, through the real engine."""

import json

import polars as pl
import pytest
import yaml

from cluster.executor import InProcessExecutor
from cluster.guide_judges import find_judges
from cluster.guide_levers import kinds_of, run_levers
from cluster.guide_text import guide_text, judged_text
from cluster.guide_validating import validate
from cluster.guiding import GuideRequest, guide
from cluster.preparation import prepare
from cluster.sampling import sample
from cluster.stages import discover_graph, score
from discovery.guide_levers import LeverKind
from discovery.planted import ASSETS, Planted
from engine.conditions import expand_conditions
from engine.errors import InputError
from engine.run_dir import create_run, open_run
from engine.study import EffectsSpec, load_study, parse_study

TRAIN, STEERED = 16, 8
VALUES = ["Power", "Achievement"]


def study_data(**changes):
    fields = str(ASSETS / "role_fields.yaml")
    operation = {
        "sae": {"path": str(ASSETS / "sae")},
        "features": [Planted.load().features[value] for value in VALUES],
        "strengths": [-3, 3],
    }
    data = {
        "schema": 1,
        "name": "guided",
        "model": {"path": str(ASSETS / "model"), "dtype": "float32", "device": "cpu", "backend": "hf"},
        "questionnaires": [str(ASSETS / "questionnaire.csv")],
        "values": VALUES,
        "roles": {
            "generate": [
                {"fields": fields, "n": TRAIN, "seed": 1, "split": "train"},
                {"fields": fields, "n": STEERED, "seed": 2, "split": "test"},
            ],
            "no_role": False,
        },
        "hints": [{"value": "Power", "inclination": "inclined"}],
        "steering": [{"operations": [operation]}],
        "steer_roles": "test",
        "sampling": {"max_tokens": 40, "batch_size": 96},
        "split": {"items": 0.5, "seed": 3},
        "discovery": {"replicates": 20, "alpha": 0.2},
        "out": "run",
    }
    return data | changes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guiding")
    study = parse_study(study_data(), "study", folder)
    directory = create_run(study.out)
    prepared = prepare(study, directory)
    sample(prepared, directory, InProcessExecutor(prepared.make_worker))
    score(directory)
    discover_graph(directory, study, 1)
    return directory


@pytest.fixture(scope="module")
def judged(run):
    request = GuideRequest(raised=("Power=0.3",), held=("Achievement",), top=1, judges=6, tolerance=0.5)
    found = guide(run, request, None)
    return found, *validate(found)


def test_roles_and_items_of_the_judges_had_no_part_in_choosing(judged, run):
    found, sampled, _ = judged
    inputs = run.inputs()
    assert found.chosen.part == "test" and len(found.judges.roles) == 6
    assert not {role.text for role in found.judges.roles} & {role.text for role in inputs.roles}
    asked = {i.item_id for role in inputs.roles[TRAIN:] for i in inputs.items_for(role)}
    assert found.judges.new_items and not {item.item_id for item in found.judges.items} & asked
    assert found.judges.ratio == 1.0
    validation = open_run(found.folder / "validation").inputs()
    roles = {role.name for role in found.judges.roles}
    assert roles <= {role.name for role in validation.roles}
    assert {item.item_id for item in validation.items} == {item.item_id for item in found.judges.items}
    assert sampled.answered == sampled.planned


def test_predictions_have_the_right_sign_and_are_judged(judged):
    found, _, result = judged
    rank = next(r for r, p in enumerate(found.proposals, start=1) if p.kind is LeverKind.SAE)
    assert found.proposals[rank - 1].prediction.mean[0] == pytest.approx(0.3, abs=0.03)
    own = result.predictions.filter((pl.col("proposal") == rank) & (pl.col("value") == "Power"))
    assert own["measured"].item() > 0.1 and own["roles"].item() == 6
    assert result.coverage()[1] == 2 * len(found.proposals)


def test_everything_is_written_and_said(judged):
    found, _, result = judged
    names = {path.name for path in found.folder.iterdir()}
    for name in ("proposals.json", "proposals.csv", "judged.csv", "comparison.parquet", "calibration.png"):
        assert name in names
    document = json.loads((found.folder / "proposals.json").read_text())
    assert document["judges"] == {
        "roles": 6,
        "source": "new roles of the study's generators",
        "items": 12,
        "other_items": True,
    }
    text = guide_text(found) + judged_text(found, result)
    for words in ("raise Power by 0.3 points", "hold Achievement", "intervals", "guided against unguided"):
        assert words in text
    assert "other items" in text and "f112" in text


def test_the_study_of_a_proposal_is_one_that_runs(judged, tmp_path):
    found, _, _ = judged
    rank = next(r for r, p in enumerate(found.proposals, start=1) if p.kind is LeverKind.SAE)
    path = found.folder / f"proposal-{rank}.yaml"
    study = load_study(path)
    names = [condition.name for condition in expand_conditions(study)]
    assert found.trials[rank].condition(found.chosen.levers) in names
    assert study.out == (found.folder / f"proposal-{rank}").resolve()
    prepared = prepare(study, create_run(tmp_path / "run"))
    conditions = 1 + len({*found.trials, *found.unguided} & {rank}) + (rank in found.unguided)
    assert len(prepared.plan) == len(prepared.inputs.roles) * len(found.judges.items) * conditions
    written = yaml.safe_load(path.read_text())["steering"][0]["operations"]
    assert {(op["features"][0], op["strengths"][0]) for op in written} == {
        (int(name[1:]), strength) for name, strength in found.proposals[rank - 1].settings.items()
    }


def test_the_same_command_asks_nothing_twice(judged):
    found, _, before = judged
    sampled, again = validate(found)
    assert sampled.answered == 0 and again.predictions.equals(before.predictions)


def test_the_command_line_says_what_is_wrong(axiograph, run):
    code, _, err = axiograph("guide", run.path, "--raise", "Pwer")
    assert code == 2 and "did you mean 'Power'" in err and "Traceback" not in err
    code, _, err = axiograph("guide", run.path, "--raise", "Power", "--hold", "Power")
    assert code == 2 and "moved and held" in err
    code, _, err = axiograph("guide", run.path, "--raise", "Power", "--without", "f999")
    assert code == 2 and "--without f999" in err
    both = "f112,f424"
    code, _, err = axiograph("guide", run.path, "--raise", "Power", "--method", "sae", "--without", both)
    assert code == 2 and "Measure next" in err
    code, _, err = axiograph("guide", run.path, "--raise", "Power", "--keep-reference")
    assert code == 2 and "--reference" in err


def test_roles_alone_can_be_proposed(axiograph, run, tmp_path):
    out = tmp_path / "out"
    code, text, err = axiograph("guide", run.path, "--raise", "Power", "--method", "role", "--out", out)
    assert code == 0, err
    assert "2-role-000" in text and (out / "proposal-1.yaml").is_file()
    assert load_study(out / "proposal-1.yaml").steering == ()


def test_a_reference_graph_is_compared_and_kept_to(axiograph, run, tmp_path):
    reference = tmp_path / "human.csv"
    reference.write_text("Achievement,Power\n")
    code, text, err = axiograph(
        "guide", run.path, "--raise", "Power=0.2", "--reference", reference, "--keep-reference",
        "--tolerance", "0.6", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    assert "Held for the reference graph: Achievement" in text and "SHD" in text


def test_features_of_one_operation_are_sweeps_and_the_rest_switches(tmp_path):
    operation = study_data()["steering"][0]["operations"][0]
    out = {**operation, "kind": "project_out", "features": [7]}
    del out["strengths"]
    pair = [
        operation | {"features": [112], "strengths": [2]},
        operation | {"features": [424], "strengths": [-1]},
    ]
    controls = operation | {"features": [5], "controls": {"directions": 1}}
    steering = [{"operations": ops} for ops in ([operation], [out], pair, [controls])]
    study = parse_study(study_data(steering=steering), "study", tmp_path)
    conditions = expand_conditions(study)
    answers = pl.DataFrame(
        [(f"r{i}", c.name, 10, 9 if c.name == "f424:+3" else 0, 0) for i in range(9) for c in conditions],
        schema=["role", "condition", "answers", "refused", "unparsed"],
        orient="row",
    )
    found = run_levers(conditions, answers, EffectsSpec())
    levers = {lever.name: lever for lever in found.levers}
    assert set(levers) == {"f112", "f424", "f5", "f7:out", "f112:+2 & f424:-1", "hint inclined:Power"}
    assert (levers["f112"].low, levers["f112"].high) == (-3.0, 3.0)
    # All answers are refused at +3: that side is closed, and no control is a lever.
    assert (levers["f424"].high, levers["f424"].breaks) == (0.0, (None, 3.0))
    assert levers["f7:out"].switch and levers["f7:out"].solo
    assert levers["hint inclined:Power"].kind is LeverKind.HINT
    assert [p.label for p in found.steering({"f112": 1.25, "f424": -0.5})] == ["f112:+1.25", "f424:-0.5"]
    assert found.broken == ("f424:+3",)


def test_judges_are_the_test_roles_where_training_roles_choose(tmp_path):
    from engine.inputs import load_inputs

    inputs = load_inputs(parse_study(study_data(), "study", tmp_path))
    found = find_judges(inputs, "train", 5, None)
    assert [role.name for role in found.roles] == [f"2-role-000{i}" for i in range(1, 6)]
    assert {inputs.item_split[item.item_id] for item in found.items} == {"test"}
    roles = tmp_path / "roles.json"
    roles.write_text(json.dumps({"Ann": "Age: young", "Ben": inputs.roles[0].text}))
    with pytest.raises(InputError, match="1 of the run's own, such as 'Ben'"):
        find_judges(inputs, "test", 5, roles)
    roles.write_text(json.dumps({"Ann": "Age: young"}))
    assert [role.name for role in find_judges(inputs, "test", 5, roles).roles] == ["Ann"]


def test_without_other_roles_it_says_so(tmp_path):
    from engine.inputs import load_inputs

    players = tmp_path / "players.json"
    players.write_text(json.dumps({"Ann": "Age: young", "Ben": "Age: teenage"}))
    roles = {"files": [{"path": str(players), "split": "train"}], "no_role": False}
    inputs = load_inputs(parse_study(study_data(roles=roles), "study", tmp_path))
    with pytest.raises(InputError, match="--judges"):
        find_judges(inputs, "train", 5, None)


def test_methods():
    assert kinds_of("any") == set(LeverKind) and kinds_of("hint") == {LeverKind.HINT}
