"""What a pilot's answers show, and what is made of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from axiograph.cluster.check.findings import Share, find
from axiograph.cluster.check.verdict import judge
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.scales import Scale

ITEMS = [
    Item(f"{value}{number}", "q", value, 1 if number % 2 else -1, f"Is {value} {number} so?")
    for value in ("Care", "Power")
    for number in range(4)
]
ROLES = [f"role {number}" for number in range(12)]


def frame(answer, mode="generate", **columns):
    """`answer`(role number, item) → state, text."""
    rows = []
    for number, role in enumerate(ROLES):
        for item in ITEMS:
            state, text = answer(number, item)
            rows.append({"role": role, "item_id": item.item_id, "state": state, "text": text})
    defaults = {"mode": mode, "finish": "complete", "reason": "answer-line", "fallback": False}
    plain = pl.DataFrame(rows).with_columns(**{k: pl.lit(v) for k, v in {**defaults, **columns}.items()})
    for name in ("log_odds", "mass"):
        if name not in plain.columns:
            plain = plain.with_columns(pl.lit(None, pl.Float64).alias(name))
    if "chosen" not in plain.columns:
        plain = plain.with_columns(chosen=pl.lit(None, pl.Int16))
    return plain.with_columns(probabilities=pl.lit(None, pl.List(pl.Float64)))


def inputs(chat=False, max_tokens=40):
    study = SimpleNamespace(sampling=SimpleNamespace(max_tokens=max_tokens))
    role = object()
    return SimpleNamespace(
        study=study, template=SimpleNamespace(chat=chat), roles=(role,), items_for=lambda role: ITEMS
    )


def verdict_of(table):
    findings = find(table, ITEMS, "thought")
    return findings, judge(findings, inputs())


def by_value(number, item):
    """Roles differ in Care alone: half of them are for it."""
    if item.value == "Power":
        return ("yes" if (number + hash_of(item)) % 2 else "no"), "Answer: yes"
    return ("yes" if (number % 2 == 0) == (item.agreement == 1) else "no"), "Answer: yes"


def hash_of(item):
    return sum(map(ord, item.item_id))


SCALE = Scale.of("three", ["low", "middle", "high"])


@pytest.mark.parametrize(("shares", "hopeless"), [((0.0, 1.0, 0.0), True), ((0.3, 0.3, 0.4), False)])
def test_one_option_for_everything_teaches_nothing(shares, hopeless):
    """Every third role and item an option of its own, or the middle whatever is asked."""
    on_scale = [replace(item, scale=SCALE) for item in ITEMS]
    table = frame(lambda number, item: ("chosen", "Answer: middle"))
    options = np.random.default_rng(1).choice(3, table.height, p=shares)
    findings = find(table.with_columns(chosen=pl.Series(options, dtype=pl.Int16)), on_scale, "thought")
    assert findings.usable.value == 1.0 and findings.yes.of == 0
    label, share = findings.top_option
    assert (label == "middle" and share.value == 1.0) == hopeless
    concerns = [concern for concern in judge(findings, inputs()).concerns if "'middle'" in concern.text]
    assert bool(concerns) == hopeless and all(concern.hopeless for concern in concerns)


def test_shares_have_intervals():
    share = Share(8, 10)
    low, high = share.interval
    assert share.value == 0.8 and (round(low, 3), round(high, 3)) == (0.49, 0.943)  # Wilson 1927
    assert Share(0, 0).value is None and Share(0, 0).interval == (0, 1)


def test_a_model_that_answers_is_said_to():
    findings, verdict = verdict_of(frame(by_value))
    assert findings.usable == Share(96, 96) and 0.3 < findings.yes.value < 0.7
    assert findings.differences.p <= 0.01 and not verdict.hopeless


def test_no_to_everything_teaches_nothing():
    _, verdict = verdict_of(frame(lambda number, item: ("no", "Answer: no")))
    assert verdict.hopeless and "says no to nearly everything (0 % yes)" in verdict.concerns[0].text
    assert verdict.reliability is None


def test_answers_that_cannot_be_read_teach_nothing():
    def mostly_unread(number, item):
        return by_value(number, item) if number < 3 else ("unparsed", "I am a cat.\n")

    findings, verdict = verdict_of(frame(mostly_unread))
    assert verdict.hopeless and "only 25 % of the answers can be read" in verdict.concerns[0].text
    assert findings.unread == (("I am a cat.", 72),)
    some = frame(lambda number, item: by_value(number, item) if number > 1 else ("refused", "No comment"))
    _, verdict = verdict_of(some)
    assert not verdict.hopeless and "17 % of the answers cannot be read" in verdict.concerns[0].text


def test_a_pilot_of_few_answers_ends_no_run():
    few = frame(lambda number, item: ("no", "Answer: no")).head(30)
    _, verdict = verdict_of(few)
    assert verdict.concerns and not verdict.hopeless


def test_failed_rows_are_no_answers():
    table = frame(by_value).with_columns(
        finish=pl.when(pl.col("role") == "role 0").then(pl.lit("failed")).otherwise(pl.lit("complete"))
    )
    findings = find(table, ITEMS, "thought")
    assert (findings.answers, findings.failed) == (88, 8)


def test_thoughts_that_go_against_their_answer_are_counted():
    def against(number, item):
        state, _ = by_value(number, item)
        said = {"yes": "no", "no": "yes"}[state] if number < 4 else state
        return state, f"{said.capitalize()}, that is how I am.\nAnswer: {state}"

    findings, verdict = verdict_of(frame(against))
    assert findings.contradictions == Share(32, 96)
    assert any("32 of 96 thoughts" in concern.text for concern in verdict.concerns)


def test_what_an_open_turn_begins_with_is_no_thought():
    """“No, I don't.” without a marker is the answer itself: counted as a thought, it would always agree."""
    table = frame(
        lambda number, item: (by_value(number, item)[0], f"{by_value(number, item)[0]}, that is so.")
    )
    assert find(table, ITEMS, "open").contradictions == Share(0, 0)


