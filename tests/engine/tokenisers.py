"""Tokenisers of every convention that prompts must serve."""

from __future__ import annotations

import functools

from tests import tiny

KINDS = ("bpe", "gpt2", "nobos", "chat", "metaspace", "llama2", "gemma", "llama3")
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
CORPUS = [*tiny.CORPUS, "Thought:\nAnswer:\n"] * 3
BOS = ("bpe", "chat", "metaspace", "llama2", "gemma", "llama3")  # those that put one


@functools.cache
def tokenizer(kind: str):
    return make_tokenizer(kind)


def make_tokenizer(kind: str):
    """Those of tests.tiny, and more conventions in the manner of well-known models.

    metaspace: SentencePiece with a space put before the text. llama2: the same by a normaliser.
    gemma: without that space. llama3: byte-level, punctuation takes line breaks along (":\\n" is one token).
    """
    if kind not in ("metaspace", "llama2", "gemma", "llama3"):
        return tiny.tokenizer(kind)
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True) if kind != "llama3" else models.BPE())
    (_byte_level if kind == "llama3" else _sentencepiece)(core, kind)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def _byte_level(core, kind):
    from tokenizers import Regex, decoders, pre_tokenizers, trainers

    words = Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(words, "isolated"), byte_level])
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet)
    core.train_from_iterator(CORPUS, trainer)


def _sentencepiece(core, kind):
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers, trainers

    first = pre_tokenizers.Metaspace(prepend_scheme="first")
    ends = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    if kind != "metaspace":
        core.normalizer = normalizers.Replace(" ", "▁")
    if kind == "llama2":
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), core.normalizer])
    core.decoder = decoders.Sequence(ends[:3] if kind == "gemma" else ends)
    # As SentencePiece trains: no piece goes over a space, a line break or the edge of punctuation.
    spaces = first if kind == "metaspace" else pre_tokenizers.Split("▁", "merged_with_next")
    breaks = pre_tokenizers.Split(Regex(r"[\p{P}\n]"), "isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence([spaces, breaks])
    pieces = SPECIAL + [f"<0x{i:02X}>" for i in range(256)]
    core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=600, special_tokens=pieces))
    core.pre_tokenizer = first if kind == "metaspace" else None
