"""The small SAE of this example: trained by sae-lens on the stream of SmolLM2 over texts that Python ships.

    python examples/smollm2/train_sae.py

Texts: docstrings of the standard library, and the example's questionnaire put to people of its kind. 2,048
features of which 32 are active, at the output of layer 15 of 30: what a laptop makes in minutes, and a small
part of what a published SAE is. `sae/` holds the one of the example's report, in bfloat16.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from axiograph.engine.study.questionnaire import load_questionnaires
from examples.smollm2.fetch import HERE, MODEL, fetch
from examples.smollm2.make_roles import ROLES, roles

LAYER, FEATURES, ACTIVE = 15, 2048, 32
TOKENS, WIDTH = 70_000, 160  # how many rows of the stream, and how long a text may be
BATCH, STEPS = 1024, 800
LOUD = 2000.0  # first tokens are sinks of many times this norm, which no SAE should spend features on
MODULES = (
    "argparse", "asyncio.tasks", "collections", "datetime", "decimal", "doctest", "email.message",
    "functools", "heapq",
    "http.client", "inspect", "json", "logging", "os", "pathlib", "random", "re",
    "shutil", "socket", "statistics", "string", "subprocess", "tarfile", "textwrap", "threading", "typing",
    "unittest.case", "urllib.request", "uuid", "zipfile",
)  # fmt: skip


def texts() -> list[str]:
    """Docstrings, and the questionnaire put to people whom the study does not ask, in a fixed order."""
    questions = [item.question for item in load_questionnaires([HERE / "bigfive.csv"]).items]
    people = [text for _, text in roles(ROLES + 300, seed=99)[ROLES:]]
    asked = [f"Person: {text}\nQuestion: {q}\nAnswer:" for text, q in zip(people, questions * 6, strict=True)]
    mixed = [*docstrings(), *asked]
    random.Random(0).shuffle(mixed)
    return mixed


def docstrings() -> Iterator[str]:
    """Those of MODULES that are longer than a line or two."""
    library = Path(sysconfig.get_path("stdlib"))
    for name in MODULES:
        file = library / f"{name.replace('.', '/')}.py"
        file = file if file.is_file() else file.with_suffix("") / "__init__.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node)
                if text and len(text) > 150:
                    yield text


def stream(model_folder: Path) -> torch.Tensor:
    """[rows, d_model]: the output of LAYER over the texts, without its loud rows."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    model.model.layers = model.model.layers[: LAYER + 1]
    rows: list[torch.Tensor] = []
    model.model.layers[LAYER].register_forward_hook(lambda module, inputs, output: rows.append(output))
    kept, count, everything = [], 0, texts()
    with torch.inference_mode():
        for start in range(0, len(everything), 8):
            batch = tokenizer(
                everything[start : start + 8],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=WIDTH,
            )
            model.model(**batch, use_cache=False)
            kept.append(rows.pop()[batch["attention_mask"].bool()])
            count += len(kept[-1])
            if count >= TOKENS:
                break
    every = torch.cat(kept)
    return every[every.norm(dim=-1) < LOUD]


def train(rows: torch.Tensor, steps: int) -> Any:
    """The trained SAE, as sae-lens gives it."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(0)

    def batches() -> Iterator[torch.Tensor]:
        while True:
            yield from (rows[i] for i in torch.randperm(len(rows)).split(BATCH) if len(i) == BATCH)

    metadata = SAEMetadata(
        model_name="SmolLM2-135M-Instruct",
        hook_name=f"blocks.{LAYER}.hook_resid_post",
        hook_layer=LAYER,
        hook_head_index=None,
        model_class_name="AutoModelForCausalLM",
    )
    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=rows.shape[1],
            d_sae=FEATURES,
            k=ACTIVE,
            dtype="float32",
            device="cpu",
            normalize_activations="expected_average_only_in",
            metadata=metadata,
        )
    )
    config = SAETrainerConfig(
        total_training_samples=BATCH * steps,
        train_batch_size_samples=BATCH,
        lr=6e-4,
        lr_end=6e-5,
        lr_decay_steps=steps // 5,
        logger=LoggingConfig(log_to_wandb=False),
        n_batches_for_norm_estimate=40,
        dead_feature_window=200,
    )
    return SAETrainer(config, sae, batches()).fit()


def save(sae: Any, folder: Path) -> None:
    """By sae-lens, then in bfloat16: half of the megabytes."""
    from safetensors.torch import load_file, save_file

    sae.save_inference_model(folder)
    weights = folder / "sae_weights.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(weights).items()}, weights)
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(config | {"dtype": "bfloat16"}, indent=2) + "\n")


def quality(folder: Path, rows: torch.Tensor) -> dict[str, float]:
    """Of the saved SAE on `rows`: explained variance, active features a row, features that never are."""
    from sae_lens import SAE

    sae = SAE.load_from_disk(str(folder), device="cpu", dtype="float32")
    with torch.inference_mode():
        active = sae.encode(rows)
        rest = rows - sae.decode(active)
    return {
        "explained_variance": float(1 - (rest**2).sum() / ((rows - rows.mean(0)) ** 2).sum()),
        "active": float((active > 0).float().sum(-1).mean()),
        "dead": float((active > 0).sum(0).eq(0).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE / "sae")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(max(1, torch.get_num_threads()))
    rows = stream(fetch(MODEL))
    held_out = len(rows) // 10
    save(train(rows[held_out:], arguments.steps), arguments.to)
    print(len(rows), "rows", quality(arguments.to, rows[:held_out]), file=sys.stderr)


if __name__ == "__main__":
    main()
