"""Models that think, played by scripted ones: where rows end, what is read, and behind what options are."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest
import torch

from axiograph.engine.answers.parsing import parse_answer
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.prompting.prompts import Prompt
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.vllm.stopping import AnswerStop
from axiograph.engine.workers.generation import Generator, NoHooks, StopCheck
from axiograph.engine.workers.models import load_model
from axiograph.engine.workers.spellings import spelling_ids
from axiograph.engine.workers.thoughts import ThoughtRules
from axiograph.engine.workers.worker import answer_room
from tests import asking, tiny

THINK = Thinking("<think>", "</think>")
CHANNEL = Thinking("<|channel|>analysis", "<|channel|>final<|message|>")
CONTROL = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>"]
ROOM, ANSWER = 60, 24
TEXTS = {
    "<think>Answer: no\nHm.\n</think>\nAnswer: yes\n": ("yes", "complete"),
    "<think>No. Answer: yes. Yes.</think>No.\n": ("no", "complete"),
    "<think>Yes.</think>Hm.\nAnswer: no.": ("no", "complete"),
    "<think>Answer: yes\n" + 20 * "Answer: yes\n": ("unfinished", "limit"),
    "Hm.\nAnswer: no\n<think>": ("no", "complete"),
    "<think>Yes.</think>" + " on" * 40: ("unparsed", "limit"),
    "<think>a</think><think>Answer: no\n</think>Answer: yes\n": ("yes", "complete"),
}
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
CHANNELS = {
    f"<|channel|>analysis<|message|>Answer: no\n{FINAL}Answer: yes\n": ("yes", "complete"),
    "<|channel|>final<|message|>No.\n": ("no", "complete"),
    "<|channel|>analysis<|message|>Answer: no\n" + 30 * "No.\n": ("unfinished", "limit"),
}  # fmt: skip


def make_own(kind):
    return copy.deepcopy(tiny.tokenizer(kind, ("<think>Hm. No. Yes. a</think>",)))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def scripted(tokenizer, texts, behind=()):
    """A stretch of script for each text and the tokens `behind` it; prompts that lead to their starts."""
    script, prompts = [], []
    for text in texts:
        prompts.append([9] * (len(script) + 1))
        script += [*tokenizer(text, add_special_tokens=False)["input_ids"], *behind]
        script += tokenizer(" on" * 2 * ROOM, add_special_tokens=False)["input_ids"]
    return script, prompts


def generator(folder, tokenizer, texts, thinking, **changes):
    script, prompts = scripted(tokenizer, texts)
    model = load_model(asking.source(asking.scripted_model(folder, tokenizer, script)), "cpu")
    rules = ThoughtRules(thinking, ROOM, ANSWER, **changes)
    sampling = SamplingSpec(max_tokens=ANSWER, max_thought_tokens=ROOM)
    return Generator(model, tokenizer, sampling, "open", rules), prompts


def tokenizer_of(kind):
    """Own ones, since tokens are added: tags of several tokens, of one, or (channel) of control tokens."""
    tokenizer = make_own(kind if kind == "sentencepiece" else "nobos")
    if kind == "channel":
        tokenizer.add_special_tokens({"additional_special_tokens": CONTROL})
    if kind == "one token a tag":
        tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer


@pytest.mark.parametrize("kind", ["nobos", "sentencepiece", "channel", "one token a tag"])
def test_rows_end_behind_the_answer_and_never_inside_a_thought(tmp_path, kind):
    texts, thinking = (CHANNELS, CHANNEL) if kind == "channel" else (TEXTS, THINK)
    tokenizer = tokenizer_of(kind)
    generate, prompts = generator(tmp_path, tokenizer, texts, thinking)
    outputs = generate(prompts, [bytes(16)] * len(prompts), NoHooks())
    for output, (text, (state, finish)) in zip(outputs, texts.items(), strict=True):
        answer = parse_answer(output.text, lead="open", thinking=thinking)
        assert (answer.state, output.finish) == (state, finish), (text, output.text)
        if finish == "complete":
            assert text.startswith(output.text.strip()) and len(output.text) >= len(text) - 8


@pytest.mark.parametrize("kind", ["nobos", "sentencepiece"])
def test_what_a_stop_check_says_does_not_depend_on_who_asks(kind):
    """Token by token as transformers asks it, and in vLLM's place: the same ends."""
    tokenizer = make_own(kind)
    for text in TEXTS:
        ids = tokenizer(text + " on" * 2 * ROOM, add_special_tokens=False)["input_ids"]
        stop = StopCheck(tokenizer, "open", ThoughtRules(THINK, ROOM, ANSWER))
        row, ends = stop.begin(), []
        for token in ids:
            row.append(token)
            ends.append(stop.ended(row))
        first = next(end for end, reason in enumerate(ends) if reason is not None)
        in_vllm = AnswerStop(StopCheck(tokenizer, "open", ThoughtRules(THINK, ROOM, ANSWER)), [2])
        assert in_vllm.update(ids, False) == ends[first] == TEXTS[text][1]
        assert in_vllm.token_ids == ids[: first + 1]


