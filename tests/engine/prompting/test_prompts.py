"""Prompts: the tokenizer's own convention to the letter, and the span where it is marked, nowhere else."""

from __future__ import annotations

import functools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axiograph.engine.answers.parsing import NO_SPELLINGS, YES_SPELLINGS
from axiograph.engine.errors import InputError
from axiograph.engine.prompting.prompts import PromptBuilder, PromptFields
from axiograph.engine.prompting.template import Template, load_template
from axiograph.engine.study.schema import PromptSpec
from tests.engine.tokenisers import BOS, KINDS, make_tokenizer, tokenizer

PLAIN = tuple(kind for kind in KINDS if kind != "chat")
WORDS = " your values"
FIELDS = PromptFields("Job: cook", "Ann", "As a person you like joy.", "Is it good to plan?", "Joy")


def text_template(source: str, chat: bool = False) -> Template:
    spans = "span" in source
    variables = set(re.findall(r"\b(role|role_name|hint|question|value)\b", source))
    return Template("mine", chat, "\nAnswer:", (("user", source),), frozenset(variables), spans)


@functools.cache
def builder(kind: str, name: str = "default") -> PromptBuilder:
    chat = kind == "chat"
    spec = PromptSpec(template="chat" if chat else name, chat=chat)
    return PromptBuilder(load_template(spec), tokenizer(kind))


def mine(kind: str, source: str) -> PromptBuilder:
    return PromptBuilder(text_template(source, kind == "chat"), tokenizer(kind))


def decoded(kind: str, prompt) -> str:
    return tokenizer(kind).decode([prompt.ids[i] for i in prompt.span], clean_up_tokenization_spaces=False)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ue000\ue001"), max_size=25),
    st.lists(
        st.sampled_from(
            [
                " your values",
                "your values",
                "values",
                " ",
                "  ",
                "\n",
                "é",
                "e\u0301",
                "😀",
                "👩‍👩‍👧",
                "日本",
                "ß",
                "▁",
                "{{ x }}",
                ".",
            ]
        ),
        max_size=6,
    ).map("".join),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(role=TEXTS, hint=TEXTS, question=TEXTS)
