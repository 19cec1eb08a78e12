"""The command `guide` on a small run of the built-in respondent, through the real engine."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import yaml

from axiograph.cluster.guide.artefacts import write_guided
from axiograph.cluster.guide.evidence import _check_levers, asked_alike, gather_evidence
from axiograph.cluster.guide.judges import Judges, select_judges
from axiograph.cluster.guide.proposing import propose
from axiograph.cluster.guide.request import GuideRequest, Judging, Limits, WishTexts
from axiograph.cluster.guide.run_levers import RunLevers, kinds_of, run_levers
from axiograph.cluster.guide.validating import Asking, validate
from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.sampling.site import LocalSite
from axiograph.cluster.stages.discover import discover_graph
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.calibration.respondent import ASSETS, Planted
from axiograph.discovery.guide.levers import Lever, LeverKind
from axiograph.discovery.guide.model import Prediction
from axiograph.discovery.guide.proposal import Reliability
from axiograph.discovery.guide.roles import proposal_of
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.traits import traits_of
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.runs.run_dir import create_run, open_run
from axiograph.engine.study.conditions import expand_conditions
from axiograph.engine.study.loading import load_study, parse_study
from axiograph.engine.study.schema import EffectsSpec
from axiograph.texts.guide import guide_text, judged_text

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
        # Six items a value say little of other items: intervals that can be told from 0 are of 60 %.
        "effects": {"level": 0.4},
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
    discover_graph(directory, study.discovery)
    return directory


@pytest.fixture(scope="module")
def judged(run):
    wishes = WishTexts(raised=("Power=0.3",), held=("Achievement",), tolerance=0.5)
    found = propose(run, GuideRequest(wishes, judging=Judging(6), top=1))
    return found, *validate(found)


def test_roles_and_items_of_the_judges_had_no_part_in_choosing(judged, run):
    found, sampled, _ = judged
    inputs = run.inputs()
    assert found.evidence.part == "test" and len(found.judges.roles) == 6
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


def test_roles_that_were_asked_the_same_count_and_no_judge_does(run):
    evidence = gather_evidence(run, read_scores(run, "profiles"), Limits())
    inputs = run.inputs()
    nobody = Judges((), (), True, 1.0, "")
    # The items are split: only the roles of the choosing part were asked the same.
    assert asked_alike(run, evidence, nobody) == [role.name for role in inputs.roles[TRAIN:]]
    split = inputs.study.split.model_copy(update={"items": 1.0})
    whole = replace(inputs, study=inputs.study.model_copy(update={"split": split}))
    alike = asked_alike(run, replace(evidence, inputs=whole), replace(nobody, roles=inputs.roles[3:5]))
    assert alike == [role.name for role in (*inputs.roles[:3], *inputs.roles[5:])]


def test_everything_is_written_and_said(judged):
    found, _, result = judged
    names = {path.name for path in found.folder.iterdir()}
    for name in ("proposals.json", "proposals.csv", "judged.csv", "comparison.parquet", "calibration.png"):
        assert name in names
    assert pl.read_parquet(found.folder / "proposals.parquet").equals(found.table())
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
    assert found.trials[rank].condition(found.evidence.levers) in names
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


class Watched(LocalSite):
    """This process, which notes what it was asked for."""

    def __init__(self):
        self.prepared = []

    def prepare(self, study, run):
        self.prepared.append(run.path.name)
        return super().prepare(study, run)


def test_a_trait_is_judged_by_judges_who_are_given_it(judged, tmp_path):
    found, _, _ = judged
    prediction = Prediction(np.zeros((2, 2)), np.zeros(2), np.full(2, -2.0), np.full(2, 2.0))
    texts = [role.text for role in found.judges.roles]
    health = next(trait for trait in traits_of(texts[0]) if trait.field == "Health")
    proposal = proposal_of(
        LeverKind.TRAIT, health.name, prediction, found.search, Reliability(24, 5, sharing=5)
    )
    own = replace(found, folder=tmp_path, proposals=[proposal], trials={}, unguided={}, notes=[])
    write_guided(own)
    study = yaml.safe_load((tmp_path / "proposal-1.yaml").read_text())
    assert [file["split"] for file in study["roles"]["files"]] == ["train", "test"]
    copies = json.loads((tmp_path / "proposal-1-roles.json").read_text())
    lacking = [role for role in found.judges.roles if health not in traits_of(role.text)]
    assert list(copies) == [f"{role.name}, {health.name}" for role in lacking] and lacking
    assert all(health in traits_of(text) for text in copies.values())
    place = Watched()
    sampled, result = validate(own, Asking(place))
    assert place.prepared == ["validation-by-roles"]
    assert sampled.answered == sampled.planned == (6 + len(lacking)) * len(found.judges.items)
    assert result.predictions["roles"].to_list() == [len(lacking)] * 2
    # Each against itself: the mean of the differences, by hand.
    profiles = pl.read_parquet(tmp_path / "validation-by-roles" / "scores" / "profiles.parquet")
    scores = dict(zip(profiles["role"].cast(pl.String), profiles["Power"], strict=True))
    by_hand = [scores[f"{role.name}, {health.name}"] - scores[role.name] for role in lacking]
    measured = result.predictions.filter(value="Power")["measured"].item()
    assert measured == pytest.approx(sum(by_hand) / len(by_hand))
    assert "5 of 24 roles have it; predicted is what it does to the 5 judges" in guide_text(own)


def test_the_options_of_a_cluster_reach_the_validation(axiograph, run, tmp_path, monkeypatch):
    asked = []

    @contextmanager
    def site(*options):
        asked.append(options)
        yield LocalSite()

    monkeypatch.setattr("axiograph.api.guide.site", site)
    monkeypatch.setattr("axiograph.api.guide.ask_judges", lambda *given: asked.append(given) or given)
    monkeypatch.setattr("axiograph.api.guide.sampled_text", lambda sampled: "sampled")
    monkeypatch.setattr("axiograph.api.guide.judged_text", lambda guided, judged: "judged")
    out = tmp_path / "out"
    wish = ("guide", run.path, "--raise", "Power=0.3", "--top", "1", "--out", out)
    options = ("--validate", "--ray", "local", "--workers", "2", "--stall", "30", "--retry-failed")
    code, text, err = axiograph(*wish, *options)
    assert code == 0 and "sampled" in text, err
    assert asked[0] == ("local", 2, 30.0)
    assert isinstance(asked[1][1].site, LocalSite) and asked[1][1].retry_failed
    for option in (("--ray", "local"), ("--retry-failed",)):
        code, _, err = axiograph(*wish, *option)
        assert code == 2 and option[0] in err and "--validate" in err


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
    code, _, err = axiograph("guide", run.path, "--raise", "Power", "--max-strength", "1")
    assert code == 2 and "--max-strength 1: " in err and "found 3 as the smallest" in err


def test_a_method_that_was_not_tried_is_said_to_be_missing(axiograph, tmp_path):
    def check(text):
        levers = [Lever(name, LeverKind.SAE, ((1.0, name),), high=1.0) for name in text]
        _check_levers(RunLevers(tuple(levers), {}, ()), Limits(method="hint"))

    with pytest.raises(InputError, match=r"--method hint: .*a hint.*found f1, f2\. Add `hints`"):
        check(["f1", "f2"])
    with pytest.raises(InputError, match="found none"):
        check([])


def test_a_trait_is_shown_where_no_feature_will_do_but_no_role(judged, run, tmp_path, monkeypatch):
    found, _, _ = judged
    known = Prediction(np.zeros((2, 2)), np.array([0.3, 0.0]), np.zeros(2), np.zeros(2))
    moving = replace(known, mean=np.array([0.3, 0.9]))
    made = [
        proposal_of(kind, name, prediction, found.search, Reliability(9, 9, sharing=5))
        for kind, name, prediction in (
            (LeverKind.TRAIT, "Age: old", known),
            (LeverKind.TRAIT, "Age: young", moving),
            (LeverKind.ROLE, "Ann", known),
        )
    ]

    def refuse(search, count):
        raise InputError("it", "a feature", "none", "Measure next: more.")

    monkeypatch.setattr(Search, "proposals", refuse)
    monkeypatch.setattr("axiograph.cluster.guide.proposing._proposals_by_roles", lambda *given: made)
    wishes = WishTexts(raised=("Power=0.3",), held=("Achievement",))
    request = GuideRequest(wishes, judging=Judging(6))
    own = propose(run, request, tmp_path)
    # The other trait moves what is to be held.
    assert own.names() == {1: "Age: old"} and own.refused is not None
    assert "No feature or hint will do: it: expected a feature" in guide_text(own)
    made.pop(0)
    with pytest.raises(InputError, match="Measure next: more"):
        propose(run, request, tmp_path)


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
    inputs = load_inputs(parse_study(study_data(), "study", tmp_path))
    found = select_judges(inputs, "train", Judging(5))
    assert [role.name for role in found.roles] == [f"2-role-000{i}" for i in range(1, 6)]
    assert {inputs.item_split[item.item_id] for item in found.items} == {"test"}
    roles = tmp_path / "roles.json"
    roles.write_text(json.dumps({"Ann": "Age: young", "Ben": inputs.roles[0].text}))
    with pytest.raises(InputError, match="1 of the run's own, such as 'Ben'"):
        select_judges(inputs, "test", Judging(5, roles))
    roles.write_text(json.dumps({"Ann": "Age: young"}))
    assert [role.name for role in select_judges(inputs, "test", Judging(5, roles)).roles] == ["Ann"]


def test_without_other_roles_it_says_so(tmp_path):
    players = tmp_path / "players.json"
    players.write_text(json.dumps({"Ann": "Age: young", "Ben": "Age: teenage"}))
    roles = {"files": [{"path": str(players), "split": "train"}], "no_role": False}
    inputs = load_inputs(parse_study(study_data(roles=roles), "study", tmp_path))
    with pytest.raises(InputError, match="--judges"):
        select_judges(inputs, "train", Judging(5))


def test_methods():
    assert kinds_of("any") == set(LeverKind) and kinds_of("hint") == {LeverKind.HINT}
    assert kinds_of("role") == {LeverKind.ROLE, LeverKind.TRAIT}
