"""The worker that asks a server, against one on this machine that does all that servers do."""

from __future__ import annotations

import email.utils
import json
import threading
import time

import pytest

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.openai import client, model, worker
from axiograph.engine.prompting.messages import MessageBuilder
from axiograph.engine.prompting.prompts import PromptFields
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.model import ModelSpec
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.worker import WorkerConfig
from tests import asking, openai_server
from tests.openai_server import Reply, Server, answer, fault

BUILDER = MessageBuilder(asking.TEMPLATE)
YES = "A good day.\nAnswer: yes\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short pauses, and no key from outside."""
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.002)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def requests(count):
    fields = [PromptFields(f"role {i}", "", "", f"Is {i} good?", "Joy") for i in range(count)]
    prompts = BUILDER.build(fields)
    rows = [asking.request(i, prompt) for i, prompt in enumerate(prompts)]
    for row, prompt in zip(rows, prompts, strict=True):
        row.messages.extend({"role": role, "content": content} for role, content in prompt.messages)
    return rows


SAMPLING = SamplingSpec(max_tokens=10)


def made(server, *, chat=False, sampling=SAMPLING, device="", **changes):
    spec = ModelSpec(**openai_server.model(server, **changes))
    canary = BUILDER.build([PromptFields("", "", "", "Is it good?", "Joy")])[0]
    config = WorkerConfig(
        source=model.served_model(spec, chat),
        device=device,
        sampling=sampling,
        scoring=ScoringSpec(),
        yes_ids=(),
        no_ids=(),
        canary=canary,
        steered=frozenset(),
    )
    return worker.ServedWorker(config)


def rows_of(server, count=1, **changes):
    asked = made(server, **changes)
    try:
        return asked(asking.table(requests(count))).to_pylist()
    finally:
        asked.close()


def behind_canary(*replies):
    """A server whose canary is answered; then comes each of `replies`, the last one for ever."""

    def reply(number, body):
        return answer(YES) if number == 0 else replies[min(number, len(replies)) - 1]

    return Server(reply)


def test_rows_are_what_the_server_said():
    with Server(lambda n, body: answer(YES if n % 2 else " I am not sure.\nAnswer: no\n")) as server:
        rows = rows_of(server, 3)
    assert {row["device"] for row in rows} == {"gpt-test-2025-01-01"}
    for request, row in zip(requests(3), rows, strict=True):
        assert row["request_id"] == request.request_id
        assert (row["prompt_tokens"], row["new_tokens"], row["finish"]) == (11, 7, "eos")
        assert (row["backend"], row["dtype"], row["versions"]) == ("openai", "not said", "fingerprint fp_1")
        assert (row["state"] == "yes") == (row["text"] == YES)
        assert row["seconds"] > 0 and row["answer_ids"] == [] and row["steered_tokens"] == 0
    assert {row["state"] for row in rows} == {"yes", "no"}


def test_a_text_is_sent_as_a_text_and_a_chat_as_messages():
    with Server(lambda n, body: answer(YES)) as server:
        rows_of(server)
        rows_of(server, chat=True)
    text, chat = server.asked[1], server.asked[3]
    content = requests(1)[0].messages[0]["content"]
    assert content.endswith("Keep your values. Is 0 good?\nThought:")
    assert (text.path, chat.path) == ("/v1/completions", "/v1/chat/completions")
    plain = {"model": "gpt-test", "max_tokens": 10, "temperature": 0.0}
    assert text.body == plain | {"prompt": content}
    assert chat.body == plain | {"messages": [{"role": "user", "content": content}]}


def test_sampling_is_passed_on_with_a_seed_of_each_request():
    sampling = SamplingSpec(method="sample", temperature=0.7, top_p=0.9, max_tokens=10)
    with Server(lambda n, body: answer(YES)) as server:
        rows_of(server, 2, sampling=sampling)
    first, second = server.asked[1].body, server.asked[2].body
    assert (first["temperature"], first["top_p"]) == (0.7, 0.9)
    assert {first["seed"], second["seed"]} == {0, 1}  # the ids of tests.asking are numbers
    changed = {"temperature": None, "max_tokens": None, "max_completion_tokens": 99, "top_k": 5}
    with Server(lambda n, body: answer(YES)) as server:
        rows_of(server, arguments=changed)
    assert server.asked[1].body.keys() == {"model", "prompt", "max_completion_tokens", "top_k"}


