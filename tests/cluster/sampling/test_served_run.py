"""A study whose model a server answers for: plan, run, resume after a kill, another server."""

from __future__ import annotations

import multiprocessing
import re
import signal
import threading
import time

import polars as pl
import pytest
import yaml

from axiograph.cluster.sampling.estimate import estimate
from axiograph.cluster.sampling.executors import InTurn
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.engine.runs.run_dir import create_run, run_at
from axiograph.engine.study.loading import load_study
from axiograph.report.sections.provenance import _server_facts
from tests import openai_server, studies
from tests.openai_server import Server, answer, fault


@pytest.fixture(autouse=True)
def without_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def said(number, body):
    """An answer that depends on who is asked and what, as greedy ones do: persons differ in their values."""
    prompt = body.get("prompt") or body["messages"][-1]["content"]
    asked = prompt.rpartition("Answer: no")[2]
    word = {"joy": "young", "order": "engineer", "power": "bold"}
    likes = any(word[value] in asked for value in word if value in asked)
    yes = (likes == ("like" in asked)) != (sum(map(ord, asked)) % 7 == 0)
    return answer(f"I see it so.\nAnswer: {'yes' if yes else 'no'}\n")


def write(folder, assets, server, model=None, **changes):
    section = openai_server.model(server, **(model or {}))
    steerless = {"steering": [], "scoring": {}, "hints": [{"value": "Joy", "inclination": "inclined"}]}
    path = folder / "study.yaml"
    data = studies.study(assets, **steerless | {"model": section} | changes)
    path.write_text(yaml.safe_dump(data))
    return path


def stored(folder):
    columns = pl.col("request_id"), pl.col("text"), pl.col("finish", "device").cast(pl.String)
    return run_at(folder / "run").store().scan().select(*columns).sort("request_id").collect()


def asked_of(study, retry_failed=False):
    """What `axiograph run` does up to the last answer."""
    loaded = load_study(study)
    run = create_run(loaded.out)
    with run.locked():
        prepared = prepare(loaded, run)
        return sample(prepared, run, InTurn(prepared.kinds()), retry_failed=retry_failed)


@pytest.mark.slow
def test_a_study_goes_from_plan_to_report(axiograph, study_assets, tmp_path):
    with Server(said) as server:
        study = write(tmp_path, study_assets, server)
        code, out, err = axiograph("run", study, "--jobs", "1")
        assert code == 0, err
        requests = stored(tmp_path).height
        assert f"{requests:,} answers in" in out and len(server.asked) == requests + 1
        code, out, err = axiograph("run", study, "--jobs", "1")
        assert code == 0 and "nothing was asked" in out and len(server.asked) == requests + 1
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "not even a greedy one" in page and "root /models/test" in page


def test_a_study_is_planned_and_asked_once(axiograph, study_assets, tmp_path):
    with Server(said) as server:
        prices = {"prices": {"input": 2, "output": 10}}
        study = write(tmp_path, study_assets, server, prices | {"concurrency": 8})
        code, out, err = axiograph("plan", study)
        assert code == 0, err
        assert server.asked == [] and not (tmp_path / "run").exists()
        requests = int(re.search(r"requests +([\d,]+)", out)[1].replace(",", ""))
        assert "characters / 4" in out and "at 2 a million tokens read and 10 written" in out
        assert f"at most {6 * requests:,}" in out and "8 at once" in out
        assert asked_of(study).answered == requests
        assert len(server.asked) == requests + 1  # the canary
        rows = stored(tmp_path)
        assert rows.height == requests and set(rows["device"]) == {"gpt-test-2025-01-01"}
        assert asked_of(study).answered == 0 and len(server.asked) == requests + 1
    # From here on there is nobody to ask.
    code, out, err = axiograph("show", tmp_path / "run", rows["request_id"][0].hex())
    assert code == 0, err
    assert "answer (7 tokens, eos)" in out and "tokens: the server's" in out and "Thought:" in out
    run = run_at(tmp_path / "run")
    facts = dict(_server_facts(run, run.manifest()))
    assert facts["Server"].startswith(server.url) and "root /models/test" in facts["Server"]
    assert facts["Cost"].startswith(f"{requests * (11 * 2 + 7 * 10) / 1e6:,.2f} for")


def test_the_estimate_counts_characters(study_assets, tmp_path):
    with Server(said) as server:
        study = load_study(write(tmp_path, study_assets, server, {"prices": {"input": 1e6, "output": 0}}))
        prepared = prepare(study, run_at(tmp_path / "run"), measure=False)
    found = estimate(prepared, 30.0)
    fields = [
        prepared.inputs.fields(role, condition, item) for _, role, condition, item, _ in prepared.plan.rows()
    ]
    characters = sum(len(prompt.text) for prompt in prepared.build(fields))
    assert found.left == len(fields) > 512
    assert found.prompt_tokens == pytest.approx(characters / 4, rel=0.02)
    assert found.server.cost == found.prompt_tokens and found.timings == ()
    assert found.server.new_tokens == 6 * found.left


