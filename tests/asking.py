"""Requests and worker configurations over tiny models, and the plain loop that workers are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from axiograph.engine.prompting.prompts import Prompt, PromptBuilder, PromptFields
from axiograph.engine.prompting.template import Template
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.models import ModelSource
from axiograph.engine.workers.worker import REQUEST_SCHEMA, Request, WorkerConfig

TIE = 1e-4
TEMPLATE = Template(
    name="asking",
    chat=False,
    answer_cue="\nAnswer:",
    sources=(("user", "The person: {{ role }}. Keep{{ ' your values' | span }}. {{ question }}\nThought:"),),
    variables=frozenset({"role", "question"}),
    marks_span=True,
)
ROLES = ("", "a calm baker", "Job: engineer; Gender: female; Temper: bold, and fond of long walks by the sea")
QUESTIONS = ("Is it good?", "Do you like to try new food?", "Would you plan the day ahead, hour by hour?")


def builder(tokenizer: Any) -> PromptBuilder:
    return PromptBuilder(TEMPLATE, tokenizer)


def prompts(tokenizer: Any, count: int) -> list[Prompt]:
    """`count` prompts of mixed lengths, no two alike; the span stands at different places in them."""
    fields = [
        PromptFields(ROLES[i % 3], "", "", f"{'Well. ' * (i // 9)}{QUESTIONS[(i // 3) % 3]}", "Joy")
        for i in range(count)
    ]
    return builder(tokenizer).build(fields)


def request(number: int, prompt: Prompt, condition: str = "baseline", cue: Sequence[int] = ()) -> Request:
    """Its id depends on `number` alone. `cue` stands behind the prompt in logprob mode."""
    identity = number.to_bytes(16, "little")
    ids, span = list(prompt.ids), list(prompt.span)
    return Request(identity, "r", condition, str(number), 0, ids, span, prompt.span_text, [*ids, *cue])


def table(requests: Sequence[Request]) -> pa.Table:
    return pa.Table.from_pylist([vars(row) for row in requests], schema=REQUEST_SCHEMA)


def source(folder: Path, dtype: str = "float32") -> ModelSource:
    return ModelSource(folder.name, folder, None, dtype, False)


def config(folder: Path, canary: Prompt, **changes: Any) -> WorkerConfig:
    """Greedy, ten tokens, batches of 64, float32 on the CPU; `changes` replace fields."""
    fields: dict[str, Any] = {
        "source": source(folder),
        "device": "cpu",
        "sampling": SamplingSpec(max_tokens=10),
        "scoring": ScoringSpec(),
        "yes_ids": ((5,),),
        "no_ids": ((6,),),
        "canary": canary,
        "steered": frozenset(),
    }
    return WorkerConfig(**(fields | changes))


@dataclass(frozen=True)
class Act:
    """A steering operation in the oracle's own terms: h + add, then the component along `axis` set to
    `target`, or the activation of `feature` of sae-lens' `sae`; `where` is prompt_span, prompt, generated or
    all."""

    layer: int
    place: str
    where: str
    add: Any = None
    axis: Any = None
    target: float = 0.0
    sae: Any = None
    feature: int = 0

    @property
    def point(self) -> HookPointSpec:
        return HookPointSpec(layer=self.layer, place=self.place)  # type: ignore[arg-type]


@dataclass
class Plain:
    """What the plain loop wrote, with its two largest logits (token, value) at every step."""

    ids: list[int] = field(default_factory=list)
    top: list[list[tuple[int, float]]] = field(default_factory=list)


def untie(model: Any) -> Any:
    """`model` with an output matrix of its own: tied random ones repeat one token for ever."""
    import torch

    random = torch.Generator().manual_seed(5)
    old = model.lm_head.weight
    new = torch.empty(old.shape).normal_(0, 0.15, generator=random).to(old.dtype)
    model.lm_head.weight = torch.nn.Parameter(new)
    return model


def layers_of(model: Any) -> Any:
    return {"gpt2": lambda m: m.transformer.h, "opt": lambda m: m.model.decoder.layers}.get(
        model.config.model_type, lambda m: m.model.layers
    )(model)


def act_on(row: Any, acts: Sequence[Act], positions: Sequence[Sequence[int]]) -> Any:
    """One row's stream [width, d_model] with the acts done one token at a time."""
    row = row.clone()
    for act, places in zip(acts, positions, strict=True):
        for i in places:
            if act.add is not None:
                row[i] = row[i] + act.add
            if act.axis is not None:
                row[i] = row[i] - (row[i] @ act.axis) * act.axis + act.target * act.axis
            if act.sae is not None:
                # decode(encode(h)) with the activation set, and what the SAE does not reconstruct added back.
                before = act.sae.encode(row[i])
                after = before.clone()
                after[act.feature] = act.target
                row[i] = act.sae.decode(after) + (row[i] - act.sae.decode(before))
    return row


def acted_places(act: Act, request: Request, width: int) -> list[int]:
    n = len(request.prompt_ids)
    return {
        "prompt_span": list(request.span),
        "prompt": list(range(n)),
        "generated": list(range(n, width)),
        "all": list(range(width)),
    }[act.where]