@pytest.mark.parametrize(
    "passing",
    [
        fault(429, "slow down"),
        fault(500),
        fault(503),
        Reply(b"{", 200),
        Reply([1], 200),
        Reply({"choices": []}),
        Reply({"error": {"message": "upstream is away"}}),
        Reply({"choices": "none"}),
        Reply(b"<html>502</html>", 502),
        Reply({"choices": []}, delay_s=0.4),
    ],
)
def test_faults_that_pass_are_tried_again(passing):
    with behind_canary(passing, passing, answer(YES)) as server:
        rows = rows_of(server, timeout_s=0.3)
    assert [row["state"] for row in rows] == ["yes"]
    assert len(server.asked) == 4
    assert len({json.dumps(asked.body) for asked in server.asked[1:]}) == 1


def test_faults_that_stay_become_failed_rows_that_say_why():
    with behind_canary(fault(500, "broken  inside")) as server:
        rows = rows_of(server, 2)
    for row in rows:
        assert row["finish"] == "failed" and row["state"] == "unparsed" and row["text"] == ""
        assert row["reason"] == "failed: no answer: status 500: broken inside (8 times)"
        assert row["prompt_tokens"] is None and row["device"] == "gpt-test-2025-01-01"


def test_a_request_that_is_not_taken_is_not_tried_again():
    with behind_canary(fault(400, "too long", "context_length_exceeded"), answer(YES)) as server:
        rows = rows_of(server, 2, concurrency=1)
    assert [row["finish"] for row in rows] == ["failed", "eos"]
    assert rows[0]["reason"] == "failed: status 400: too long"
    assert len(server.asked) == 3


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "date"])
def test_all_threads_wait_as_long_as_the_server_wants(form):
    wishes = {
        "seconds": {"Retry_After": "0.5"},
        "milliseconds": {"Retry_After_Ms": "500"},
        "date": {"Retry_After": email.utils.formatdate(time.time() + 2, usegmt=True)},
    }
    limited = fault(429, **wishes[form])
    with behind_canary(limited, limited, answer(YES)) as server:
        rows = rows_of(server, 6, concurrency=2)
    assert [row["state"] for row in rows] == ["yes"] * 6
    first, second, *others = server.asked[1:]
    assert second.at - first.at < 0.4
    assert len(others) == 6 and all(asked.at - first.at >= 0.45 for asked in others)


@pytest.mark.parametrize(
    ("wish", "seconds"), [("-3", 0.0), ("nan", None), ("inf", None), ("soon", None), ("7", 7.0)]
)
def test_only_sensible_wishes_count(wish, seconds):
    assert client._wish({"retry-after": wish}) == seconds


@pytest.mark.parametrize("text", [None, ""])
def test_an_answer_of_nothing_is_unparsed(text):
    with behind_canary(answer(text, "length")) as server:
        row = rows_of(server, chat=True)[0]
    assert (row["state"], row["finish"], row["text"], row["new_tokens"]) == ("unparsed", "limit", "", 7)


@pytest.mark.parametrize(
    ("reply", "reason", "text", "tokens"),
    [
        (answer("Well, ", "content_filter"), "content-filter", "Well, ", 7),
        (answer(None, refusal="I will not."), "marked-refusal", "I will not.", 7),
        (fault(400, "filtered", "content_filter"), "content-filter", "", None),
    ],
)
def test_what_a_filter_takes_is_refused_and_no_failure(reply, reason, text, tokens):
    with behind_canary(reply) as server:
        row = rows_of(server, chat=True)[0]
    found = row["state"], row["reason"], row["text"], row["finish"], row["new_tokens"]
    assert found == ("refused", reason, text, "filtered", tokens)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "message",
    [{"choices": [{"message": {"content": 3}}]}, {"choices": [{"message": None}]}],
)
def test_a_message_that_is_none_fails(message):
    with behind_canary(Reply({"model": "gpt-test-2025-01-01"} | message)) as server:
        row = rows_of(server, chat=True)[0]
    assert row["finish"] == "failed" and row["reason"].startswith("failed: no answer: a ")


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [(None, None), ({}, None), ({"completion_tokens": True}, None), ({"completion_tokens": -1}, None),
     ({"completion_tokens": 1 << 40}, None), ({"completion_tokens": 5}, 5), ("many", None)],
)  # fmt: skip
def test_tokens_that_the_server_does_not_count_are_missing(usage, tokens):
    body = answer("yes\n").body | {"usage": usage}
    with behind_canary(Reply(body)) as server:
        row = rows_of(server)[0]
    assert row["new_tokens"] == tokens and row["prompt_tokens"] is None


