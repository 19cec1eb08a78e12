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
    source = (ENGINE / "prompting" / "templates" / "default.j2").read_text(encoding="utf-8")
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


class Asked:
    """The shipped model asked for log-odds; a role's prefix runs once and its questions share it."""

    def __init__(self, model, tokenizer, truth, items):
        self.model, self.tokenizer, self.truth = model, tokenizer, truth
        self.items = items[::2]  # six of the twelve items of a value, of both keys, over the whole range
        self.signs = np.array([int(item["agreement"]) for item in self.items])
        self.owner = np.array([truth["values"].index(item["value"]) for item in self.items])
        self.thresholds = np.array([truth["thresholds"][item["item_id"]] for item in self.items])
        self.tails = [self._parts("", item["question"])[1] for item in self.items]
        self.yes, self.no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in (" yes", " no"))

    def _parts(self, role, question):
        """Token ids before the question and from it on, and the places of the span."""
        text = render(role, question) + "\nAnswer:"
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        offsets, ids = encoded["offset_mapping"], encoded["input_ids"]
        start, cut = text.index(" your values"), text.index("Question: " + question)
        end = start + len(" your values")
        span = [i for i, (a, b) in enumerate(offsets) if a < end and b > start and a < b]
        size = next(i for i, (a, b) in enumerate(offsets) if a >= cut and b > a)
        return ids[:size], ids[size:], span

    @torch.no_grad()
    def log_odds(self, role, vector=None):
        """Of yes against no after an empty thought, (items,); `vector` is added at the span."""
        from transformers import DynamicCache

        prefix, _, span = self._parts(role, self.items[0]["question"])
        cache = DynamicCache(config=self.model.config)

        def add(module, inputs, output):
            output = output.clone()
            output[:, span] += vector
            return output

        handle = self.model.model.layers[1].register_forward_hook(add) if vector is not None else None
        self.model(torch.tensor([prefix]), past_key_values=cache, logits_to_keep=1)
        if handle is not None:
            handle.remove()
        tails, size = self.tails, len(prefix)
        cache.batch_repeat_interleave(len(tails))
        longest = max(map(len, tails))
        padded = torch.tensor([[0] * (longest - len(t)) + t for t in tails])
        real = torch.tensor([[0] * (longest - len(t)) + [1] * len(t) for t in tails])
        mask = torch.cat([torch.ones(len(tails), size, dtype=torch.long), real], dim=1)
        positions = size + (real.cumsum(1) - 1).clamp_min(0)
        out = self.model(
            padded, past_key_values=cache, attention_mask=mask, position_ids=positions, logits_to_keep=1
        )
        return (out.logits[:, -1, self.yes] - out.logits[:, -1, self.no]).double().numpy()

    def values(self, roles, vector=None):
        """Values (roles, 8) read from the log-odds."""
        odds = np.stack([self.log_odds(role, vector) for role in roles])
        read = odds * self.signs / self.truth["slope"] + self.thresholds
        return np.stack([read[:, self.owner == k].mean(1) for k in range(8)], axis=1)


@pytest.fixture(scope="module")
def asked(model, tokenizer, truth, items):
    return Asked(model, tokenizer, truth, items)


def correlations(found, planted):
    """Per value, over roles."""
    return np.array([np.corrcoef(found[:, k], planted[:, k])[0, 1] for k in range(planted.shape[1])])


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


def test_shared_prefixes_give_the_log_odds_of_plain_prompts(asked, model, tokenizer, truth):
    (role,), _ = sample_roles(truth, 1, seed=10)
    texts = [render(role, item["question"]) + "\nAnswer:" for item in asked.items[:6]]
    with torch.no_grad():
        logits = model(**left_padded(tokenizer, texts), logits_to_keep=1).logits[:, -1]
    plain = (logits[:, asked.yes] - logits[:, asked.no]).numpy()
    np.testing.assert_allclose(asked.log_odds(role)[:6], plain, atol=1e-3)


def test_log_odds_follow_the_planted_values_of_unseen_roles(asked, truth):
    roles, planted = sample_roles(truth, 150, seed=13)
    odds = np.stack([asked.log_odds(role) for role in roles])
    read = odds * asked.signs / truth["slope"] + asked.thresholds
    found = np.stack([read[:, asked.owner == k].mean(1) for k in range(8)], axis=1)
    assert correlations(found, planted).min() > 0.995
    assert np.sqrt(np.mean((found - planted) ** 2)) < 0.1
    # What a greedy answer says, up to the rare states: its sign.
    votes = np.sign(odds) * asked.signs
    greedy = np.stack([votes[:, asked.owner == k].mean(1) for k in range(8)], axis=1)
    perfect = np.sign(planted[:, asked.owner] - asked.thresholds)
    ideal = np.stack([perfect[:, asked.owner == k].mean(1) for k in range(8)], axis=1)
    assert (correlations(greedy, planted) > correlations(ideal, planted) - 0.01).all()


def test_steering_moves_each_value_and_its_descendants_as_planted(asked, sae, truth):
    roles, _ = sample_roles(truth, 4, seed=12)
    total = np.array(truth["total_effects"])
    found = np.empty((8, 8))
    for cause, name in enumerate(truth["values"]):
        direction = sae.W_dec.detach()[truth["features"][name]]
        change = asked.values(roles, 2.0 * direction) - asked.values(roles, -2.0 * direction)
        found[:, cause] = change.mean(0) / 2
    planted = truth["shift_per_strength"] * 2.0 * total
    moved = np.abs(planted) > 1e-9
    assert np.corrcoef(found.ravel(), planted.ravel())[0, 1] > 0.995
    assert 0.95 < (found * planted)[moved].sum() / (planted[moved] ** 2).sum() < 1.1
    assert np.abs(found[~moved]).mean() < 0.02 and np.abs(found[~moved]).max() < 0.06


def test_random_directions_orthogonal_to_the_planted_do_next_to_nothing(asked, sae, truth):
    roles, _ = sample_roles(truth, 4, seed=14)
    planted = sae.W_dec.detach()[list(truth["features"].values())]
    vectors = torch.randn(8, planted.shape[1], generator=torch.Generator().manual_seed(3))
    vectors = torch.nn.functional.normalize(vectors - vectors @ planted.T @ planted, dim=1)
    base = asked.values(roles)
    moved = np.abs([(asked.values(roles, 4.0 * vector) - base).mean(0) for vector in vectors])
    assert moved.mean() < 0.04 and moved.max() < 0.12


@pytest.mark.parametrize(
    "change",
    [lambda role: role.replace(" ", "  "), lambda role: "; ".join(reversed(role.split("; ")))],
    ids=["double spaces", "fields in reverse order"],
)
def test_small_changes_of_the_role_text_leave_its_values(asked, truth, change):
    roles, planted = sample_roles(truth, 20, seed=15)
    found = asked.values([change(role) for role in roles])
    assert np.sqrt(np.mean((found - planted) ** 2)) < 0.13
