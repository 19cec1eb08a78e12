"""Small random models of many shapes, and tokenisers of several conventions, made on the spot."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

WIDTH, LAYERS = 32, 3
CORPUS = [
    "Answer as the person described below would, in keeping with your values.",
    "Give one short thought, then the answer.",
    "Question: Do you like to try new food?\nThought: A new taste makes the day brighter.\nAnswer: yes",
    "Thought: I would rather keep to the dishes I know.\nAnswer: no",
    "The person: Gender: female; Job: engineer. Is it good to plan the day ahead?",
]

SHAPES = ("llama", "gemma", "gemma2", "gemma3", "qwen2", "qwen3", "mistral", "gpt2", "opt")


def tokenizer(kind: str = "bpe", extra: tuple[str, ...] = ()) -> Any:
    """bpe: byte-level with BOS. gpt2: byte-level, BOS known but not put. nobos: byte-level without BOS.
    sentencepiece: metaspace with a space put before the text, BOS. chat: bpe with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    if kind == "sentencepiece":
        core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        core.decoder = decoders.Sequence(
            [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]
        )
        pieces = special + [f"<0x{i:02X}>" for i in range(256)]
        trainer: Any = trainers.BpeTrainer(vocab_size=600, special_tokens=pieces)
    else:
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    core.train_from_iterator([*CORPUS, *extra], trainer)
    if kind in ("bpe", "sentencepiece", "chat"):
        bos = core.token_to_id("<s>")
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", bos)]
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=None if kind == "nobos" else "<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    if kind == "chat":
        made.chat_template = (
            "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
        )
    return made


def config(shape: str, vocabulary: int) -> Any:
    import transformers as tf

    common = {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "intermediate_size": 64,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    gemma = common | {"head_dim": 8}
    # Heads of sixteen are read by compiled kernels, those of eight by PyTorch.
    wide = {"head_dim": 16}
    small = {
        "vocab_size": vocabulary, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        "max_position_embeddings": 512,
    }  # fmt: skip
    return {
        "llama": lambda: tf.LlamaConfig(**common),
        # One head of keys and values for all, as Gemma-2B has it.
        "mqa": lambda: tf.LlamaConfig(**common | {"num_key_value_heads": 1}),
        "gemma": lambda: tf.GemmaConfig(**gemma),
        "gemma2": lambda: tf.Gemma2Config(**gemma, sliding_window=16, query_pre_attn_scalar=8),
        "gemma3": lambda: tf.Gemma3TextConfig(**gemma | wide, sliding_window=16, query_pre_attn_scalar=8),
        "qwen2": lambda: tf.Qwen2Config(**common),
        "qwen3": lambda: tf.Qwen3Config(**common, **wide),
        "mistral": lambda: tf.MistralConfig(**common, **wide, sliding_window=16),
        "gpt2": lambda: tf.GPT2Config(
            **{k: v for k, v in small.items() if k != "max_position_embeddings"},
            n_embd=WIDTH, n_layer=LAYERS, n_head=2, n_positions=512,
        ),
        "opt": lambda: tf.OPTConfig(
            **small, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4, ffn_dim=64,
            word_embed_proj_dim=WIDTH,
        ),
    }[shape]()  # fmt: skip


def save_model(
    folder: Path, shape: str = "llama", kind: str = "bpe", seed: int = 0, extra: tuple[str, ...] = ()
) -> Path:
    """A random model of `shape` with weights large enough that its answers vary, saved as safetensors."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    made = tokenizer(kind, extra)
    model: Any = AutoModelForCausalLM.from_config(config(shape, len(made)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.25 if "embed" in name or "wte" in name else 0.15)
    model.save_pretrained(folder, safe_serialization=True)
    made.save_pretrained(folder)
    return folder


def save_sae(folder: Path, width: int = WIDTH, features: int = 64, layer: int = 1, **metadata: Any) -> Path:
    """A random SAE in sae-lens' own format, at resid_post of `layer`."""
    made = sae.__wrapped__(width, features)  # one of its own: metadata is set in place
    made.cfg.metadata.hook_name = f"blocks.{layer}.hook_resid_post"
    for key, value in metadata.items():
        setattr(made.cfg.metadata, key, value)
    made.save_model(str(folder))
    return folder


@cache
def sae(width: int, features: int) -> Any:
    """A random standard SAE of sae-lens."""
    import torch
    from sae_lens import StandardSAE, StandardSAEConfig

    torch.manual_seed(1)
    made = StandardSAE(
        StandardSAEConfig(
            d_in=width, d_sae=features, apply_b_dec_to_input=True, normalize_activations="none",
            dtype="float32", device="cpu",
        )
    )  # fmt: skip
    with torch.no_grad():
        # Decoder rows of different lengths, as many released SAEs have them.
        lengths = torch.linspace(0.5, 2, features)[:, None]
        made.W_dec.copy_(torch.randn(features, width) * lengths / width**0.5)
        made.W_enc.copy_(made.W_dec.T)
    return made