def test_half_a_character_does_not_break_a_table():
    body = json.dumps(answer("so \ud83d\ude00 \ud800 x\nAnswer: yes\n").body).encode()
    assert b"\\ud800" in body
    with behind_canary(Reply(body)) as server:
        row = rows_of(server)[0]
    assert row["text"] == "so 😀 � x\nAnswer: yes\n" and row["state"] == "yes"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, None, "the key is refused"),
        (402, None, "wants to be paid"),
        (403, None, "the key may not do this"),
        (404, "model_not_found", "no such model"),
        (429, "insufficient_quota", "no credit left"),
        (307, None, "sends elsewhere"),
    ],
)
def test_what_no_retry_mends_ends_the_run_and_keeps_what_was_answered(status, code, words):
    ending = fault(status, "told", code, **({"Location": "http://elsewhere/v1"} if status == 307 else {}))
    with behind_canary(*[answer(YES)] * 5, ending) as server:
        asked = made(server, concurrency=1)
        stored = []
        with pytest.raises(RunError) as caught:
            for table in asked.stream([asking.table(requests(20))]):
                stored += table.to_pylist()
    assert words in caught.value.found
    assert ("http://elsewhere/v1" if status == 307 else "told") in caught.value.found
    assert "the same command continues" in caught.value.remedy
    assert len(stored) == 5 and {row["state"] for row in stored} == {"yes"}
    assert len(server.asked) <= 9


def test_a_wrong_key_is_said_before_anything_is_asked_and_never_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with Server(lambda n, body: fault(401, "Incorrect key sk-very-secret given")) as server:
        with pytest.raises(RunError) as caught:
            made(server, key="MY_KEY")
        server.listed = fault(401, "Incorrect key sk-very-secret given")
        with pytest.raises(InputError) as listed:
            made(server, key="MY_KEY")
    assert [asked.authorization for asked in server.asked] == ["Bearer sk-very-secret"]
    for error in (caught.value, listed.value):
        assert "sk-very-secret" not in str(error) and "MY_KEY" in str(error) and "[the key]" in str(error)


def test_keys_come_from_the_environment_or_not_at_all(monkeypatch):
    with Server(lambda n, body: answer(YES)) as server:
        made(server)
        assert server.asked[0].authorization is None
        with pytest.raises(InputError, match=r"MY_KEY.*found nothing"):
            made(server, key="MY_KEY")
        monkeypatch.setenv("MY_KEY", "sk-né")
        with pytest.raises(InputError) as caught:
            made(server, key="MY_KEY")
        assert "sk-n" not in str(caught.value)
        monkeypatch.setenv("OPENAI_API_KEY", " sk-1\n")
        made(server)
        assert server.asked[-1].authorization == "Bearer sk-1"


