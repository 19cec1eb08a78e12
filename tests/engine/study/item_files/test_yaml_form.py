"""The own YAML form: scales, statements, facets, norms, and every fault by its line."""

from __future__ import annotations

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.item_files.contents import Origin
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.questionnaire import load_questionnaires
from axiograph.engine.study.scales import Scale

FILE = """questionnaire: Ours
source: Made up.
licence: CC0
notes: [For tests only.]
instruction: How well does it describe you?
scales:
  agree3: {labels: [Disagree, Neutral, Agree]}
  often: {labels: ['No', Sometimes, 5], codes: [0, 1, 2], weights: [0, 1, 4]}
scale: agree3
norms:
  Order: [{group: All, mean: 2.5, sd: 0.5, n: 40}, {group: Few, mean: 7, of: sum}]
items:
  - {id: o1, value: Order, agreement: 1, facet: Desk, statement: Tidies up.}
  - {id: o2, value: Order, reversed: true, statement: Lets things lie.}
  - {id: o3, value: Order, agreement: R, scale: often, question: 'Do you lose things?'}
  - {id: p1, value: Play, agreement: '+', question: 'Cards or work?', options: [Work, Cards]}
  - id: p2
    value: Play
    agreement: -1.0
    question: What now?
    options: [{text: Work, weight: 3}, {text: Rest, weight: 0}, {text: Sleep, weight: 1.5}]
  - {id: p3, value: Play, agreement: 1, scale: null, question: 'Do you play?'}
"""


def _load(tmp_path, text):
    path = tmp_path / "q.yaml"
    path.write_text(text, encoding="utf-8")
    return load_questionnaires([path])


def test_scales_keys_facets_and_statements(tmp_path):
    loaded = _load(tmp_path, FILE)
    o1, o2, o3, p1, p2, p3 = loaded.items
    agree3 = Scale("agree3", ("Disagree", "Neutral", "Agree"), (-1.0, 0.0, 1.0), ("1", "2", "3"))
    assert (o1.scale, o2.scale) == (agree3, agree3)
    assert o3.scale == Scale("often", ("No", "Sometimes", "5"), (-1.0, -0.5, 1.0), ("0", "1", "2"))
    assert p1.scale == Scale("p1", ("Work", "Cards"), (-1.0, 1.0), ("1", "2"))
    assert p2.scale == Scale("p2", ("Work", "Rest", "Sleep"), (1.0, -1.0, 0.0), ("1", "2", "3"))
    assert p3.scale is None
    assert [item.agreement for item in loaded.items] == [1, -1, -1, 1, -1, 1]
    assert [item.is_statement for item in loaded.items] == [True, True, *[False] * 4]
    assert (o1.question, o1.facet, o2.facet) == ("Tidies up.", "Desk", "")
    assert {item.instruction for item in loaded.items} == {"How well does it describe you?"}


def test_norms_and_origin_go_with_the_values_that_are_selected(tmp_path):
    loaded = _load(tmp_path, FILE)
    assert loaded.norms == {("Ours", "Order"): (Norm("All", 2.5, 0.5, 40), Norm("Few", 7.0, of="sum"))}
    assert loaded.origins == (Origin("Ours", "Made up.", "CC0", ("For tests only.",)),)
    assert loaded.select(["Ours: Order"], "scale").norms == loaded.norms
    assert loaded.select(["Play"], "name").norms == {}
    assert loaded.select(["Play"], "name").origins == loaded.origins


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            "scale: agree3\n",
            "scale: agree5\n",
            r"a scale of this file, found 'agree5' \(did you mean 'agree3'",
        ),
        ("scale: agree3\n", "", "scale 'agree3': expected a scale that the file or an item names"),
        ("scale: often", "scale: offen", r"line 15: .*'offen' \(did you mean 'often'"),
        ("scale: often", "scale: often, options: [a, b]", "line 15: expected options or a scale, found both"),
        ("[Disagree, Neutral, Agree]", "[Disagree]", r"line 7: expected 2 to 20 options, not 1"),
        (
            "[Disagree, Neutral, Agree]",
            "[Yes, Neutral, Agree]",
            r"line 7: expected a text for option 1, not True",
        ),
        ("[Disagree, Neutral, Agree]", "[agree, Neutral, Agree]", "line 7: expected options that differ"),
        ("[Disagree, Neutral, Agree]", '["a\\u0007", Neutral, Agree]', r"line 7: .*U\+0007"),
        ("codes: [0, 1, 2]", "codes: [0, 1]", "line 8: expected a code of its own for each of 3"),
        ("codes: [0, 1, 2]", "codes: [0, 1, x]", "line 8: expected whole numbers as codes"),
        ("weights: [0, 1, 4]", "weights: [2, 2, 2]", "line 8: expected weights that differ"),
        ("weights: [0, 1, 4]", "weights: [1, 2, .nan]", "line 8: expected a weight for each"),
        ("weights: [0, 1, 4]", "wieghts: [0, 1, 4]", r"'wieghts' \(did you mean 'weights'"),
        ("statement: Tidies up.", "statement: Tidies up., question: Do you", "line 13: .*, found both"),
        ("statement: Tidies up.", "statement: ' '", "line 13: expected a text for statement"),
        ("facet: Desk, statement: Tidies up.", "facet: Desk", "line 13: expected a text for question"),
        ("facet: Desk", "facet: true", "line 13: expected a text for facet, found True"),
        ("facet: Desk", "fasset: Desk", r"line 13: .*'fasset' \(did you mean 'facet'"),
        ("reversed: true", "reversed: maybe", "line 14: expected TRUE or FALSE"),
        ("agreement: R", "agreement: true", "line 15: expected an agreement of 1 or -1, found True"),
        ("[Work, Cards]", "[Work]", "line 16: expected 2 to 20 options, not 1, found in its options"),
        ("[Work, Cards]", "[Work, {text: Cards, weight: 1}]", "line 16: expected texts, or {text, weight}"),
        ("weight: 1.5}", "weight: much}", "line 17: expected numbers as weights"),
        ("licence: CC0", "licence: 3", "licence: expected a text, found 3"),
        ("licence: CC0", "license: CC0", r"'license' \(did you mean 'licence'"),
        ("  Order: [{group: All", "  Ordr: [{group: All", "norms of 'Ordr': .*did you mean 'Order'"),
        ("mean: 2.5", "mean: high", "norms of 'Order': expected a number for mean"),
        ("sd: 0.5", "sd: 0", "norms of 'Order': expected an sd above 0"),
        ("n: 40", "n: 0.5", "norms of 'Order': expected a whole number above 0"),
        ("of: sum", "of: total", "norms of 'Order': expected 'of: mean' or 'of: sum'"),
    ],
)
def test_faults_are_named(tmp_path, old, new, named):
    assert FILE.count(old) == 1
    with pytest.raises(InputError, match=named) as caught:
        _load(tmp_path, FILE.replace(old, new))
    assert str(tmp_path / "q.yaml") in str(caught.value)


def test_a_bad_scale_is_one_fault_and_not_one_for_each_item(tmp_path):
    with pytest.raises(InputError) as caught:
        _load(tmp_path, FILE.replace("[Disagree, Neutral, Agree]", "[Disagree]"))
    assert str(caught.value).count("expected") == 1
