"""The shipped respondent: its files load with plain libraries and behave as the planted truth says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from jinja2 import Environment

ENGINE = Path(__file__).resolve().parents[2] / "engine"
ASSETS = ENGINE / "assets" / "respondent"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def truth():
    return json.loads((ASSETS / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def items():
    with (ASSETS / "questionnaire.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(ASSETS / "model")


@pytest.fixture(scope="module")
def model():
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(ASSETS / "model", dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def sae():
    from sae_lens import SAE

    return SAE.load_from_disk(ASSETS / "sae")


def render(role: str, question: str) -> str:
    environment = Environment()
    environment.filters["span"] = lambda text: text
    source = (ENGINE / "templates" / "default.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(role=role, hint="", question=question)


def sample_roles(truth, count, seed):
    """Role texts and planted values (count, 8)."""
    rng = np.random.default_rng(seed)
    texts, terms = [], []
    for _ in range(count):
        picks = {field: rng.choice(list(options)) for field, options in truth["loadings"].items()}
        texts.append("; ".join(f"{field}: {option}" for field, option in picks.items()))
        terms.append(sum(np.array(truth["loadings"][f][o]) for f, o in picks.items()))
    return texts, np.array(terms) * truth["noise_sd"] @ np.array(truth["total_effects"]).T


def left_padded(tokenizer, texts):
    tokenizer.padding_side = "left"
    return tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)


@torch.no_grad()
def log_odds(model, tokenizer, texts):
    """Of yes against no after an empty thought."""
    logits = model(**left_padded(tokenizer, [t + "\nAnswer:" for t in texts]), logits_to_keep=1).logits[:, -1]
    yes, no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in (" yes", " no"))
    return (logits[:, yes] - logits[:, no]).numpy()


def test_the_files_are_small_and_hold_no_pickle():
    files = [path for path in ASSETS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".csv", ".yaml", ".md", ".jinja"}
    assert (ASSETS / "model" / "model.safetensors").stat().st_size < 2_000_000
    assert sum(path.stat().st_size for path in files) < 8_000_000


def test_truth_is_a_standardised_acyclic_model(truth):
    weights, total = np.array(truth["weights"]), np.array(truth["total_effects"])
    size = len(truth["values"])
    assert not np.any(np.linalg.matrix_power(np.abs(weights), size)), "a cycle"
    np.testing.assert_allclose(total, np.linalg.inv(np.eye(size) - weights), atol=1e-12)
    np.testing.assert_allclose((total**2) @ np.array(truth["noise_sd"]) ** 2, 1.0, atol=1e-9)
    named = {
        (truth["values"].index(e["effect"]), truth["values"].index(e["cause"])): e["weight"]
        for e in truth["edges"]
    }
    assert len(named) == 9
    assert {(i, j): weights[i, j] for i, j in zip(*np.nonzero(weights), strict=True)} == named


def test_loadings_are_white_over_uniform_roles(truth):
    tables = [np.array(list(options.values())) for options in truth["loadings"].values()]
    for table in tables:
        np.testing.assert_allclose(table.mean(0), 0.0, atol=1e-5)
    covariance = sum(table.T @ table / len(table) for table in tables)
    np.testing.assert_allclose(covariance, np.eye(8), atol=1e-5)


def test_role_fields_and_items_match_the_truth(truth, items):
    fields = yaml.safe_load((ASSETS / "role_fields.yaml").read_text(encoding="utf-8"))
    assert {field: list(options) for field, options in truth["loadings"].items()} == fields
    assert list(fields) == list(truth["loadings"])
    assert [item["item_id"] for item in items] == list(truth["thresholds"])
    for value in truth["values"]:
        keys = [int(item["agreement"]) for item in items if item["value"] == value]
        assert len(keys) == 12 and sum(keys) == 0


def test_the_tokenizer_keeps_any_text_and_own_words_whole(tokenizer, items):
    odd = "Café — 你好, 🙂 x_1\tÅngström"
    assert tokenizer.decode(tokenizer(odd, add_special_tokens=False)["input_ids"]) == odd
    ids = tokenizer(render("", items[0]["question"]))["input_ids"]
    assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.eos_token_id not in ids and tokenizer.pad_token_id not in ids
    for item in items:
        words = item["question"].removesuffix("?").split()
        plain = [w for w in words if w.isalpha()]
        assert all(len(tokenizer(" " + w, add_special_tokens=False)["input_ids"]) == 1 for w in plain[1:])


def test_the_sae_holds_the_planted_directions(sae, truth):
    rows = sae.W_dec.detach()[list(truth["features"].values())]
    assert sae.cfg.metadata.hook_name == truth["hook_point"] == "blocks.1.hook_resid_post"
    assert sae.cfg.d_in == 128 and sae.cfg.d_sae >= 512 and sae.cfg.apply_b_dec_to_input
    torch.testing.assert_close(rows @ rows.T, torch.eye(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(sae.W_enc.detach()[:, list(truth["features"].values())].T, rows)
    others = [f for f in range(sae.cfg.d_sae) if f not in truth["features"].values()]
    assert float((sae.W_dec.detach()[others] @ rows.T).abs().max()) < 1e-4


def test_greedy_answers_follow_the_planted_values(model, tokenizer, truth, items):
    rng = np.random.default_rng(11)
    roles, values = sample_roles(truth, 40, seed=11)
    rows = []  # role, value, score
    for index, role in enumerate(roles):
        picked = [items[i] for i in rng.choice(len(items), size=12, replace=False)]
        batch = left_padded(tokenizer, [render(role, item["question"]) for item in picked])
        out = model.generate(**batch, do_sample=False, max_new_tokens=20)
        for item, ids in zip(picked, out[:, batch["input_ids"].shape[1] :], strict=True):
            answer = tokenizer.decode(ids, skip_special_tokens=True).rpartition("Answer: ")[2]
            sign = {"yes": 1, "no": -1, "unsure": 0}.get(answer)
            if sign is not None:
                k = truth["values"].index(item["value"])
                # A one-item estimate: the threshold, half a unit to the side that the answer points to.
                rows.append((index, k, truth["thresholds"][item["item_id"]], int(item["agreement"]) * sign))
    assert len(rows) > 0.96 * 40 * 12
    expected = [np.tanh(truth["slope"] / 2 * (values[i, k] - b)) for i, k, b, _ in rows]
    assert np.corrcoef(expected, [score for *_, score in rows])[0, 1] > 0.85


def test_steering_moves_the_value_and_its_descendants(model, tokenizer, sae, truth, items):
    roles, _ = sample_roles(truth, 2, seed=12)
    names = truth["values"]
    total = np.array(truth["total_effects"])
    chosen = [item for item in items if abs(truth["thresholds"][item["item_id"]]) < 0.8]
    texts = [render(role, item["question"]) for role in roles for item in chosen]
    signs = np.array([int(item["agreement"]) for _ in roles for item in chosen])
    owner = np.array([names.index(item["value"]) for _ in roles for item in chosen])
    # The span stands before the role: left padding shifts it from row to row.
    batch = left_padded(tokenizer, [t + "\nAnswer:" for t in texts])
    start = texts[0].index(" your values")
    plain = tokenizer(texts[0], return_offsets_mapping=True)["offset_mapping"]
    span = [i for i, (a, b) in enumerate(plain) if a < start + len(" your values") and b > start and a < b]
    pads = (batch["attention_mask"] == 0).sum(1)
    rows = torch.arange(len(texts))
    before = log_odds(model, tokenizer, texts)

    def steered(name, strength):
        vector = strength * sae.W_dec.detach()[truth["features"][name]]

        def add(module, inputs, output):
            output = output.clone()
            for position in span:
                output[rows, pads + position] += vector
            return output

        handle = model.model.layers[1].register_forward_hook(add)
        try:
            after = log_odds(model, tokenizer, texts)
        finally:
            handle.remove()
        change = signs * (after - before) / truth["slope"]
        return np.array([change[owner == k].mean() for k in range(len(names))])

    for name in ("Security", "Power"):
        cause = names.index(name)
        effect = (steered(name, 2.0) - steered(name, -2.0)) / 2
        planted = truth["shift_per_strength"] * 2.0 * total[:, cause]
        assert effect[cause] > 0.5
        assert np.corrcoef(effect, planted)[0, 1] > 0.9
