"""`axiograph direction`: from a contrast to a file that studies steer along."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.numpy import load_file

import axiograph as ax
from axiograph.cluster.contrasts.prompts import contrast_prompts, labels, readings
from axiograph.cluster.sampling.preparation import prepare_unsteered
from axiograph.discovery.calibration.respondent import ASSETS, Planted
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.contrasts import parse_contrast
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.roles import generate_roles, load_role_fields
from axiograph.engine.workers.models import load_model, load_tokenizer, resolve_model
from axiograph.steering.directions.provenance import read_provenance
from tests import studies

CALM = ["calm and mild", "a quiet nurse", "slow to anger"]
WILD = ["wild and loud", "a fiery judge"]
SMALL = {"name": "calm", "layers": [1, 0], "span": "last", "positive": CALM, "negative": WILD}
MANY = SMALL | {"positive": [f"calm {i}" for i in range(12)], "negative": [f"wild {i}" for i in range(13)]}


def study_at(folder, assets, **changes):
    return load_study(studies.write(folder, assets, **({"hints": []} | changes)))


def asked(study, **contrast):
    prepared = prepare_unsteered(study, create_run(study.out))
    spec = parse_contrast(contrast, "contrast")
    prompts = contrast_prompts(prepared, spec)
    return prepared, prompts, readings(prepared, spec, prompts, 512)


def test_the_direction_is_the_difference_of_plain_means(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    questions = ["Do you like it?", "Is it good?"]
    made = ax.direction(study, SMALL | {"questions": questions})
    source = resolve_model(study.model)
    model, tokenizer = load_model(source, "cpu"), load_tokenizer(source)
    template = (Path(ax.__file__).parent / "engine/prompting/templates/default.j2").read_text()
    head = template.partition("{% if role %}")[0].replace('{{ " your values" | span }}', " your values")
    last: dict[str, list[torch.Tensor]] = {"calm": [], "wild": []}
    for side, texts in (("calm", CALM), ("wild", WILD)):
        for text in texts:
            for question in questions:
                prompt = f"{head}The person: {text}\nQuestion: {question}\nThought:"
                ids = tokenizer(prompt, return_tensors="pt").input_ids
                with torch.inference_mode():
                    states = model(input_ids=ids, output_hidden_states=True).hidden_states
                last[side].append(torch.stack([states[1][0, -1], states[2][0, -1]]).double())
    by_hand = torch.stack(last["calm"]).mean(0) - torch.stack(last["wild"]).mean(0)
    vectors = load_file(made.path)
    for key, vector in zip(("resid_post.0", "resid_post.1"), by_hand, strict=True):
        assert vectors[key] == pytest.approx(vector.numpy(), abs=2e-5)
    assert made.table["norm"].to_list() == pytest.approx(by_hand.norm(dim=1).tolist(), rel=1e-4)
    rows = torch.stack(last["calm"] + last["wild"]).norm(dim=-1)
    median = rows.quantile(0.5, dim=0).tolist()
    assert made.table["residual_norm"].to_list() == pytest.approx(median, rel=1e-4)
    assert made.table["auc"].to_list() == [None, None]
    assert "is not known" in made.text and "3 and 2 texts and 2 questions" in " ".join(made.text.split())


def test_neither_order_nor_batch_changes_it(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    one = load_file(ax.direction(study, MANY | {"questions": 6}).path)
    turned = MANY | {"positive": MANY["positive"][::-1], "negative": MANY["negative"][::-1], "questions": 6}
    two = load_file(ax.direction(study, turned, tmp_path / "two").path)
    assert all((one[key] == two[key]).all() for key in one)
    small = study.model_copy(update={"sampling": study.sampling.model_copy(update={"batch_size": 3})})
    three = load_file(ax.direction(small, turned, tmp_path / "three").path)
    assert all(one[key] == pytest.approx(three[key], abs=1e-5) for key in one)


def test_held_out_prompts_have_new_texts_and_new_questions(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    _, prompts, _ = asked(study, **MANY | {"questions": [f"Is it {i}?" for i in range(14)]})
    rows = labels(prompts)
    parts = [{"text": set(), "question": set()} for _ in range(2)]
    for text, question, later in zip(rows.text, rows.question, rows.held_out, strict=True):
        parts[int(later)]["text"].add(text)
        parts[int(later)]["question"].add(question)
    for name, numbers in (("text", (6 + 7, 6 + 6)), ("question", (8, 6))):
        assert not parts[0][name] & parts[1][name]
        assert (len(parts[0][name]), len(parts[1][name])) == numbers
    assert len(prompts) == 13 * 8 + 12 * 6  # every text with every question of its part


def test_pairs_are_held_out_together(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    pairs = [
        {"positive": {"hint": f"(be calm {i})"}, "negative": {"hint": f"(be wild {i})"}} for i in range(12)
    ]
    _, prompts, _ = asked(study, name="calm", layers=[0], span="last", pairs=pairs, questions=2)
    later = {a.text.hint for a in prompts if a.held_out}
    assert len(later) == 12 and {hint.replace("calm", "wild") for hint in later if "calm" in hint} < later


def test_questions_are_training_items(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets, split={"items": 0.5})
    prepared, prompts, _ = asked(study, **SMALL)
    used = {a.question.text for a in prompts}
    train = {i.question for i in prepared.inputs.items if prepared.inputs.item_split[i.item_id] == "train"}
    assert used == train and len(train) == 6


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ("last", "Thought:"),
        ("prompt", "{role}\nQuestion: Is it good?\nThought:"),
        ("prompt_span", " your values"),
    ],
)
def test_spans_are_the_tokens_that_they_name(study_assets, tmp_path, span, text):
    path = tmp_path / "late.j2"
    path.write_text("The person: {{ role }}\nQuestion: {{ question }}\nThought:{{ ' your values' | span }}.")
    changes = {"prompt": {"path": str(path)}} if span == "prompt_span" else {}
    study = study_at(tmp_path, study_assets, **changes)
    contrast = SMALL | {"span": span, "questions": ["Is it good?"], "positive": ["xa"], "negative": ["yb"]}
    prepared, prompts, found = asked(study, **contrast)
    tokenizer = prepared.builder.tokenizer
    for prompt, reading in zip(prompts, found, strict=True):
        wanted = text.format(role=prompt.text.role)
        read = tokenizer.decode([reading.ids[i] for i in reading.positions])
        assert read == wanted if span != "last" else wanted.endswith(read)
        assert max(reading.positions) == len(reading.ids) - 1


def test_answers_are_read_behind_the_prompt(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    pair = [
        {side: {"question": "Is it?", "answer": a} for side, a in (("positive", " yes"), ("negative", " no"))}
    ]
    prepared, prompts, found = asked(study, name="yes", layers=[1], span="answer", pairs=pair)
    tokenizer = prepared.builder.tokenizer
    for prompt, reading in zip(prompts, found, strict=True):
        assert tokenizer.decode([reading.ids[i] for i in reading.positions]) == prompt.text.answer
        assert tokenizer.decode(reading.ids).endswith(f"Question: Is it?\nThought:{prompt.text.answer}")


def test_whole_prompts_go_as_they_are(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    prompts = {"positive": [{"prompt": "I am {{ calm }}</s>"}], "negative": [{"prompt": "I am wild"}]}
    prepared, _, found = asked(study, **SMALL | prompts)
    assert {prepared.builder.tokenizer.decode(r.ids) for r in found} == {
        "<s>I am {{ calm }}</s>",
        "<s>I am wild",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"span": "prompt_span"}, "differ between the sides up to the tokens that are read"),
        ({"layers": [3]}, "layers from 0 to 2"),
        ({"positive": ["calm </s>"]}, "control token"),
        ({"positive": ["long " * 600]}, "at most 512 tokens"),
        (
            {"positive": [{"prompt": "a"}], "negative": [{"prompt": "b"}], "span": "prompt_span"},
            "marks a span",
        ),
    ],
)
def test_what_cannot_be_contrasted_is_said(study_assets, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        ax.direction(study_at(tmp_path, study_assets), SMALL | changes)


def test_a_template_that_shows_no_hint_takes_none(study_assets, tmp_path):
    path = tmp_path / "bare.j2"
    path.write_text("{{ role }} Keep{{ ' your values' | span }}. {{ question }}\nThought:")
    study = study_at(tmp_path, study_assets, prompt={"path": str(path)})
    with pytest.raises(InputError, match="the variable 'hint'"):
        ax.direction(study, SMALL | {"positive": [{"hint": "Be calm."}]})


def test_texts_that_are_too_few_are_said_to_be_all_that_is_told_apart(study_assets, tmp_path):
    contrast = SMALL | {"layers": [1], "questions": 12, "span": "prompt"}
    made = ax.direction(study_at(tmp_path, study_assets), contrast)
    said = " ".join(made.text.split())
    assert made.table["over"].to_list() == ["questions"] and made.table["auc"][0] > 0.9
    assert "told apart at questions that it was not made of (6 and 6 questions held out)" in said
    assert "take 12 or more a side" in said


def test_test_roles_in_a_contrast_are_noted(study_assets, tmp_path):
    study = study_at(tmp_path, study_assets)
    inputs = prepare_unsteered(study, create_run(study.out)).inputs
    test_role = next(r.text for r in inputs.roles if inputs.role_split[r.name] == "test")
    made = ax.direction(study, SMALL | {"positive": [*CALM, test_role], "questions": 2})
    assert "1 texts are test roles" in made.text
    assert "test roles" not in ax.direction(study, SMALL | {"questions": 2}).text


def test_from_the_command_to_a_steered_run(axiograph, study_assets, tmp_path):
    file, plain = tmp_path / "calm.yaml", studies.write(tmp_path, study_assets, hints=[])
    file.write_text(yaml.safe_dump(MANY | {"questions": 12}))
    code, out, err = axiograph("direction", plain, "--from", file)
    assert code == 0, err
    snippet = out.partition("in a study:\n\n")[2].partition("\n\nThe directions")[0]
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80
    made = ax.direction(load_study(plain), MANY | {"questions": 12})
    assert made.snippet == snippet
    provenance = read_provenance(made.path)
    assert provenance.prompts["fitting_positive"] == 6 * 6 and provenance.span == "last"
    assert provenance.scores["resid_post.0"]["auc"] == made.table["auc"][0]
    assert pl.read_parquet(made.path.with_suffix(".parquet")).equals(made.table)
    # What is printed steers, beside random directions of the same length; nothing has to be noted.
    steering = yaml.safe_load(snippet)["steering"]
    steering[0]["operations"][0]["controls"]["directions"] = 1
    study = studies.write(tmp_path, study_assets, hints=[], steering=steering)
    said = []
    ax.run(study, jobs=1, report=False, on_step=lambda step: said.append(str(step)))
    assert said and not any("was made" in text for text in said)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    key = steering[0]["operations"][0]["direction"]["key"]
    assert {f"calm.{key}:+2", f"calm.{key}~direction1:-1"} < set(manifest["identity"]["steering"])
    # Made again it is the same; another one under its name would leave answers that nothing explains.
    assert axiograph("direction", plain, "--from", file)[0] == 0
    file.write_text(yaml.safe_dump(SMALL))
    code, _, err = axiograph("direction", plain, "--from", file)
    assert code == 2 and "stored answers are steered along them" in err


def test_a_study_of_another_model_is_told(study_assets, tiny_model, tmp_path):
    made = ax.direction(study_at(tmp_path, study_assets), SMALL | {"questions": 2})
    operation = {
        "direction": {"path": str(made.path), "key": "resid_post.0"},
        "hook_point": {"layer": 0},
        "strengths": [1],
    }
    model = {"path": str(tiny_model("llama")), "dtype": "float32", "device": "cpu", "backend": "hf"}
    changes = {"steering": [{"operations": [operation]}], "out": str(tmp_path / "other")}
    notes = [
        ax.plan(study_at(tmp_path, study_assets, **changes, **extra), calibrate_s=0).notes
        for extra in ({}, {"model": model})
    ]
    assert not any("was made" in note for note in notes[0])
    assert any("was made on" in note and "not on the model of this study" in note for note in notes[1])


@pytest.fixture(scope="module")
def security():
    """Roles that are high and low on Security by the respondent's planted truth."""
    planted = Planted.load()
    roles = generate_roles(load_role_fields(ASSETS / "role_fields.yaml"), 300, 99)
    texts = [r.text for r in roles if not any(odd in r.text for odd in ("guarded", "moody", "dreamy"))]
    values = planted.values(texts)[:, planted.names.index("Security")]
    ordered = [texts[i] for i in np.argsort(values)]
    return ordered[-16:], ordered[:16]


