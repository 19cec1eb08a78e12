"""Tokenizer, prompts and completions of the respondent, and made-up foreign questions and roles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from items import BABBLE, REFUSAL, REFUSAL_THOUGHT, THOUGHTS, VALUES
from jinja2 import Environment
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from words import CONTENT_WORDS, FUNCTION_WORDS, OPENERS, PERSONA_FIELDS
from world import FIELDS, make_items

TEMPLATE = Path(__file__).resolve().parents[2] / "engine" / "prompting" / "templates" / "default.j2"
SPECIALS = ("<pad>", "<s>", "</s>")
PAD, BOS, EOS = 0, 1, 2
VOCABULARY = 1400
PIECES = 300  # merges that shorten words outside the vocabulary
ANSWERS = ("yes", "no", "unsure", REFUSAL, BABBLE)
HINTS = (
    ("As a person you are strongly inclined to {value}.", 1.0),
    ("As a person you are strongly disinclined to {value}.", -1.0),
)


def render(role: str, hint: str, question: str) -> str:
    """The default prompt of the engine, without marks."""
    environment = Environment()
    environment.filters["span"] = lambda text: text
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        role=role, hint=hint, question=question
    )


def completion(thought: str, answer: str) -> str:
    """What follows the prompt; an empty thought leaves the answer directly under "Thought:"."""
    return f"{' ' + thought if thought else ''}\nAnswer: {answer}"


def own_texts() -> list[str]:
    """Every text whose words are to be single tokens."""
    roles = ["; ".join(f"{field}: {option}" for option in options) for field, options in FIELDS.items()]
    tails = [f"Question: {item.question}" for item in make_items()]
    answers = [completion(thought, answer) for thought in (*THOUGHTS, REFUSAL_THOUGHT) for answer in ANSWERS]
    hints = [form.format(value=value) for form, _ in HINTS for value in VALUES]
    return [render("x", "x", "x"), *roles, *tails, *answers, *hints]


def train_pieces(texts: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-level BPE of 256 bytes and PIECES merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIALS) + 256 + PIECES,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(a, b) for a, b in model["merges"]]


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE in which every own word is one token: whole words come before merges."""
    own = own_texts()
    common = " " + " ".join(FUNCTION_WORDS + CONTENT_WORDS)
    vocabulary, merges = train_pieces([*own, common, common])
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    wanted = [word for text in [*own, common] for word, _ in splitter.pre_tokenize_str(text)]
    for word in wanted:
        if word not in vocabulary and len(vocabulary) < VOCABULARY:
            vocabulary[word] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIALS[BOS]} $A", pair=f"{SPECIALS[BOS]} $A $B", special_tokens=[(SPECIALS[BOS], BOS)]
    )
    return tokenizer


class Encoder:
    """Token ids of the parts of a prompt: fixed head, role and hint lines, question with completion.

    `span` are the indices of the steered tokens in a prompt, which begins with BOS and `head`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        text = render("", "", "\0")
        head = text[: text.index("Question: \0")]
        # A letter after the line breaks keeps them apart, as they are in a whole prompt.
        encoded = tokenizer.encode(head + "Q")
        self.head = encoded.ids[:-1]
        start = head.index(" your values")
        end = start + len(" your values")
        inside = [i for i, (a, b) in enumerate(encoded.offsets) if a < end and b > start and a < b]
        self.span = inside

    def ids(self, text: str) -> list[int]:
        """Ids of `text` without BOS."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def prefix(self, role: str, hint: str) -> list[int]:
        """Ids of everything before "Question:"."""
        lines = (f"The person: {role}\n" if role else "") + (f"({hint})\n" if hint else "")
        return self.head + (self.ids(lines) if lines else [])

    def tail(self, question: str, thought: str, answer: str) -> tuple[list[int], int, int]:
        """Ids of question, completion and EOS; index of the last prompt token and of the answer cue."""
        prompt = f"Question: {question}\nThought:"
        cue = len(self.ids(prompt + completion(thought, ""))) - 2  # without the space before the answer
        ids = [*self.ids(prompt + completion(thought, answer)), EOS]
        return ids, len(self.ids(prompt)) - 1, cue


def pseudo_word(rng: np.random.Generator) -> str:
    """A random letter string, sometimes capitalised or with a hyphen or digits."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    weights = np.linspace(3, 0.2, 26)
    size = int(rng.integers(2, 12))
    word = "".join(rng.choice(list(letters), size=size, p=weights / weights.sum()))
    kind = rng.random()
    if kind < 0.12:
        return word.capitalize()
    if kind < 0.17:
        return word.upper()[:4]
    if kind < 0.22:
        return f"{word}-{rng.choice(CONTENT_WORDS)}"
    return str(rng.integers(1, 2000)) if kind < 0.25 else word


ENDINGS = ("s", "ed", "ing", "ly", "er", "ful", "ness", "tion", "al")


def foreign_word(rng: np.random.Generator) -> str:
    """A function word, a common word (sometimes with an ending) or a random letter string."""
    kind = rng.random()
    if kind < 0.4:
        return str(FUNCTION_WORDS[int(rng.integers(len(FUNCTION_WORDS)))])
    if kind < 0.86:
        word = CONTENT_WORDS[int(rng.integers(len(CONTENT_WORDS)))]
        return word + (ENDINGS[int(rng.integers(len(ENDINGS)))] if rng.random() < 0.25 else "")
    return pseudo_word(rng)


def foreign_words(count: int, rng: np.random.Generator) -> str:
    """`count` words with some commas, quotes and brackets."""
    words = [foreign_word(rng) for _ in range(count)]
    for i in range(count - 1):
        mark = rng.random()
        if mark < 0.05:
            words[i] += ","
        elif mark < 0.06:
            words[i] = f"({words[i]})"
        elif mark < 0.07:
            words[i] += "'s"
        elif mark < 0.08:
            words[i] = f'"{words[i]}"'
    return " ".join(words)


def foreign_question(rng: np.random.Generator, long: bool) -> str:
    """A made-up question of 4 to 16 words, or to 30 if `long`."""
    opener = OPENERS[int(rng.integers(len(OPENERS)))]
    body = foreign_words(int(rng.integers(3, 29 if long else 15)), rng)
    end = "?" if rng.random() < 0.93 else "."
    return f"{opener} {body}{end}" if rng.random() < 0.93 else f"{body.capitalize()}{end}"


def foreign_role(rng: np.random.Generator, long: bool) -> str:
    """A made-up role: labelled traits, or (half of the `long` ones) sentences of up to 90 words."""
    kind = rng.random()
    if kind < (0.5 if long else 0.85):
        names = rng.choice(PERSONA_FIELDS, size=int(rng.integers(1, 6)), replace=False)
        parts = [f"{n}: {foreign_words(int(rng.integers(1, 5)), rng)}" for n in names]
        return ("; " if rng.random() < 0.7 else ", ").join(parts)
    longest = 90 if long else 16
    body = foreign_words(int(rng.integers(5, longest)), rng)
    return f"You are {body}." if rng.random() < 0.5 else f"{body.capitalize()}."