@contextmanager
def steered(model: Any, acts: Sequence[Act], request: Request, width: int) -> Iterator[None]:
    """Steer full passes over one unpadded row of `width` tokens."""
    with ExitStack() as stack:
        for layer, place in dict.fromkeys((act.layer, act.place) for act in acts):
            own = [act for act in acts if (act.layer, act.place) == (layer, place)]
            places = [acted_places(act, request, width) for act in own]
            module = layers_of(model)[layer]
            if place == "resid_pre":

                def before(_: Any, args: Any, own: Any = own, places: Any = places) -> Any:
                    return (act_on(args[0][0], own, places)[None], *args[1:])

                stack.callback(module.register_forward_pre_hook(before).remove)
            else:

                def after(_: Any, __: Any, out: Any, own: Any = own, places: Any = places) -> Any:
                    assert not isinstance(out, tuple)
                    return act_on(out[0], own, places)[None]

                stack.callback(module.register_forward_hook(after).remove)
        yield


def full_logits(model: Any, ids: Sequence[int], acts: Sequence[Act], request: Request) -> Any:
    """Logits [width, vocabulary] of one row: no cache, no padding, no mask."""
    import torch

    with torch.inference_mode(), steered(model, acts, request, len(ids)):
        return model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float()


def plain_loop(model: Any, request: Request, acts: Sequence[Act], steps: int, eos: set[int]) -> Plain:
    """Greedy decoding by a full pass for every token; ends before a token of `eos`."""
    plain = Plain()
    for _ in range(steps):
        logits = full_logits(model, [*request.prompt_ids, *plain.ids], acts, request)[-1]
        top = logits.topk(2)
        plain.top.append(list(zip(top.indices.tolist(), top.values.tolist(), strict=True)))
        if plain.top[-1][0][0] in eos:
            break
        plain.ids.append(plain.top[-1][0][0])
    return plain


def with_ends(free: Sequence[Plain]) -> tuple[int, list[Plain]]:
    """A token that ends rows at as many different steps as one can, and what is left of the rows then.

    Random models hardly ever end a sequence by themselves; with this, rows leave a batch one by one.
    """
    steps = max(len(plain.ids) for plain in free)

    def ends(eos: int) -> list[int]:
        return [plain.ids.index(eos) if eos in plain.ids else len(plain.ids) for plain in free]

    tokens = {token for plain in free for token in plain.ids}
    eos = max(tokens, key=lambda token: (len({end for end in ends(token) if 0 < end < steps}), -token))
    assert len(set(ends(eos))) >= 3
    return eos, [Plain(p.ids[:end], p.top[: end + 1]) for p, end in zip(free, ends(eos), strict=True)]


def is_tie(found: Sequence[int], plain: Plain) -> bool:
    """False where the ids are equal, True where they part at a tie of the two largest logits; else fails."""
    if list(found) == plain.ids:
        return False
    step = next(
        (i for i, (a, b) in enumerate(zip(found, plain.ids, strict=False)) if a != b),
        min(len(found), len(plain.ids)),
    )
    assert step < len(plain.top), f"{len(found)} tokens where the plain loop wrote {len(plain.ids)}"
    (_, first), (_, second) = plain.top[step]
    assert first - second <= TIE, f"step {step}: {list(found)} is not {plain.ids} (gap {first - second:.3g})"
    return True


class Watched:
    """Stands for TokenChooser and keeps the largest logit of every row at every step, by request id."""

    def __init__(self, real: Any, seen: dict[bytes, list[float]]) -> None:
        self._real, self._seen = real, seen

    def __call__(self, sampling: SamplingSpec, request_ids: Sequence[bytes]) -> Any:
        choose = self._real(sampling, request_ids)

        def watched(logits: Any, rows: Sequence[int], step: int | Sequence[int]) -> list[int]:
            steps = [step] * len(rows) if isinstance(step, int) else step
            for row, at, value in zip(rows, steps, logits.amax(-1).tolist(), strict=True):
                seen = self._seen.setdefault(request_ids[row], [])
                assert len(seen) == at
                seen.append(value)
            return choose(logits, rows, step)

        return watched


def same_logits(seen: Sequence[float], plain: Plain, tie: bool) -> None:
    """Every step's largest logit as in the plain loop; rows that parted at a tie, until then."""
    wanted = [top[0][1] for top in plain.top]
    steps = min(len(seen), len(wanted)) if not tie else 1
    assert tie or len(seen) == len(wanted)
    assert max(abs(a - b) for a, b in zip(seen[:steps], wanted[:steps], strict=True)) < 2e-3


def scripted_model(folder: Path, tokenizer: Any, script: Sequence[int], sure: float = 20.0) -> Path:
    """A GPT-2 without attention whose next token depends on the position alone: `script[i]` follows i.

    `sure` is about the lead of that token's logit over the others.
    """
    import torch
    import transformers as tf

    width = 128
    torch.manual_seed(0)
    settings = tf.GPT2Config(
        vocab_size=len(tokenizer), n_embd=width, n_layer=1, n_head=2, n_positions=len(script),
        bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    model = tf.GPT2LMHeadModel(settings)
    codes = torch.nn.functional.normalize(torch.randn(len(tokenizer), width), dim=-1)
    codes = codes - codes.mean(-1, keepdim=True)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "ln" not in name:
                weight.zero_()
        model.transformer.wpe.weight.copy_(codes[list(script)])
        # The final norm makes |h| = sqrt(width).
        model.lm_head.weight.copy_(codes * sure / width**0.5)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
