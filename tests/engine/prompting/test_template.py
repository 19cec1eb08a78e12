"""Templates: what is wrong with one is said when the study is read, not when a role comes along."""

from __future__ import annotations

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest_json
from axiograph.engine.prompting.template import SPAN_CLOSE, SPAN_OPEN, load_template
from axiograph.engine.study.schema import PromptSpec


def load(folder, text, name="prompt.j2", **fields):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_template(PromptSpec(path=path, **fields))


@pytest.mark.parametrize(
    ("name", "chat", "roles"),
    [
        ("default", False, ["user"]),
        ("paper_order", False, ["user"]),
        ("chat", True, ["system", "user", "assistant"]),
    ],
)
def test_built_in_templates(name, chat, roles):
    template = load_template(PromptSpec(template=name, chat=chat))
    assert template.marks_span
    assert template.variables == {"role", "hint", "question"}
    assert [role for role, _ in template.sources] == roles
    values = {"role": "R", "hint": "H", "question": "Q"}
    text = "".join(part.render(values) for _, part in template.parts())
    assert text.count(SPAN_OPEN) == text.count(SPAN_CLOSE) == 1
    assert text.split(SPAN_OPEN)[1].split(SPAN_CLOSE)[0] == " your values"
    assert text.endswith("Thought:")
    # What differs between roles stands behind everything that they share, but in the paper's order.
    assert (text.index("Answer: no") < text.index("R")) == (name != "paper_order")


def test_nothing_of_an_absent_role_or_hint_is_left():
    (part,) = (part for _, part in load_template(PromptSpec()).parts())
    text = part.render({"role": "", "hint": "", "question": "Q"})
    assert text.endswith("Answer: no\n\nQuestion: Q\nThought:")


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ('{{ "x" | span }} {{ question }}', True),
        ('{{ "x"|span }} {{ question }}', True),
        ('{{ "x"  |  span }} {{ question }}', True),
        ("{% filter span %}x{% endfilter %} {{ question }}", True),
        ('{# {{ "x" | span }} #}{{ question }}', False),
        ("write | span {{ question }}", False),
        ("{{ question }}", False),
    ],
)
def test_marks_are_found_in_code_only(tmp_path, text, marks):
    assert load(tmp_path, text).marks_span is marks


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{ question", "valid Jinja2"),
        ("{{ question | spam }}", "valid Jinja2, found No filter named 'spam'"),
        ("{{ question }} {{ trait }}", "only the variables .*, found trait"),
        ("{{ role }}", "the variable 'question', found none"),
    ],
)
def test_bad_templates(tmp_path, text, named):
    with pytest.raises(InputError, match=named) as caught:
        load(tmp_path, text)
    assert "prompt.j2" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "text {{ question }}",
        "[]",
        "- {role: user}",
        "- {role: user, content: '{{ question }}', name: x}",
        "- {role: user, content: '{{ question }}'}\n- {role: assistant, content: null}",
        "- {role: 1, content: '{{ question }}'}",
    ],
)
def test_bad_messages(tmp_path, text):
    with pytest.raises(InputError, match=r"prompt\.yaml: expected a list of \{role, content\}"):
        load(tmp_path, text, "prompt.yaml", chat=True)


def test_messages_need_the_chat_template(tmp_path):
    with pytest.raises(InputError, match="'chat: true' beside a list of messages"):
        load(tmp_path, "- {role: user, content: '{{ question }}'}", "prompt.yaml")
    with pytest.raises(InputError, match="chat: false"):
        load_template(PromptSpec(template="chat"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"none\.j2: expected a readable"):
        load_template(PromptSpec(path=tmp_path / "none.j2"))
    (tmp_path / "latin.j2").write_bytes("{{ question }} Grüße".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.j2: expected a readable UTF-8"):
        load_template(PromptSpec(path=tmp_path / "latin.j2"))
    with pytest.raises(InputError, match="valid YAML"):
        load(tmp_path, "- {role: [", "prompt.yaml", chat=True)


def test_a_template_cannot_reach_into_the_program(tmp_path):
    import jinja2

    template = load(tmp_path, "{{ question.__class__.__mro__ }}")
    with pytest.raises(jinja2.exceptions.SecurityError):
        template.parts()[0][1].render({"question": "Q"})


def test_digest_covers_what_makes_the_prompt(tmp_path):
    base = load(tmp_path, "{{ question }}")
    assert load(tmp_path, "{{ question }}", "renamed.j2").digest == base.digest
    assert load(tmp_path, "{{ question }}", answer_cue="\nSo:").digest == base.digest
    assert load(tmp_path, "{{ question }}", chat=True).digest != base.digest
    assert load(tmp_path, "{{ question }}!").digest != base.digest
    messages = "- {role: ROLE, content: '{{ question }}'}"
    digests = {
        load(tmp_path, messages.replace("ROLE", r), "m.yaml", chat=True).digest for r in ("user", "system")
    }
    assert len(digests) == 2


def test_a_byte_order_mark_is_not_part_of_the_prompt(tmp_path):
    plain = load(tmp_path, "{{ question }}").sources
    (tmp_path / "mark.j2").write_bytes(b"\xef\xbb\xbf{{ question }}")
    assert load_template(PromptSpec(path=tmp_path / "mark.j2")).sources == plain


def test_chat_arguments_count_where_there_are_some():
    plain = load_template(PromptSpec(chat=True))
    silent = load_template(PromptSpec(chat=True, chat_arguments={"enable_thinking": False}))
    loud = load_template(PromptSpec(chat=True, chat_arguments={"enable_thinking": True}))
    assert len({plain.digest, silent.digest, loud.digest}) == 3
    assert plain.digest == digest_json([True, plain.sources])  # as before there were any
