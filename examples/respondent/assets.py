"""Writes the respondent's shipped files: model, tokenizer, SAE, questionnaire, role fields, truth."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml
from batches import Batches
from items import VALUES
from net import MAX_POSITIONS, Respondent, config_fields
from sae import activations, planted_features, save_sae, train_sae
from text import BOS, EOS, PAD, SPECIALS
from tokenizers import Tokenizer
from world import (
    BABBLER,
    EDGES,
    FIELDS,
    HESITANT,
    HINT_SHIFT,
    REFUSER,
    REVERSIBLE,
    SHIFT_PER_STRENGTH,
    SLOPE,
    STEER_LAYER,
    World,
)  # fmt: skip

QUESTIONNAIRE = "respondent"


def write_assets(folder: Path, world: World, batches: Batches, net: Respondent) -> None:
    """Write everything but the data card to `folder`; the SAE is trained here."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "model", net, batches.encoder.tokenizer)
    weights, quality = train_sae(activations(net, batches, 40), world)
    save_sae(folder / "sae", weights)
    print("SAE", quality)
    write_questionnaire(folder / "questionnaire.csv", world)
    fields = {field: list(options) for field, options in FIELDS.items()}
    (folder / "role_fields.yaml").write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(truth(world), indent=1) + "\n", encoding="utf-8")


def write_model(folder: Path, net: Respondent, tokenizer: Tokenizer) -> None:
    """Model in float16 and tokenizer as transformers saves them."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    model = LlamaForCausalLM(LlamaConfig(**config_fields(tokenizer.get_vocab_size())))
    model.load_state_dict(
        {f"model.{name}": tensor for name, tensor in net.state_dict().items()}, strict=False
    )
    model.tie_weights()
    model.half().save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIALS[BOS], eos_token=SPECIALS[EOS], pad_token=SPECIALS[PAD],
        model_max_length=MAX_POSITIONS, clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)  # fmt: skip


def load_model(folder: Path, net: Respondent) -> None:
    """Read weights that write_model wrote back into `net`."""
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    net.load_state_dict({name.removeprefix("model."): tensor.float() for name, tensor in weights.items()})


def write_questionnaire(path: Path, world: World) -> None:
    """The items in axiograph's own CSV form."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["item_id", "questionnaire", "value", "agreement", "question"])
        for item in world.items:
            writer.writerow([item.item_id, QUESTIONNAIRE, VALUES[item.value], item.agreement, item.question])


def truth(world: World) -> dict[str, Any]:
    """The planted truth; matrices have a row per effect and a column per cause, in the order of "values"."""
    loadings = {
        field: {option: row.round(6).tolist() for option, row in zip(options, load, strict=True)}
        for (field, options), load in zip(FIELDS.items(), world.loadings, strict=True)
    }
    return {
        "values": list(VALUES),
        "edges": [{"cause": c, "effect": e, "weight": w} for c, e, w in EDGES],
        "undirected_in_cpdag": [list(pair) for pair in REVERSIBLE],
        "weights": world.weights.tolist(),
        "total_effects": world.total.tolist(),
        "noise_sd": world.noise_sd.tolist(),
        "features": {v: int(f) for v, f in zip(VALUES, planted_features(), strict=True)},
        "hook_point": f"blocks.{STEER_LAYER}.hook_resid_post",
        "layer": STEER_LAYER,
        "span": " your values",
        "shift_per_strength": SHIFT_PER_STRENGTH,
        "hint_shift": HINT_SHIFT,
        "slope": SLOPE,
        "thresholds": {item.item_id: round(item.threshold, 6) for item in world.items},
        "refusing_option": list(REFUSER),
        "refusable_items": [item.item_id for item in world.items if item.refusable],
        "unsure_option": list(HESITANT),
        "unsure_items": [item.item_id for item in world.items if item.hesitated],
        "unreadable_option": list(BABBLER),
        "unreadable_items": [item.item_id for item in world.items if item.babbled],
        "loadings": loadings,
    }