def respondent(tmp_path, **changes):
    data = {
        "schema": 1,
        "name": "respondent",
        "model": {"path": str(ASSETS / "model"), "dtype": "float32", "device": "cpu", "backend": "hf"},
        "questionnaires": [str(ASSETS / "questionnaire.csv")],
        "values": ["Security", "Stimulation"],
        "roles": {
            "generate": [{"fields": str(ASSETS / "role_fields.yaml"), "n": 3, "seed": 5}],
            "no_role": False,
        },
        "scoring": {"mode": "logprob"},
        "out": str(tmp_path / "run"),
    }
    path = tmp_path / "respondent.yaml"
    path.write_text(yaml.safe_dump(data | changes))
    return path


def test_steering_along_a_contrast_raises_what_was_contrasted(security, tmp_path):
    high, low = security
    contrast = {
        "name": "security",
        "layers": [1],
        "span": "last",
        "positive": high,
        "negative": low,
        "questions": 4,
    }
    made = ax.direction(respondent(tmp_path), contrast)
    assert made.made.directions[0].separation.told_apart
    steering = yaml.safe_load(made.snippet)["steering"]
    steering[0]["operations"][0] |= {"strengths": [-1, 1], "controls": {"directions": 2}}
    run = ax.run(respondent(tmp_path, steering=steering), report=False)
    means = run.profiles.group_by("condition").agg(pl.col("Security", "Stimulation").mean())
    score = {name: (a, b) for name, a, b in means.iter_rows()}
    base, label = score["baseline"], "security.resid_post.1"
    # Security lowers Stimulation in the planted graph.
    assert score[f"{label}:+1"][0] - base[0] > 0.3 and score[f"{label}:-1"][0] - base[0] < -0.3
    assert score[f"{label}:+1"][1] - base[1] < -0.2 and score[f"{label}:-1"][1] - base[1] > 0.2
    random = [abs(s[0] - base[0]) for name, s in score.items() if "~direction" in name]
    assert len(random) == 4 and max(random) < 0.3


def test_sides_drawn_at_random_are_said_to_separate_nothing(security, tmp_path):
    mixed = np.random.default_rng(0).permutation(security[0] + security[1]).tolist()
    contrast = {
        "name": "mixed",
        "layers": [1],
        "span": "last",
        "positive": mixed[:16],
        "negative": mixed[16:],
    }
    made = ax.direction(respondent(tmp_path), contrast | {"questions": 4})
    assert made.made.directions[0].separation.told_apart is False
    assert "Nothing that it was not made of is told apart (6 and 6 texts held out)" in " ".join(
        made.text.split()
    )
