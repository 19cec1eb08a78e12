"""The section `model`: a model here or one of a server, and never a key."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.plan.snapshot import study_as_json
from axiograph.engine.study.loading import parse_study
from tests import studies

SERVED = {"backend": "openai", "name": "gpt-x", "url": "http://host:8000/v1"}


def parsed(model=SERVED, **changes):
    return parse_study(studies.bare(model=model, **changes), "study.yaml", Path("/studies"))


def test_a_server_s_model_by_its_defaults_and_through_a_stored_study():
    spec = parsed().model
    assert (spec.key, spec.concurrency, spec.timeout_s, spec.prices) == ("OPENAI_API_KEY", 16, 120, None)
    whole = SERVED | {
        "url": "https://host/v1/", "key": "MY_KEY", "concurrency": 3, "timeout_s": 9,
        "arguments": {"top_k": 1, "temperature": None}, "prices": {"input": 0.15, "output": 0.6},
    }  # fmt: skip
    study = parsed(whole)
    assert study.model.url == "https://host/v1" and study.model.served
    again = parse_study(study_as_json(study), "stored", Path("/studies"))
    assert again == study


@pytest.mark.parametrize("field", ["key", "url"])
@pytest.mark.parametrize("others", [{}, {"unknown": 1}, {"concurrency": 0}])
def test_what_may_be_a_key_is_not_shown(field, others):
    secret = {"key": "sk-Very-Secret", "url": "https://me:Very-Secret@host/v1"}[field]
    with pytest.raises(InputError) as caught:
        parsed(SERVED | {field: secret} | others)
    assert "Very-Secret" not in str(caught.value)
    assert f"model.{field}" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["host/v1", "ftp://host/v1", "https://", "http://a b/v1", "http://h/v1?key=x", "http://h/#x",
            "http://h:port/v1", "http://h:99999/v1", 3, ""],
)  # fmt: skip
def test_addresses_that_are_none(url):
    with pytest.raises(InputError, match=r"model\.url: expected an address"):
        parsed(SERVED | {"url": url})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hub": "org/model"}, "no 'hub' beside"),
        ({"dtype": "float32"}, "no 'dtype' beside"),
        ({"device": "cpu"}, "no 'device' beside"),
        ({"engine_args": {"max_num_seqs": 3}}, "no 'engine_args' beside"),
        ({"name": None}, "'name' and 'url'"),
        ({"url": None}, "'name' and 'url'"),
        ({"arguments": {"seed": 1}}, "sampling.seed"),
        ({"arguments": {"stream": True}}, "arguments without 'stream'"),
        ({"arguments": {"API_KEY": "x"}}, "environment variable"),
        ({"arguments": {"temperature": 1}}, "section sampling"),
        ({"arguments": {"logit_bias": float("nan")}}, "JSON"),
        ({"arguments": {"since": datetime.date(2025, 1, 1)}}, "JSON"),
        ({"prices": {"input": -1, "output": 1}}, "prices.input"),
        ({"prices": {"input": float("inf"), "output": 1}}, "prices.input"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_what_does_not_go_with_a_server(changes, words):
    with pytest.raises(InputError) as caught:
        parsed(SERVED | changes)
    assert words in str(caught.value)


@pytest.mark.parametrize("field", ["name", "url", "key", "arguments", "concurrency", "prices"])
def test_what_does_not_go_with_a_model_here(field):
    value = {"url": "http://h", "key": "K", "arguments": {"a": 1}, "concurrency": 2}.get(field, "n")
    with pytest.raises(InputError, match=f"'{field}' beside 'backend: openai' only"):
        parsed({"path": "m", field: {"input": 1, "output": 1} if field == "prices" else value})


def test_a_server_s_model_is_neither_steered_nor_scored():
    operation = {"direction": {"path": "d.safetensors"}, "hook_point": {"layer": 1}, "strengths": [1]}
    with pytest.raises(InputError, match=r"no 'steering' beside .*hints"):
        parsed(steering=[{"operations": [operation]}])
    with pytest.raises(InputError, match=r"'scoring.mode: generate' .*biased by what is cut off"):
        parsed(scoring={"mode": "logprob"})