def test_a_key_over_http_to_another_machine_is_remarked(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    notes = {
        url: client.Client(ModelSpec(backend="openai", name="m", url=url)).note
        for url in ("http://far/v1", "https://far/v1", "http://localhost:1/v1")
    }
    assert [note is not None for note in notes.values()] == [True, False, False]
    assert "sk-1" not in str(notes)


def test_nobody_at_the_address():
    with Server(lambda n, body: answer(YES)) as server:
        gone = server
    with pytest.raises(InputError, match="ConnectError") as caught:
        made(gone)
    assert gone.url in str(caught.value) and "3 times" in str(caught.value)


def test_a_server_that_goes_away_ends_the_run_after_some_failures(monkeypatch):
    monkeypatch.setattr(worker, "GIVEN_UP", 5)
    with behind_canary(answer(YES), fault(502)) as server:
        asked = made(server, concurrency=2)
        stored = []
        with pytest.raises(RunError, match="none to 5 requests") as caught:
            for table in asked.stream([asking.table(requests(40))]):
                stored += table.to_pylist()
    assert "--retry-failed" in caught.value.remedy
    assert 5 <= len(stored) <= 7 and sum(row["finish"] == "failed" for row in stored) >= 4


def test_arguments_that_the_server_does_not_take_are_said_at_the_start():
    with (
        Server(lambda n, body: fault(400, "Unsupported parameter: 'max_tokens'")) as server,
        pytest.raises(RunError, match=r"Unsupported parameter.*max_completion_tokens"),
    ):
        made(server)
    assert len(server.asked) == 1


def test_answers_of_another_model_are_not_mixed_in():
    other = answer(YES, model="gpt-test-2025-09-09")
    with behind_canary(answer(YES), other) as server:
        asked = made(server, concurrency=1)
        stored = []
        with pytest.raises(RunError, match="gpt-test-2025-09-09"):
            for table in asked.stream([asking.table(requests(9))]):
                stored += table.to_pylist()
        assert len(stored) == 1
    with (
        Server(lambda n, body: other) as server,
        pytest.raises(RunError, match="answers of 'gpt-test-2025-01-01' only"),
    ):
        made(server, device="gpt-test-2025-01-01")
    with Server(lambda n, body: answer(YES, model=None)) as server:
        assert rows_of(server)[0]["device"] == "not said"


def test_as_many_at_once_as_the_study_says_and_tables_as_they_come(monkeypatch):
    monkeypatch.setattr(worker, "FLUSH_ROWS", 10)
    three = threading.Barrier(3)

    def reply(number, body):
        if number:
            three.wait(20)
        return answer(YES)

    with Server(reply) as server:
        asked = made(server, concurrency=3)
        rows = requests(48)
        streamed = asked.stream(asking.table(rows[start : start + 10]) for start in range(0, 50, 10))
        first = next(streamed)
        assert 10 <= first.num_rows < 20 and first.schema.equals(RESPONSE_SCHEMA)
        found = first.to_pylist() + [row for table in streamed for row in table.to_pylist()]
    assert server.most == 3
    assert sorted(row["request_id"] for row in found) == sorted(row.request_id for row in rows)


def test_closing_ends_whoever_waits():
    with behind_canary(fault(429, Retry_After="500")) as server:
        asked = made(server)
        started = time.monotonic()
        threading.Timer(0.2, asked.close).start()
        with pytest.raises(client.ClosedError):
            list(asked.stream([asking.table(requests(3))]))
    assert time.monotonic() - started < 5


def test_what_the_model_is_depends_on_the_name_and_what_is_said_not_on_the_address():
    def digest(listed, **changes):
        chat = changes.pop("chat", False)
        with Server(lambda n, body: answer(YES), listed) as server:
            spec = ModelSpec(**openai_server.model(server, **changes))
            return model.served_model(spec, chat).digest()

    plain = digest(openai_server.models("gpt-test", root="/models/a"))
    assert plain == digest(openai_server.models("gpt-test", root="/models/a"), concurrency=9, timeout_s=7)
    others = [
        digest(openai_server.models("gpt-test", root="/models/b")),
        digest(openai_server.models("other", "gpt-test")),
        digest(openai_server.models("gpt-2", root="/models/a"), name="gpt-2"),
        digest(openai_server.models("gpt-test", root="/models/a"), arguments={"top_k": 3}),
        digest(openai_server.models("gpt-test", root="/models/a"), chat=True),
    ]
    assert len({plain, *others}) == 6


def test_a_server_may_have_no_list_and_a_name_may_not_be_on_it():
    with Server(lambda n, body: answer(YES), fault(404)) as server:
        source = model.served_model(ModelSpec(**openai_server.model(server)), False)
        assert source.said == () and source.notes == ()
        server.listed = openai_server.models("a", "b")
        source = model.served_model(ModelSpec(**openai_server.model(server)), False)
        assert "does not list a model 'gpt-test'; it lists a, b" in source.notes[0]
