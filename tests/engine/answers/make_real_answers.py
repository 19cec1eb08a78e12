"""Asks a real model the paper's questions under seven prompt forms, for the table real_answers.jsonl.

    OMP_NUM_THREADS=1 nice -n 10 python tests/engine/answers/make_real_answers.py MODEL OUT.jsonl \\
        --data ../shared/paper

MODEL is a Hugging Face folder of SmolLM2-135M-Instruct; OUT.jsonl gets one unlabelled row per chosen answer
(columns: see README.md beside this file; what the labels are is decided by a reader, never here). No stop
rule ends an answer: only the model's own end of turn or the limit of new tokens does, so that invented
further questions and second answers are kept. Plain transformers in float32 on one thread: nothing of
axiograph but its template files takes part.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

TEMPLATES = Path(__file__).resolve().parents[3] / "engine" / "prompting" / "templates"
# How many rows of each form are asked and how many are written: more where the answers are of many kinds.
ASKED = {"a": 112, "b": 192, "c": 176, "d": 192, "e": 112, "f": 192, "g": 128}
WRITTEN = {"a": 60, "b": 105, "c": 80, "d": 110, "e": 60, "f": 110, "g": 75}
RARE = re.compile(
    r"\b(yes|yep|yeah|yup|sure|absolutely|definitely|of course|maybe|perhaps|depends?|both|not sure|cannot|"
    r"can't (answer|say|provide)|unable|sorry|as an ai|opinions?|nope|never|not really)\b",
    re.IGNORECASE,
)
RARE_WITHIN = 120  # characters from the beginning
NEW_TOKENS = {"a": 60, "b": 60, "c": 40, "d": 40, "e": 60, "f": 60, "g": 40}
BATCH = 32
TEMPERATURE = 0.8
OPTIONS = ("Disagree strongly", "Disagree", "Neither agree nor disagree", "Agree", "Agree strongly")
THINK = 'Think in one sentence, then write "Answer: yes" or "Answer: no".'


@dataclass
class Row:
    """One answer; `question` holds the statement in form g, `ended` says that the model ended its turn."""

    id: str
    form: str
    question: str
    role: str
    temperature: float
    prompt_tail: str = ""
    text: str = ""
    ended: bool = False


def prompt(form: str, question: str, role: str, tokenizer: Any) -> str:
    """The whole prompt as text, the chat template's marks included."""
    person = f"The person: {role}\n" if role else ""
    if form in "ae":
        return rendered(
            (TEMPLATES / f"{'default' if form == 'a' else 'paper_order'}.j2").read_text(), question, role
        )
    if form == "d":
        return f"{person}Question: {question}\nAnswer:"
    if form == "b":
        messages = yaml.safe_load((TEMPLATES / "chat.yaml").read_text())
        messages = [m | {"content": rendered(m["content"], question, role)} for m in messages]
    else:
        asked = {
            "c": f"{person}Answer with yes or no.\n{question}",
            "f": f"{person}{THINK}\n\nQuestion: {question}",
            "g": f'{person}How much do you agree with this statement? "{question}"\n'
            f"Reply with one of these options: {', '.join(OPTIONS)}.",
        }
        messages = [{"role": "user", "content": asked[form]}]
    prefilled = messages[-1]["role"] == "assistant"
    return str(
        tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not prefilled, continue_final_message=prefilled
        )
    )


def rendered(source: str, question: str, role: str) -> str:
    environment = jinja2.Environment()
    environment.filters["span"] = str
    return environment.from_string(source).render(question=question, role=role, hint="")


