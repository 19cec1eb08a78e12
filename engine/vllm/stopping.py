"""When vLLM ends a request: behind a complete answer, at the end of sequence or at the limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axiograph.engine.errors import RunError
from axiograph.engine.workers.generation import StopCheck
from axiograph.engine.workers.models import ModelSource


class AnswerStop:
    """Takes a request's tokens where vLLM would turn them into text, and stops it behind a complete answer.

    Its methods are those that vLLM's output processor calls on an IncrementalDetokenizer.
    """

    def __init__(self, stop: StopCheck | None, eos: Sequence[int]) -> None:
        self._stop, self._eos = stop, frozenset(eos)
        self.token_ids: list[int] = [] if stop is None else stop.begin()

    @property
    def output_token_ids(self) -> list[int]:
        return self.token_ids

    def num_output_tokens(self) -> int:
        return len(self.token_ids)

    def update(self, new_token_ids: list[int], stop_terminated: bool) -> str | None:
        """The reason to stop, or None; the end of sequence and what follows the answer are left out."""
        written, stop = self.token_ids, self._stop
        if stop is None:
            written.extend(new_token_ids)
            return None
        for token in new_token_ids:
            if (
                stop.watch is None and token in stop.quiet
            ):  # first: this is asked for every token of every request
                written.append(token)
                continue
            if token in self._eos:
                return None
            written.append(token)
            if (reason := stop.ended(written)) is not None:
                return reason
        return None

    def get_next_output_text(self, finished: bool, delta: bool) -> str:
        return ""


def finish_of(output: Any) -> str:
    """vLLM's reasons in axiograph's words; its stop tokens are the ends of sequence."""
    if output.stop_reason in ("complete", "limit"):
        return str(output.stop_reason)
    return "limit" if output.finish_reason == "length" else "eos"


def generation_settings(source: ModelSource) -> Any:
    """The generation settings that transformers gives a model loaded from `source`."""
    from transformers import AutoConfig, GenerationConfig

    try:
        return GenerationConfig.from_pretrained(source.folder)
    except OSError:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=source.trust_remote_code)
        return GenerationConfig.from_model_config(config)


def not_finite() -> RunError:
    """The error of a run whose logits are no numbers."""
    remedy = "Half precision can overflow: try dtype float32 or bfloat16, or a smaller strength."
    return RunError("logits of the model", "finite numbers", "NaN or infinity", remedy)
