"""Contrasts: the file from which `axiograph direction` makes a direction.

Two sides of texts that differ in what the direction is to be of: roles or hints under the study's own prompt
template, questions with an answer already given, or prompts as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, Field, model_validator

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest_json
from axiograph.engine.study.fields import Spec
from axiograph.engine.study.loading import as_input_error
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.study.textfiles import bad_character, load_yaml

ReadSpan = Literal["prompt_span", "last", "answer", "prompt"]
QUESTIONS = 24  # items, where the file says nothing


class ContrastText(Spec):
    """One text of a side, as what it is put into the prompt. A plain string is a role.

    `role`, `hint`: as the template shows them; `question`: its own one, else it is asked all of the
    contrast's; `prompt`: the whole prompt, instead of the template's; `answer`: what stands behind the prompt
    as if the model had written it, with the space that it begins with."""

    role: str | None = None
    hint: str | None = None
    question: str | None = None
    prompt: str | None = None
    answer: str | None = None

    @model_validator(mode="after")
    def _coherent(self) -> ContrastText:
        texts = self.model_dump(exclude_none=True)
        if not texts:
            raise ValueError("'role', 'hint', 'question', 'prompt' or 'answer'")
        if self.prompt is not None and set(texts) - {"prompt", "answer"}:
            raise ValueError("nothing but 'answer' beside 'prompt', which is the whole prompt")
        for name, text in texts.items():
            if not text.strip() and name != "role":  # an empty role is nobody in particular
                raise ValueError(f"a '{name}' that is not empty")
            if character := bad_character(text, "\n\t"):
                raise ValueError(f"a '{name}' without the control or private-use character {character}")
        return self

    @property
    def is_asked(self) -> bool:
        """Whether it is asked the questions of the contrast, and brings none of its own."""
        return self.prompt is None and self.question is None

    @property
    def key(self) -> str:
        """What it is told apart by, whatever its place in the file."""
        return digest_json(self.model_dump()).hex()


def _role_text(value: Any) -> Any:
    return {"role": value} if isinstance(value, str) else value


Text = Annotated[ContrastText, BeforeValidator(_role_text)]


class ContrastPair(Spec):
    """Two texts that differ in nothing but what the direction is to be of."""

    positive: Text
    negative: Text

    @property
    def key(self) -> str:
        return digest_json([self.positive.key, self.negative.key]).hex()


class ContrastSpec(Spec):
    """A direction to be made: from the mean over `negative` to the mean over `positive`.

    `layers`: of the decoder, from 0; `place`: of the stream there. `span`: the tokens that are read, the
    template's `prompt_span`, the `last` one, those of the `answer`, or those of the `prompt` behind what all
    prompts begin with. `questions`: own ones, or how many of the study's training items. Either `pairs`,
    which are held out together, or two lists."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    layers: tuple[Annotated[int, Field(ge=0)], ...] | Literal["all"]
    place: Literal["resid_pre", "resid_post"] = "resid_post"
    span: ReadSpan
    pairs: tuple[ContrastPair, ...] = ()
    positive: tuple[Text, ...] = ()
    negative: tuple[Text, ...] = ()
    questions: tuple[str, ...] | Annotated[int, Field(gt=0)] = QUESTIONS

    @model_validator(mode="after")
    def _coherent(self) -> ContrastSpec:
        if self.layers != "all" and (not self.layers or len(set(self.layers)) != len(self.layers)):
            raise ValueError("'layers', every number once, or 'layers: all'")
        if bool(self.pairs) == bool(self.positive or self.negative):
            raise ValueError("either 'pairs', or 'positive' and 'negative'")
        if not self.pairs and not (self.positive and self.negative):
            raise ValueError("'positive' and 'negative' together")
        self._check_texts()
        if isinstance(self.questions, tuple):
            if not self.questions or len(set(self.questions)) != len(self.questions):
                raise ValueError("questions of which no two are alike, or their number")
            for question in self.questions:
                if not question.strip() or bad_character(question):
                    raise ValueError(f"questions without control characters, not {question!r}")
        return self

    def _check_texts(self) -> None:
        texts = [text for _, text, _ in self.texts()]
        if len({text.is_asked for text in texts}) > 1:
            raise ValueError("either a 'question' or 'prompt' in every text, or in none")
        if self.questions != QUESTIONS and not texts[0].is_asked:
            raise ValueError("no 'questions' where every text has a 'question' or 'prompt' of its own")
        answered = {text.answer is not None for text in texts}
        if len(answered) > 1:
            raise ValueError("an 'answer' in every text, or in none")
        if self.span == "answer" and answered == {False}:
            raise ValueError("an 'answer' in every text beside 'span: answer'")
        if self.span in ("prompt", "prompt_span") and answered == {True}:
            raise ValueError(f"'span: answer' or 'last' beside answers, which come behind the {self.span}")
        keys = {side: [t.key for s, t, _ in self.texts() if s == side] for side in (True, False)}
        if set(keys[True]) & set(keys[False]):
            raise ValueError("no text on both sides")
        if any(len(set(side)) != len(side) for side in keys.values()):
            raise ValueError("every text once on its side")

    def texts(self) -> Iterator[tuple[bool, ContrastText, str]]:
        """(whether positive, text, what it is held out with) of every text."""
        for pair in self.pairs:
            yield True, pair.positive, pair.key
            yield False, pair.negative, pair.key
        for text in self.positive:
            yield True, text, text.key
        for text in self.negative:
            yield False, text, text.key

    def hook_points(self, n_layers: int) -> tuple[HookPointSpec, ...]:
        """Where it is read in a model of `n_layers`; InputError for a layer that is not there."""
        layers = range(n_layers) if self.layers == "all" else sorted(self.layers)
        if max(layers) >= n_layers:
            raise InputError(
                f"contrast {self.name}, field layers",
                f"layers from 0 to {n_layers - 1}",
                str(max(layers)),
                "Count decoder layers from 0, or write 'layers: all'.",
            )
        return tuple(HookPointSpec(layer=layer, place=self.place) for layer in layers)

    @property
    def digest(self) -> bytes:
        """Over everything in the file but the order of texts, questions and layers."""
        data = self.model_dump(exclude={"pairs", "positive", "negative", "layers", "questions"})
        questions = sorted(self.questions) if isinstance(self.questions, tuple) else self.questions
        layers = self.layers if self.layers == "all" else sorted(self.layers)
        texts = sorted([side, text.key, group] for side, text, group in self.texts())
        return digest_json([data, questions, layers, texts])


def load_contrast(path: Path) -> ContrastSpec:
    """Read and check a contrast; InputError names the file and the path of the field."""
    return parse_contrast(load_yaml(path), f"contrast file {path}")


def parse_contrast(data: Any, where: str) -> ContrastSpec:
    """The contrast in the mapping `data`; InputError with the path of the field that is wrong."""
    if not isinstance(data, Mapping):
        raise InputError(where, "a mapping of fields", type(data).__name__, "See docs/steering.md.")
    try:
        return ContrastSpec.model_validate(dict(data))
    except pydantic.ValidationError as error:
        models = (ContrastSpec, ContrastPair, ContrastText)
        raise as_input_error(error, where, models, "docs/steering.md has examples") from error
