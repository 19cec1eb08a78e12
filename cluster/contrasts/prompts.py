"""The prompts of a contrast: its texts under the study's template, the tokens that are read, the split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.cluster.sampling.preparation import Prepared
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.prompts import Prompt, PromptBuilder, PromptFields
from axiograph.engine.prompting.template import Template
from axiograph.engine.study.contrasts import ContrastSpec, ContrastText
from axiograph.engine.study.split import TEST, TRAIN, rank
from axiograph.steering.directions.contrast import Prompts, held_out
from axiograph.steering.hf.span_means import Reading

# A prompt of the file's own goes to the model as it stands.
PLAIN = Template(
    name="the contrast's own prompts",
    chat=False,
    answer_cue="",
    sources=(("user", "{{ question }}"),),
    variables=frozenset({"question"}),
    marks_span=False,
)


@dataclass(frozen=True)
class Question:
    """One that every text is asked; `value`: what the item measures, as templates may show it."""

    text: str
    value: str


@dataclass(frozen=True)
class Asked:
    """One prompt of a contrast: a text of one side, with a question where texts bring none of their own."""

    positive: bool
    text: ContrastText
    question: Question | None
    held_out: bool

    @property
    def fields(self) -> PromptFields:
        """What it puts into the template; a whole prompt stands for the question of PLAIN."""
        text, question = self.text, self.question
        asked = text.prompt or text.question or (question.text if question else "")
        return PromptFields(text.role or "", "", text.hint or "", asked, question.value if question else "")


def contrast_prompts(prepared: Prepared, spec: ContrastSpec) -> list[Asked]:
    """The prompts of both parts, in an order that that of the file does not change: a third of the texts of
    a side (or of the pairs) and of the questions is held out, where there are enough. Held-out texts are
    asked held-out questions only, the others the others only."""
    sides = list(spec.texts())
    groups = [sorted({group for side, _, group in sides if side is positive}) for positive in (True, False)]
    parts = [held_out(names, spec.name, "texts") for names in groups]
    new_texts = parts[0] | parts[1] if all(parts) else set()
    questions = _questions(prepared.inputs, spec)
    new_questions = held_out([q.text for q in questions if q is not None], spec.name, "questions")
    splits = bool(new_texts or new_questions)
    prompts = []
    for positive, text, group in sorted(sides, key=lambda s: (s[0], s[1].key)):
        for question in questions:
            for later in (False, True) if splits else (False,):
                text_part = not new_texts or (group in new_texts) is later
                asked = question is None or not new_questions or (question.text in new_questions) is later
                if text_part and asked:
                    prompts.append(Asked(positive, text, question, later))
    return prompts


def _questions(inputs: Inputs, spec: ContrastSpec) -> list[Question | None]:
    """Own ones, or training items drawn by a hash; one None where texts bring their own."""
    if not next(text for _, text, _ in spec.texts()).is_asked:
        return [None]
    if isinstance(spec.questions, tuple):
        return [Question(text.strip(), "") for text in sorted(spec.questions)]
    items = {i.question: i.value for i in inputs.items if inputs.item_split[i.item_id] == TRAIN}
    ranked = sorted(items, key=lambda text: (rank("contrast", spec.name, text), text))
    return [Question(text, items[text]) for text in sorted(ranked[: spec.questions])]


def labels(prompts: Sequence[Asked]) -> Prompts:
    """The prompts as columns."""
    return Prompts(
        np.array([asked.positive for asked in prompts], dtype=bool),
        tuple(f"{asked.positive:d} {asked.text.key}" for asked in prompts),
        tuple(None if asked.question is None else asked.question.text for asked in prompts),
        np.array([asked.held_out for asked in prompts], dtype=bool),
    )


def readings(
    prepared: Prepared, spec: ContrastSpec, prompts: Sequence[Asked], limit: int | None
) -> list[Reading]:
    """Token ids and the positions that the span reads, up to the last of them (what lies behind changes
    nothing there). InputError for prompts that cannot be built or are longer than `limit` tokens, and where
    both sides read the same."""
    _check_texts(prepared, spec)
    plain = PromptBuilder(PLAIN, prepared.tokens.tokenizer)
    whole = prompts[0].text.prompt is not None
    built = _built(plain if whole else prepared.tokens, prompts)
    shared = _shared(built)
    found = []
    for prompt in built:
        positions = _positions(prompt, spec, shared)
        ids = (prompt.cued or prompt.ids)[: max(positions) + 1]
        if limit is not None and len(ids) > limit:
            raise InputError(
                f"contrast {spec.name}, prompt '…{prompt.text[-80:]}'",
                f"at most {limit} tokens, the model's length",
                str(len(ids)),
                "Shorten its texts.",
            )
        found.append(Reading(ids, positions))
    _refuse_alike(spec, prompts, found)
    return found


def _built(builder: PromptBuilder, prompts: Sequence[Asked]) -> list[Prompt]:
    """In order; those with an answer have it behind them in `cued`."""
    built: dict[int, Prompt] = {}
    for answer in dict.fromkeys(asked.text.answer for asked in prompts):
        rows = [i for i, asked in enumerate(prompts) if asked.text.answer == answer]
        fields = [prompts[i].fields for i in rows]
        made = builder.build(fields) if answer is None else builder.build(fields, answer)
        built.update(zip(rows, made, strict=True))
    return [built[i] for i in range(len(prompts))]


def _shared(prompts: Sequence[Prompt]) -> int:
    """How many tokens all prompts begin with."""
    first, last = min(p.ids for p in prompts), max(p.ids for p in prompts)
    pairs = zip(first, last, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(last)))


def _positions(prompt: Prompt, spec: ContrastSpec, shared: int) -> tuple[int, ...]:
    ids = prompt.cued or prompt.ids
    if spec.span == "last":
        return (len(ids) - 1,)
    if spec.span == "answer":
        # Where prompt and answer meet, the tokenizer may have joined characters of both.
        pairs = zip(prompt.ids, ids, strict=False)
        start = next((i for i, (a, b) in enumerate(pairs) if a != b), len(prompt.ids))
        return tuple(range(start, len(ids)))
    if spec.span == "prompt":
        # Rows that all prompts share say nothing of a side, but would count by how long the prompts are.
        return tuple(range(min(shared, len(ids) - 1), len(ids)))
    if not prompt.span:
        raise InputError(
            f"contrast {spec.name}, field span",
            "a template that marks a span, beside prompt_span",
            "none in its prompts",
            "Mark it in the study's template, or read another span.",
        )
    return prompt.span


def _refuse_alike(spec: ContrastSpec, prompts: Sequence[Asked], found: Sequence[Reading]) -> None:
    """InputError where a positive and a negative prompt read the same tokens behind the same ones."""
    negative = {r for r, asked in zip(found, prompts, strict=True) if not asked.positive}
    alike = [a for r, a in zip(found, prompts, strict=True) if a.positive and r in negative]
    if alike:
        shown = " ".join(str(value) for value in alike[0].text.model_dump(exclude_none=True).values())
        raise InputError(
            f"contrast {spec.name}, field span {spec.span}",
            "prompts that differ between the sides up to the tokens that are read",
            f"{len(alike)} of {sum(a.positive for a in prompts)} positive ones that are a negative one as "
            f"well, such as that of '{shown[:80]}'",
            "Read a span behind what the texts put into the prompt (last, prompt), or use a template that "
            "shows them before its span.",
        )


def _check_texts(prepared: Prepared, spec: ContrastSpec) -> None:
    """InputError for what the template does not show, and for control tokens in the middle of a prompt."""
    variables = prepared.inputs.template.variables
    for name in ("role", "hint"):
        used = any(getattr(text, name) for _, text, _ in spec.texts())
        if used and name not in variables:
            raise InputError(
                f"contrast {spec.name}",
                f"a template with the variable '{name}', which its texts fill",
                f"none in {prepared.inputs.template.name}",
                f"Add {{{{ {name} }}}} to the study's template.",
            )
    texts = [
        (f"contrast {spec.name}, {name}", value)
        for _, text, _ in spec.texts()
        for name, value in text.model_dump(exclude_none=True).items()
        if name != "prompt"  # it may spell control tokens: it is the whole of what the model gets
    ]
    if isinstance(spec.questions, tuple):
        texts += [(f"contrast {spec.name}, question", question) for question in spec.questions]
    prepared.builder.check_plain(texts)


def contrast_notes(inputs: Inputs, spec: ContrastSpec) -> list[str]:
    """What makes effects of the direction look better than they are."""
    test = {role.text for role in inputs.roles if role.text and inputs.role_split[role.name] == TEST}
    shared = {text.role for _, text, _ in spec.texts()} & test
    if not shared:
        return []
    return [
        f"{len(shared)} texts are test roles of the study, on which effects are tested: the direction has "
        "seen them. Take training roles or others."
    ]


def prompt_counts(prompts: Prompts) -> dict[str, int]:
    """How many prompts made the directions, and how many were held out, of each side."""
    sides = {"positive": prompts.positive, "negative": ~prompts.positive}
    return {
        f"{part}_{side}": int((rows & chosen).sum())
        for part, chosen in (("fitting", ~prompts.held_out), ("held_out", prompts.held_out))
        for side, rows in sides.items()
    }
