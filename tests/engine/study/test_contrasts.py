"""A contrast says which texts are on which side, or an error names the field."""

import pytest
import yaml

from axiograph.engine.errors import InputError
from axiograph.engine.study.contrasts import load_contrast, parse_contrast

LISTS = {"name": "calm", "layers": [2, 1], "span": "last", "positive": ["calm", "mild"], "negative": ["wild"]}
PAIR = {
    "positive": {"question": "Is it?", "answer": " yes"},
    "negative": {"question": "Is it?", "answer": " no"},
}
PAIRS = {"name": "yes", "layers": "all", "span": "answer", "pairs": [PAIR]}


def parsed(**changes):
    base = PAIRS if "pairs" in changes else LISTS
    return parse_contrast(base | changes, "contrast")


def test_a_plain_string_is_a_role():
    spec = parsed()
    assert [text.role for text in spec.positive] == ["calm", "mild"]
    assert all(text.is_asked for _, text, _ in spec.texts())
    assert [str(point) for point in spec.hook_points(3)] == ["resid_post.1", "resid_post.2"]


def test_both_texts_of_a_pair_have_one_group_and_bring_their_questions():
    (first, second) = parsed(pairs=[PAIR]).texts()
    assert (first[0], second[0]) == (True, False) and first[2] == second[2]
    assert not first[1].is_asked
    assert len(parsed(pairs=[PAIR]).hook_points(4)) == 4


def test_the_order_of_the_file_changes_nothing_and_everything_else_does():
    spec = parsed(questions=["A?", "B?"])
    turned = parsed(positive=["mild", "calm"], layers=[1, 2], questions=["B?", "A?"])
    assert spec.digest == turned.digest
    assert {t.key for _, t, _ in spec.texts()} == {t.key for _, t, _ in turned.texts()}
    others = [
        parsed(),
        parsed(questions=["A?", "C?"]),
        parsed(questions=["A?", "B?"], span="prompt"),
        parsed(questions=["A?", "B?"], place="resid_pre"),
        parsed(questions=["A?", "B?"], positive=["calm"]),
        parsed(questions=["A?", "B?"], positive=["wild"], negative=["calm", "mild"]),
    ]
    assert len({spec.digest, *(other.digest for other in others)}) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer": [1]}, "did you mean layers"),
        ({"positive": [{"rol": "calm"}]}, "positive.0.rol"),
        ({"name": "a/b"}, "field name"),
        ({"layers": []}, "layers: all"),
        ({"layers": [1, 1]}, "every number once"),
        ({"positive": []}, "'positive' and 'negative' together"),
        ({"pairs": [PAIR], "positive": ["calm"]}, "either 'pairs'"),
        ({"positive": ["calm", "wild"]}, "no text on both sides"),
        ({"positive": ["calm", "calm"]}, "every text once"),
        ({"positive": [{"prompt": "Hello", "role": "calm"}]}, "nothing but 'answer'"),
        ({"positive": ["calm", {"prompt": "Hello"}]}, "in every text, or in none"),
        ({"positive": [{}]}, "'role', 'hint', 'question', 'prompt' or 'answer'"),
        ({"positive": [{"hint": " "}]}, "a 'hint' that is not empty"),
        ({"positive": ["calm\ue000"]}, "U\\+E000"),
        ({"span": "answer"}, "an 'answer' in every text"),
        ({"pairs": [PAIR], "span": "prompt"}, "'span: answer' or 'last'"),
        ({"pairs": [PAIR], "questions": ["Is it?"]}, "no 'questions'"),
        ({"questions": []}, "no two are alike"),
        ({"questions": 0}, "field questions"),
    ],
)
def test_errors_name_what_is_wrong(changes, message):
    with pytest.raises(InputError, match=f"(?i){message}"):
        parsed(**changes)


def test_files(tmp_path):
    path = tmp_path / "calm.yaml"
    path.write_text(yaml.safe_dump(LISTS))
    assert load_contrast(path).name == "calm"
    path.write_text("- calm")
    with pytest.raises(InputError, match=r"calm\.yaml: expected a mapping"):
        load_contrast(path)
    with pytest.raises(InputError, match="layers from 0 to 1"):
        parsed().hook_points(2)
