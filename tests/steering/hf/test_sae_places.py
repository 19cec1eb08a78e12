"""Decoder rows act where the SAE's hook is: the worker against a hook on the very module that it names."""

from __future__ import annotations

import pytest
import torch

from axiograph.engine.study.conditions import Condition, OperationPoint
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.study.steering import OperationSpec, SaeSource
from axiograph.engine.workers.models import load_config, load_tokenizer
from axiograph.steering.directions.operations import Directions, Scales, resolve_conditions
from axiograph.steering.directions.steered_model import steered_model
from axiograph.steering.hf.worker import HookWorker
from tests import asking, sae_kinds, tiny

STEPS, STRENGTH = 6, 8.0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def plain(model, module, is_input, request, vector):
    """Greedy decoding by full passes, with `vector` added to input or output of `module` on the prompt."""
    n, ids = len(request.prompt_ids), list(request.prompt_ids)

    def added(stream):
        stream = stream.clone()
        stream[:, :n] += vector
        return stream

    def before(_, args):
        return (added(args[0]), *args[1:])

    def after(_, __, out):
        return added(out)

    handle = module.register_forward_pre_hook(before) if is_input else module.register_forward_hook(after)
    try:
        with torch.inference_mode():
            for _ in range(STEPS):
                logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
                ids.append(int(logits.argmax()))
    finally:
        handle.remove()
    return ids[n:]


# (architecture, kind, hook where it acts, module of transformers with the same meaning, its input?)
CASES = [
    ("llama", "standard", "blocks.1.hook_resid_post", "model.layers.1", False),
    ("llama", "standard", "blocks.1.hook_resid_pre", "model.layers.1", True),
    ("llama", "topk", "blocks.1.hook_out", "model.layers.1", False),
    ("llama", "jumprelu", "blocks.1.hook_in", "model.layers.1", True),
    ("llama", "gated", "model.layers.1", "model.layers.1", False),
    ("gpt2", "standard", "transformer.h.1", "transformer.h.1", False),
    ("opt", "standard", "model.decoder.layers.1", "model.decoder.layers.1", False),
    ("llama", "transcoder", "blocks.1.hook_mlp_out", "model.layers.1.mlp", False),
    ("gpt2", "skip_transcoder", "transformer.h.1.mlp", "transformer.h.1.mlp", False),
    ("qwen3", "standard", "blocks.1.hook_mlp_out", "model.layers.1.mlp", False),
    ("gemma2", "transcoder", "blocks.1.hook_mlp_out", "model.layers.1.post_feedforward_layernorm", False),
    ("gemma3", "transcoder", "model.layers.1.post_feedforward_layernorm.output",
     "model.layers.1.post_feedforward_layernorm", False),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "kind", "hook", "module", "is_input"), CASES)
def test_rows_act_at_the_hook(shape, kind, hook, module, is_input, tiny_model, tmp_path):
    folder, transcodes = tiny_model(shape), "transcoder" in kind
    reads, writes = (
        ("blocks.1.ln2.hook_normalized", {"meta_hook_name_out": hook}) if transcodes else (hook, {})
    )
    sae = sae_kinds.save(tmp_path / "sae", kind, reads, **writes)
    source = asking.source(folder)
    spec = OperationSpec(sae=SaeSource(path=sae), features=(3,), strengths=(STRENGTH,), span="prompt")
    made = Directions(tiny.WIDTH, tiny.LAYERS, steered_model(source, load_config(source)))
    operations = resolve_conditions(
        [Condition("steered", (OperationPoint(spec, 3, STRENGTH),))], made, Scales()
    )
    prompts = asking.prompts(load_tokenizer(source), 6)
    config = asking.config(
        folder, prompts[4], sampling=SamplingSpec(max_tokens=STEPS), steered=frozenset(operations)
    )
    worker = HookWorker(config, operations, frozenset({"baseline", "steered"}))
    asking.untie(worker.model)
    requests = [asking.request(i, prompt, "steered") for i, prompt in enumerate(prompts)]
    answers = worker(asking.table(requests)).to_pylist()
    # A sum in another order differs in the last digit; random logits lie far apart.
    target, row = worker.model.get_submodule(module), STRENGTH * made.sae(SaeSource(path=sae)).direction(3)
    wanted = [plain(worker.model, target, is_input, request, row) for request in requests]
    unsteered = [plain(worker.model, target, is_input, request, 0 * row) for request in requests]
    assert [row["answer_ids"] for row in answers] == wanted
    assert sum(a != b for a, b in zip(wanted, unsteered, strict=True)) >= 3
    assert all(row["proof_error"] is not None for row in answers)