def test_failures_are_counted_and_asked_again_and_an_ending_keeps_what_came(
    axiograph, study_assets, tmp_path
):
    def reply(number, body):
        if "like joy number 0" in str(body).rpartition("Question:")[2]:
            return fault(400, "a bad day")
        return said(number, body)

    with Server(reply) as server:
        study = write(tmp_path, study_assets, server, {"concurrency": 1})
        # The canary is the first role's first item.
        server.reply = lambda n, body: said(n, body) if n == 0 else reply(n, body)
        assert asked_of(study).failed == 50
        before = len(server.asked)
        server.reply = lambda n, body: said(n, body) if n < before + 21 else fault(401, "no more")
        code, _, err = axiograph("run", study, "--jobs", "1", "--retry-failed", "--anyway")
        assert code == 1 and "the key is refused" in err and "Traceback" not in err
        rows = stored(tmp_path)
        assert rows.height == rows["request_id"].n_unique() and "failed" not in set(rows["finish"])
        server.reply = said
        done = asked_of(study)
        assert (done.answered, done.failed) == (30, 0)


def test_another_address_goes_on_and_another_model_does_not(axiograph, study_assets, tmp_path):
    with Server(said) as server:
        study = write(tmp_path, study_assets, server)
        asked_of(study)
        rows = stored(tmp_path).height
    roles = {"generate": [{"fields": str(study_assets / "fields.yaml"), "n": 25}]}
    with Server(said) as server:
        study = write(tmp_path, study_assets, server, roles=roles)
        assert asked_of(study).answered == 24
        server.listed = openai_server.models(openai_server.NAME, root="/models/other", owned_by="tests")
        code, _, err = axiograph("run", study, "--jobs", "1")
        assert code == 2 and "the model itself changed" in err
    roles = {"generate": [{"fields": str(study_assets / "fields.yaml"), "n": 26}]}
    with Server(lambda n, body: answer("yes\n", model="gpt-test-2025-09-09")) as server:
        study = write(tmp_path, study_assets, server, roles=roles)
        code, _, err = axiograph("run", study, "--jobs", "1")
        assert code == 1 and "answers of 'gpt-test-2025-01-01' only" in err
        assert len(server.asked) == 1 and stored(tmp_path).height == rows + 24


def test_commands_that_need_the_model_refuse(axiograph, study_assets, tmp_path):
    contrast = tmp_path / "contrast.yaml"
    contrast.write_text(
        "name: joy\npositive: [{role: merry}]\nnegative: [{role: sad}]\nlayers: [1]\nspan: last\n"
    )
    with Server(said) as server:
        study = write(tmp_path, study_assets, server)
        code, _, err = axiograph("direction", study, "--from", contrast)
        assert code == 2 and "a server answers" in err, err
        assert axiograph("features", study)[0] == 2
    assert server.asked == []


def test_a_pilot_of_a_server_is_asked_another_way_too(axiograph, study_assets, tmp_path):
    with Server(said) as server:
        study = write(tmp_path, study_assets, server)
        _, out, err = axiograph("check", study, "--alternatives", "--roles", "6", "--requests", "30")
        assert "chat template, generate" in out and "openai" in out, err
        paths = {asked.path for asked in server.asked}
    assert paths == {"/v1/completions", "/v1/chat/completions"}


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(study_assets, tmp_path):
    enough = threading.Event()

    def slow(number, body):
        if number >= 300:
            enough.set()
            time.sleep(30)
        return said(number, body)

    with Server(slow) as server:
        study = write(tmp_path, study_assets, server, {"concurrency": 8})
        process = multiprocessing.get_context("forkserver").Process(target=asked_of, args=(str(study),))
        process.start()
        assert enough.wait(60)
        deadline = time.monotonic() + 30
        while not list((tmp_path / "run" / "responses").glob("*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        before = stored(tmp_path)
        assert 100 <= before.height < 300
        server.reply, first = said, len(server.asked)
        asked_of(study)
        after = stored(tmp_path)
        prompts = [asked.body["prompt"] for asked in server.asked[first + 1 :]]
    assert len(prompts) == after.height - before.height
    assert after.height == after["request_id"].n_unique()
    kept = after.filter(pl.col("request_id").is_in(before["request_id"].implode()))
    assert kept.equals(before)