@example(role=" your values", hint="your values", question="Are your values your values? ")
@example(role="in keeping with your values.", hint="", question="\n your values\n")
def test_the_span_is_the_marked_place_whatever_stands_around_it(kind, role, hint, question):
    fields = PromptFields(role, "Ann", hint, question, "Joy")
    made = builder(kind)
    text, ranges = made.texts(fields)
    (prompt,) = made.build([fields])
    assert prompt.text == text
    assert decoded(kind, prompt).strip() == "your values"
    # It is one place, the template's own: the words of the examples and of the instruction stand around it.
    assert list(prompt.span) == list(range(prompt.span[0], prompt.span[-1] + 1))
    before = tokenizer(kind).decode(prompt.ids[: prompt.span[0]], clean_up_tokenization_spaces=False)
    assert before.rstrip().endswith("in keeping with")
    (empty,) = made.build([PromptFields("", "", "", "Q", "Joy")])
    assert prompt.span == empty.span
    ((start, end),) = ranges
    assert text[start:end] == WORDS


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(role=TEXTS, question=TEXTS)
def test_ids_are_those_that_the_tokenizer_itself_gives(kind, role, question):
    fields = PromptFields(role, "Ann", "", question, "Joy")
    (prompt,) = builder(kind).build([fields])
    own = tokenizer(kind)
    bos = own.convert_tokens_to_ids("<s>")
    assert list(prompt.ids).count(bos) == (kind in BOS)
    if kind == "chat":
        assert prompt.text.startswith("<s>")
        assert list(prompt.ids) == own(prompt.text, add_special_tokens=False)["input_ids"]
    else:
        assert list(prompt.ids) == own(prompt.text)["input_ids"]
    assert prompt.ids[0] == bos or kind not in BOS


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_what_its_rows_are_alone(kind):
    rows = [
        FIELDS,
        PromptFields("", "", "", "Q", "Joy"),
        PromptFields("Job: judge " * 9, "Bob", "", "Why?", "Joy"),
    ]
    assert builder(kind).build(rows) == [builder(kind).build([row])[0] for row in rows]
    assert builder(kind).build([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_text_reaches_the_prompt_unchanged(kind):
    fields = PromptFields(
        "{{ question }} & <b> {% raw %}", "Ann", "'quoted' \"twice\"", "{# no comment #}?", "Joy"
    )
    (prompt,) = builder(kind).build([fields])
    for text in (fields.role, fields.hint, fields.question):
        assert text in prompt.text


@pytest.mark.parametrize("kind", PLAIN)
def test_a_span_at_the_very_start_and_one_at_the_very_end(kind):
    (prompt,) = mine(kind, '{{ "Answer as" | span }} the person: {{ question }}').build([FIELDS])
    assert decoded(kind, prompt).strip() == "Answer as"
    assert prompt.span[0] == (kind in BOS)
    (prompt,) = mine(kind, '{{ question }} In keeping with{{ " your values" | span }}').build([FIELDS])
    assert decoded(kind, prompt).strip() == "your values"
    assert prompt.span[-1] == len(prompt.ids) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_several_spans(kind):
    source = 'Keep{{ " your values" | span }}. {{ question }} Remember{{ " the answer" | span }}!'
    (prompt,) = mine(kind, source).build([FIELDS])
    assert decoded(kind, prompt).split() == ["your", "values", "the", "answer"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["日本 é", "e\u0301 😀", "👩‍👩‍👧"])
def test_a_span_of_characters_that_take_several_tokens(kind, words):
    (prompt,) = mine(kind, f'Keep{{{{ " {words}" | span }}}} now. {{{{ question }}}}').build([FIELDS])
    assert decoded(kind, prompt).strip() == words
    assert len(prompt.span) > 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "source", ['ans{{ "wer" | span }}. {{ question }}', 'a {{ "answ" | span }}er. {{ question }}']
)
def test_an_edge_inside_a_token_is_refused(kind, source):
    with pytest.raises(InputError, match=r"mine, span '(wer|answ)': expected tokens that decode to exactly"):
        mine(kind, source).build([FIELDS])


def test_a_tokenizer_that_merges_the_full_stop_into_the_span_is_refused():
    """tests.tiny's SentencePiece has a piece "values.", which real ones, trained on words, have not."""
    with pytest.raises(InputError, match=r"found 'your values\.'\. Let the span begin and end between words"):
        builder("sentencepiece").build([FIELDS])


def test_a_span_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="the span in every prompt, found none in 'Is it good"):
        mine("bpe", '{% if role %}Keep{{ " it" | span }}. {% endif %}{{ question }}').build(
            [PromptFields("", "", "", "Is it good?", "Joy")]
        )
    with pytest.raises(InputError, match="decode to exactly the span"):
        mine("bpe", "{{ question }}{{ hint | span }}").build([PromptFields("", "", "", "Q", "Joy")])
    assert mine("bpe", "{{ question }}").build([FIELDS])[0].span == ()


@pytest.mark.parametrize("kind", BOS)
def test_a_template_that_writes_bos_itself_gets_no_second_one(kind):
    (prompt,) = mine(kind, "<s>{{ question }}" if kind != "chat" else "{{ question }}").build([FIELDS])
    assert list(prompt.ids).count(tokenizer(kind).bos_token_id) == 1
    assert prompt.ids[0] == tokenizer(kind).bos_token_id


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_and_cue_are_tokenised_as_one_text(kind):
    made, own = builder(kind), tokenizer(kind)
    (prompt,) = made.build([FIELDS], cue="\nAnswer:")
    joint = own(prompt.text + "\nAnswer:", add_special_tokens=kind != "chat")["input_ids"]
    assert list(prompt.cued) == joint
    # Only where ":" and the line break are one token does the cue change a token of the prompt.
    assert (prompt.cued[: len(prompt.ids)] == prompt.ids) == (kind != "llama3")
    assert [prompt.cued[i] for i in prompt.span] == [prompt.ids[i] for i in prompt.span]
    assert made.build([FIELDS])[0].cued == ()