def test_odds_are_read_with_their_mass():
    def scored(low):
        table = frame(
            lambda number, item: (by_value(number, item)[0], ""), "logprob", mass=0.2 if low else 0.9
        )
        sign = pl.when(pl.col("state") == "yes").then(1.0).otherwise(-1.0)
        return table.with_columns(log_odds=sign)

    findings, verdict = verdict_of(scored(low=False))
    assert findings.mass == 0.9 and findings.spread > 0.9 and findings.contradictions.of == 0
    assert findings.differences.p <= 0.01
    _, verdict = verdict_of(scored(low=True))
    assert any("probability of 0.20" in concern.text for concern in verdict.concerns)
    behind = scored(low=False).with_columns(fallback=pl.lit(True), reason=pl.lit("fallback"))
    findings, verdict = verdict_of(behind)
    assert findings.fallback == Share(96, 96)
    assert any("only be read behind a thought" in concern.text for concern in verdict.concerns)


@pytest.mark.parametrize(
    ("p", "high", "hopeless"), [(0.5, 0.05, True), (0.5, 0.5, False), (0.01, 0.05, False)]
)
def test_roles_that_do_not_differ_end_a_run_only_where_the_pilot_could_have_seen_it(p, high, hopeless):
    findings = find(frame(by_value), ITEMS, "thought")
    differences = replace(findings.differences, p=p, icc=0.02, icc_low=-0.1, icc_high=high)
    verdict = judge(replace(findings, differences=differences), inputs())
    assert verdict.hopeless is hopeless and verdict.concerns


def test_a_tag_without_the_setting_is_said_and_not_parsed():
    def thinks(number, item):
        return by_value(number, item)[0], "<think>Answer: no\n</think>Answer: yes"

    findings, verdict = verdict_of(frame(thinks))
    assert findings.tag == ("<think>", Share(96, 96)) and not findings.unfinished.of
    (concern,) = (concern for concern in verdict.concerns if "<think>" in concern.text)
    assert "96 of 96 texts hold the tag of a thought" in concern.text and "thinking: on" in concern.remedy
    assert not concern.hopeless and not verdict_of(frame(by_value))[0].tag[1].count


def test_thoughts_that_come_to_no_end_are_said():
    def thinks(number, item):
        if number % 4 == 0:
            return "unfinished", "<think>I wonder"
        return by_value(number, item)[0], "<think>Hm.</think>Answer: yes"

    table = frame(thinks, finish="limit")
    findings = find(table, ITEMS, "open", Thinking("<think>", "</think>"))
    assert findings.unfinished == Share(24, 96) and findings.usable == Share(72, 96)
    assert findings.cut == Share(72, 96) and not findings.tag[1].of
    study = inputs()
    study.study.sampling.max_thought_tokens = 30
    texts = [concern.text for concern in judge(findings, study).concerns]
    assert any(text.startswith("25 % of the thoughts come to no end within 30 tokens") for text in texts)