def test_a_thought_has_its_room_and_the_answer_its_own(tmp_path):
    """Of an opened thought, too: exactly so many tokens, and behind a thought that fits the whole answer."""
    tokenizer = make_own("nobos")
    opened = Thinking("<think>", "</think>", opened=True)
    endless, fits = " on" * 50, " on" * 20 + "</think>" + " on" * 50
    generate, prompts = generator(tmp_path, tokenizer, [endless, fits], opened)
    cut, whole = generate(prompts, [bytes(16)] * 2, NoHooks())
    assert (len(cut.ids), cut.finish) == (ROOM, "limit")
    thought = tokenizer(fits[: fits.index(">") + 1], add_special_tokens=False)["input_ids"]
    assert len(thought) <= ROOM and (len(whole.ids), whole.finish) == (len(thought) + ANSWER, "limit")


SAID = ["<think>Answer: no\nHm.</think>", "<think>No. No. No.</think>"]
ENDLESS, NONE = "<think>" + "Answer: yes\n" * 20, "Answer: yes\n"


@pytest.mark.parametrize("mode", ["logprob", "constrained"])
@pytest.mark.parametrize("packed", [True, False])
def test_options_are_read_behind_the_thought(tmp_path, mode, packed):
    """Inside the thought, and behind the prompt's own cue, the script says no; behind thought and cue yes."""
    tokenizer = make_own("nobos")
    builder = asking.builder(tokenizer)
    cue = tuple(builder.continuation("\nAnswer:"))
    yes, no = spelling_ids(builder)
    script, prompts = scripted(tokenizer, [*SAID, ENDLESS, NONE], [*[9] * len(cue), *yes[0]])
    folder = asking.scripted_model(tmp_path, tokenizer, script)
    config = asking.config(
        folder,
        Prompt("<|assistant|>", tuple(prompts[0]), ()),
        sampling=SamplingSpec(max_tokens=ANSWER, max_thought_tokens=ROOM),
        scoring=ScoringSpec(mode=mode),
        yes_ids=yes,
        no_ids=no,
        cue_ids=cue,
        thinking=THINK,
    )
    requests = [
        dataclasses.replace(asking.request(n, Prompt("", tuple(ids), ()), cue=cue))
        for n, ids in enumerate(prompts)
    ]
    worker = HfWorker(config)
    if not packed:
        worker._packed = None
    rows = worker(asking.table(requests)).to_pylist()
    for row, said in zip(rows, SAID, strict=False):
        reason = "log-odds" if mode == "logprob" else "constrained"
        assert (row["state"], row["reason"], row["fallback"]) == ("yes", reason, False)
        assert row["text"] == said and row["mass"] > 0.99 and row["log_odds"] > 5
        assert row["new_tokens"] == len(row["answer_ids"]) > 0
    endless, none = rows[2:]
    assert (endless["state"], endless["reason"]) == ("unfinished", "unclosed-thought")
    assert (
        endless["new_tokens"] == ROOM
        and endless["log_odds"] is None
        and endless["text"].startswith("<think>")
    )
    assert (none["state"], none["reason"], none["log_odds"]) == ("unparsed", "no-thought", None)


def test_there_is_room_for_thought_answer_and_spelling():
    sampling = SamplingSpec(max_tokens=10, max_thought_tokens=500)
    config = asking.config(Path("none"), Prompt("", (), ()), sampling=sampling, thinking=THINK)
    assert answer_room(config, 20, 22) == 510
    scored = dataclasses.replace(config, scoring=ScoringSpec(mode="logprob"), cue_ids=(1, 2, 3))
    assert answer_room(scored, 20, 22) == 513