def planned(data: Path, forms: str, sampled: float, seed: int) -> list[Row]:
    """Rows to ask: half of the questions begin otherwise than "Should I", half of the rows have no role."""
    chance = random.Random(seed)
    with (data / "value_orientation.csv").open(encoding="utf-8") as file:
        items = list(csv.DictReader(file))
    people = [
        *json.loads((data / "players25.json").read_text(encoding="utf-8")).values(),
        *json.loads((data / "players100.json").read_text(encoding="utf-8")).values(),
    ]
    roles = [person[kind] for person in people for kind in ("mini_trait", "bio2")]
    common = [item for item in items if item["question"].startswith("Should I")]
    other = [item for item in items if not item["question"].startswith("Should I")]
    rows = []
    for form in forms:
        for number in range(ASKED[form]):
            item = chance.choice(other if number % 2 else common)
            role = chance.choice(roles) if number % 4 < 2 else ""
            question = item["item"] if form == "g" else item["question"]
            temperature = TEMPERATURE if number % 10 < 10 * sampled else 0.0
            rows.append(Row(f"{form}{seed}-{number:03}", form, question, role, temperature))
    return rows


def ask(rows: list[Row], folder: Path, seed: int) -> Iterator[list[Row]]:
    """The rows of one form after the other with their answers; neighbours in length share a batch."""
    import torch
    import transformers

    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = {row.id: prompt(row.form, row.question, row.role, tokenizer) for row in rows}
    rows.sort(key=lambda row: (row.form, row.temperature, len(texts[row.id])))
    for form, same_form in itertools.groupby(rows, key=lambda row: row.form):
        answered = []
        for temperature, group in itertools.groupby(same_form, key=lambda row: row.temperature):
            drawn = {"do_sample": True, "temperature": temperature, "top_k": 0}
            for number, batch in enumerate(batches(list(group))):
                torch.manual_seed(1000 * seed + number)
                asked = tokenizer(
                    [texts[row.id] for row in batch],
                    add_special_tokens=False,
                    padding=True,
                    return_tensors="pt",
                )
                with torch.inference_mode():
                    out = model.generate(
                        **asked,
                        max_new_tokens=NEW_TOKENS[form],
                        **(drawn if temperature else {"do_sample": False}),
                    )
                prompt_length = asked["input_ids"].shape[1]
                for row, ids in zip(batch, out[:, prompt_length:].tolist(), strict=True):
                    fill(row, ids, texts[row.id], tokenizer)
                answered += batch
        yield answered


def batches(rows: list[Row]) -> list[list[Row]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def fill(row: Row, ids: list[int], asked: str, tokenizer: Any) -> None:
    row.ended = tokenizer.eos_token_id in ids
    ids = ids[: ids.index(tokenizer.eos_token_id)] if row.ended else ids
    row.prompt_tail = asked[-60:]
    row.text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def shape(row: Row) -> tuple[Any, ...]:
    """What makes two answers alike enough that one is enough: their wording in outline, not their meaning."""
    text = row.text.lower()
    words = re.findall(r"[a-z']+", text)
    telling = ("yes", "no", "not", "cannot", "depends", "maybe", "agree", "disagree", "neither", "ai")
    marks = ("answer:", "question:", "thought:", "answer is")
    return (
        tuple(words[:2]),
        tuple(word in words for word in telling),
        tuple(min(text.count(mark), 2) for mark in marks),
        row.ended,
    )


def choose(rows: list[Row], count: int) -> list[Row]:
    """At most `count` of them, no text twice: by turns one of every shape, rare shapes first."""
    shapes = defaultdict(list)
    for row in {row.text.strip(): row for row in rows}.values():
        shapes[shape(row)].append(row)
    groups = sorted(shapes.values(), key=len)
    turns = [group[turn] for turn in range(count) for group in groups if turn < len(group)]
    return sorted(turns[:count], key=lambda row: row.id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the paper's questions and people")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forms", default="abcdefg", help="letters of the forms to ask")
    parser.add_argument(
        "--sampled", type=float, default=0.4, help="share at temperature 0.8; the others greedy"
    )
    parser.add_argument(
        "--rare", type=int, help="write only so many of each form, with a word of RARE in them"
    )
    given = parser.parse_args()
    plan = planned(given.data, given.forms, given.sampled, given.seed)
    with given.out.open("w", encoding="utf-8") as file:
        for rows in ask(plan, given.model, given.seed):
            if given.rare:
                rows = [row for row in rows if RARE.search(row.text[:RARE_WITHIN])]
            for row in choose(rows, given.rare or WRITTEN[rows[0].form]):
                file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