def test_the_span_knows_its_words():
    made = mine("bpe", "Keep{{ ' your  values' | span }} and{{ value | span }}. {{ question }}")
    (prompt,) = made.build([FIELDS])
    assert prompt.span_text == f"your values {FIELDS.value}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [*YES_SPELLINGS, *NO_SPELLINGS])
def test_spellings_continue_the_cue(kind, text):
    made, own = builder(kind), tokenizer(kind)
    cue = "Question: why\nThought: I do.\nAnswer:"
    before = own(cue, add_special_tokens=False)["input_ids"]
    joint = own(cue + text, add_special_tokens=False)["input_ids"]
    assert [*before, *made.continuation(text)] == joint


def test_chat_templates_that_refuse_or_drop_the_messages():
    own = make_tokenizer("chat")
    template = load_template(PromptSpec(template="chat", chat=True))
    own.chat_template = "{{ raise_exception('System role not supported') }}{{ messages[0].content }}"
    with pytest.raises(
        InputError, match=r"chat: expected messages \(system, user, assistant\).*System role not"
    ):
        PromptBuilder(template, own).build([FIELDS])
    own.chat_template = "{% for m in messages %}{{ m.role }} {% endfor %}"
    with pytest.raises(InputError, match="chat template takes"):
        PromptBuilder(template, own).build([FIELDS])
    own.chat_template = "{% for m in messages[1:] %}{{ m.content }}{% endfor %}"
    with pytest.raises(InputError, match="the span in every prompt"):
        PromptBuilder(template, own).build([FIELDS])


def test_chat_templates_do_not_know_what_day_it_is():
    own = make_tokenizer("chat")
    own.chat_template = "{{ strftime_now('%d %b %Y') }}{% for m in messages %} {{ m.content }}{% endfor %}"
    (prompt,) = PromptBuilder(text_template("{{ question }}", chat=True), own).build([FIELDS])
    assert prompt.text == f"01 Jan 2025 {FIELDS.question}"


@pytest.mark.parametrize(
    "chat_template", ["{{ messages[0].content }}", "{{ bos_token }}{{ messages[0].content }}"]
)
def test_bos_is_the_chat_templates_own_affair(chat_template):
    own = make_tokenizer("chat")
    own.chat_template = chat_template
    (prompt,) = PromptBuilder(text_template("{{ question }}", chat=True), own).build([FIELDS])
    assert list(prompt.ids).count(own.bos_token_id) == ("bos" in chat_template)
    assert (
        list(prompt.ids)
        == own.apply_chat_template([{"role": "user", "content": FIELDS.question}])["input_ids"]
    )


def test_a_text_becomes_one_user_message():
    (prompt,) = mine("chat", "{{ question }}").build([FIELDS])
    assert prompt.text == f"<s><|user|>\n{FIELDS.question}\n<|assistant|>\n"
    (prompt,) = builder("chat").build([FIELDS])
    assert prompt.text.endswith("<|assistant|>\nThought:")


def test_tokenisers_that_cannot_serve():
    own = make_tokenizer("bpe")
    with pytest.raises(InputError, match="a tokenizer with a chat template, found none"):
        PromptBuilder(text_template("{{ question }}", chat=True), own)
    with pytest.raises(InputError, match="a fast tokenizer"):
        PromptBuilder(text_template("{{ question }}"), object())


def test_a_template_that_fails_on_some_row_names_itself():
    with pytest.raises(InputError, match=r"mine: expected a template that renders, found .*zero"):
        mine("bpe", "{{ question }}{% if role %}{{ 1 // 0 }}{% endif %}").build([FIELDS])


