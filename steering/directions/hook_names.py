"""Hook names: which place of a model is meant by a name of TransformerLens, of its bridge or of transformers.

Two of these places are the stream itself: the input and the output of a decoder layer. A third is as good as
one: what an MLP adds to the stream. The output of layer L is its residual stream plus the MLP's addition, so
that a vector added to that addition and a vector added to the output of the layer are the same sum. This is
not so for what attention adds, since the MLP of the same layer reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from axiograph.engine.study.steering import HookPointSpec

Place = Literal["resid_pre", "resid_post"]
# added: the MLP's output enters the stream as it is; normed: behind a norm; unknown: axiograph never looked.
MlpOutput = Literal["added", "normed", "unknown"]

_BLOCK = re.compile(r"blocks\.([0-9]+)\.(.+)")
_LAYER = re.compile(
    r"(?:layers|h|model\.layers|model\.model\.layers|model\.language_model\.layers"
    r"|language_model\.model\.layers|transformer\.h|model\.decoder\.layers|gpt_neox\.layers)"
    r"\.([0-9]+)(?:\.(.+))?"
)
_STREAM: dict[str, Place] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_post": "resid_post",
    "hook_in": "resid_pre",
    "hook_out": "resid_post",
    "input": "resid_pre",
    "output": "resid_post",
}
# TransformerLens and its bridge put hook_mlp_out behind the norm that some models have behind their MLP.
_ADDITION = ("hook_mlp_out", "ln2_post.hook_out", "post_feedforward_layernorm")
_MLP = ("mlp.hook_out", "mlp")
_BETWEEN = ("hook_resid_mid", "ln2.hook_in", "hook_attn_out", "attn.hook_out", "ln1_post.hook_out",
            "self_attn", "attn", "attention")  # fmt: skip
_EMBEDDING = ("hook_embed", "embed.hook_out", "model.embed_tokens", "transformer.wte", "gpt_neox.embed_in")

_ADDED = ("llama", "gemma", "qwen2", "qwen3", "mistral", "gpt2", "gpt_neox", "opt")
_NORMED = ("gemma2", "gemma3", "gemma3_text")


@dataclass(frozen=True)
class HookSite:
    """The place of a hook, by its name in an SAE's metadata.

    point: where a vector added at the hook may be added to the same effect; None: nowhere, for `reason`.
    is_stream: whether the hook reads the stream at `point` itself, and not what is added to it there.
    may_be_told: whether a study's hook_point may say where its vectors act. Not where they are no vectors of
    the stream at all, such as those of single heads or of normalised inputs.
    """

    name: str
    point: HookPointSpec | None
    reason: str = ""
    is_stream: bool = True
    may_be_told: bool = True

    @classmethod
    def at(cls, point: HookPointSpec) -> HookSite:
        """The stream at `point`, under TransformerLens' name of it."""
        return cls(f"blocks.{point.layer}.hook_{point.place}", point)


def mlp_output(config: Any) -> MlpOutput:
    """How the MLPs of a model of this configuration (transformers) enter its stream."""
    kind = str(getattr(config, "model_type", ""))
    if kind == "opt" and not getattr(config, "do_layer_norm_before", True):
        return "unknown"  # the norm comes behind the sum
    return "added" if kind in _ADDED else "normed" if kind in _NORMED else "unknown"


def hook_site(name: str, mlp: MlpOutput) -> HookSite:
    """The site that `name` means, in a model whose MLPs enter the stream as `mlp` says."""
    if not name:
        return HookSite(name, None, "the metadata name no hook")
    if name in _EMBEDDING:
        return HookSite(name, None, "the embedding, which is not yet the stream in every model")
    match = _BLOCK.fullmatch(name) or _LAYER.fullmatch(name)
    if match is None:
        return HookSite(name, None, "a name that neither TransformerLens nor transformers uses for layers")
    layer, inner = int(match[1]), match[2] or "output"
    if inner in _STREAM:
        return HookSite(name, HookPointSpec(layer=layer, place=_STREAM[inner]))
    return _inside(name, layer, inner.removesuffix(".output"), mlp)


def _inside(name: str, layer: int, inner: str, mlp: MlpOutput) -> HookSite:
    """The site of a hook inside layer `layer`."""
    if inner in _BETWEEN:
        return HookSite(name, None, "inside a layer, where the MLP of the same layer reads it")
    if inner not in _ADDITION + _MLP:
        return HookSite(name, None, "not the stream, and nothing that is added to it", may_be_told=False)
    if mlp == "unknown":
        return HookSite(
            name, None, "the output of an MLP, in an architecture where it may not be added as it is"
        )
    if mlp == "normed" and inner in _MLP:
        reason = "the output of an MLP before the norm through which this model puts it"
        return HookSite(name, None, reason, may_be_told=False)
    return HookSite(name, HookPointSpec(layer=layer, place="resid_post"), is_stream=False)