@pytest.mark.parametrize("kind", KINDS)
def test_control_tokens_in_texts_are_refused(kind):
    made = builder(kind)
    made.check_plain([("role 'Ann'", "s < a </b> <S>"), ("item 1", "<|x|> 日本 your values")])
    for bad in ("</s>", "a</s>b", "<pad>"):
        with pytest.raises(
            InputError, match=rf"item 7: expected plain text, found '{bad.strip('ab')}', a control"
        ):
            made.check_plain([("role 'Ann'", "fine"), ("item 7", bad)])


@given(st.text("<>/s|p ad", max_size=12))
def test_what_is_not_refused_makes_no_control_token(text):
    made, own = builder("bpe"), tokenizer("bpe")
    try:
        made.check_plain([("here", text)])
    except InputError:
        assert set(own(text)["input_ids"][1:]) & set(own.all_special_ids)
    else:
        assert not set(own(text)["input_ids"][1:]) & set(own.all_special_ids)


def test_added_control_tokens_count_and_added_words_do_not():
    from tokenizers import AddedToken

    own = make_tokenizer("bpe")
    own.add_tokens([AddedToken("<|im_end|>", special=True), AddedToken("ordinary", special=False)])
    made = PromptBuilder(text_template("{{ question }}"), own)
    made.check_plain([("item 1", "an ordinary word")])
    with pytest.raises(InputError, match="im_end"):
        made.check_plain([("item 1", "x<|im_end|>")])


def test_digest_changes_with_what_makes_the_ids():
    def digest(kind="chat", source="{{ question }}", chat=False, change=lambda own: None):
        own = make_tokenizer(kind)
        change(own)
        return PromptBuilder(text_template(source, chat), own).digest

    def other_chat(own):
        own.chat_template += " "

    def other_word(own):
        own.add_tokens(["zyzzyva"])

    assert digest() == digest()
    digests = [
        *(digest(kind) for kind in KINDS if kind not in ("chat", "nobos")),
        digest("chat", chat=True),
        digest("chat", source="{{ question }} "),
        digest("chat", chat=True, change=other_chat),
        digest("chat", change=other_word),
    ]
    assert len(set(digests)) == len(digests)
    # The chat template counts only where it is used.
    assert digest("chat", change=other_chat) == digest("chat") == digest("bpe")
    # A BOS that is known and never put makes no difference, unless a chat template may name it.
    assert digest("nobos") == digest("gpt2")

    def other_bos(own):
        own.bos_token = "<unk>"

    def other_eos(own):
        own.eos_token = "<unk>"

    assert digest("gpt2", change=other_bos) == digest("gpt2")
    assert digest("chat", chat=True, change=other_bos) != digest("chat", chat=True)
    assert digest("chat", change=other_eos) != digest("chat")  # answers end elsewhere


def test_digest_and_prompts_do_not_depend_on_earlier_calls():
    own = make_tokenizer("bpe")
    made = PromptBuilder(text_template("{{ question }}"), own)
    before = made.digest, made.build([FIELDS])
    own(["a b c", "d"], padding=True, truncation=True, max_length=2)
    own.padding_side = "left"
    own(["a b c", "d"], padding="max_length", truncation=True, max_length=7)
    assert (made.digest, made.build([FIELDS])) == before
    own(["a b c", "d"], padding=True, truncation=True, max_length=2)
    assert made.build([FIELDS]) == before[1]


def test_digest_survives_saving(tmp_path):
    from transformers import PreTrainedTokenizerFast

    template = text_template("{{ question }}")
    for kind in ("bpe", "metaspace"):
        tokenizer(kind).save_pretrained(tmp_path / kind)
        first = PreTrainedTokenizerFast.from_pretrained(tmp_path / kind)
        first.save_pretrained(tmp_path / "again")
        second = PreTrainedTokenizerFast.from_pretrained(tmp_path / "again")
        assert PromptBuilder(template, first).digest == PromptBuilder(template, second).digest


def test_an_empty_cue_leaves_the_prompt_as_it_is():
    made = PromptBuilder(text_template("{{ question }}"), make_tokenizer("bpe"))
    (plain,), (cued,) = made.build([FIELDS]), made.build([FIELDS], "")
    assert plain.cued == () and cued.cued == cued.ids == plain.ids
