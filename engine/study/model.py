"""The section `model` of a study: a model on this machine, or one that a server answers for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from axiograph.engine.study.engine_args import check_reserved
from axiograph.engine.study.fields import Spec, finite

SECRET = "secret"  # the type of an error whose input may hold a key, and is not shown
KEY_VARIABLE = "OPENAI_API_KEY"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
LOCAL_FIELDS = ("hub", "revision", "path", "trust_remote_code", "engine_args")
SERVED_FIELDS = ("name", "url", "key", "arguments", "concurrency", "timeout_s", "prices")
# Of the body of a request: what axiograph says itself, each with what to use instead.
_RESERVED = {
    "model": "model.name",
    "messages": "the study's template",
    "prompt": "the study's template",
    "seed": "sampling.seed",
    **dict.fromkeys(("n", "best_of"), "sampling.repeats"),
    **dict.fromkeys(("stream", "stream_options", "echo"), "nothing: whole answers are read"),
    **dict.fromkeys(("logprobs", "top_logprobs"), "nothing: answers are generated and read"),
    **dict.fromkeys(("api_key", "authorization"), "model.key, the name of an environment variable"),
}
# These may be taken out (null) for servers that refuse them.
_SET_BY_SAMPLING = ("temperature", "top_p", "max_tokens")


def _environment_name(value: Any) -> Any:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise PydanticCustomError(
            SECRET,
            "the name of an environment variable (capitals, digits, _) that holds the key",
        )
    return value


def _address(value: Any) -> Any:
    """http(s)://host[:port][/path] without a slash at the end."""
    wanted = "an address like https://host/v1, without user, password, query or fragment"
    if not isinstance(value, str):
        raise PydanticCustomError(SECRET, wanted)
    try:
        parts = urlsplit(value.strip())
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"\s", value.strip()):
        raise PydanticCustomError(SECRET, wanted)
    return value.strip().rstrip("/")


Price = Annotated[float, Field(ge=0), AfterValidator(finite)]


class PricesSpec(Spec):
    """What a server asks for a million tokens that it reads (`input`) and writes (`output`)."""

    input: Price
    output: Price


class ModelSpec(Spec):
    """Which model answers: a hub name with a revision, a local directory, or a server's model.

    `backend`: `vllm`, `hf` (transformers), or `auto`: vLLM where it is installed and can run all of the
    study. `engine_args` are passed on to vLLM.

    `openai`: a server that speaks OpenAI's protocol, at `url` (up to and with /v1), which knows the model by
    `name`; `key` names the environment variable with the key. `arguments` are more fields of a request's
    body; null takes one out. `concurrency`: requests under way at once; `timeout_s`: seconds that a server
    may be silent; `prices`: for `plan`.
    """

    hub: str | None = None
    revision: str | None = None
    path: Path | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    device: str = "auto"
    trust_remote_code: bool = False
    backend: Literal["auto", "vllm", "hf", "openai"] = "auto"
    engine_args: dict[str, Any] = Field(default_factory=dict)
    name: Annotated[str, Field(min_length=1)] | None = None
    url: Annotated[str, BeforeValidator(_address)] | None = None
    key: Annotated[str, BeforeValidator(_environment_name)] = KEY_VARIABLE
    arguments: dict[str, Any] = Field(default_factory=dict)
    concurrency: int = Field(default=16, ge=1, le=1024)
    timeout_s: Annotated[float, Field(gt=0), AfterValidator(finite)] = 120.0
    prices: PricesSpec | None = None

    @property
    def served(self) -> bool:
        """Whether a server answers, of which nothing is known but what it says."""
        return self.backend == "openai"

    def _given(self, names: tuple[str, ...]) -> list[str]:
        """Those of the fields that are not as they are by themselves."""
        fields = type(self).model_fields
        return [n for n in names if getattr(self, n) != fields[n].get_default(call_default_factory=True)]

    @model_validator(mode="after")
    def _own_arguments(self) -> ModelSpec:
        if self.engine_args and self.backend == "hf":
            raise ValueError("'engine_args' beside 'backend: vllm' or 'auto' only: they are vLLM's")
        check_reserved(self.engine_args)
        return self

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if self.served:
            self._check_served()
            return self
        if given := self._given(SERVED_FIELDS):
            raise ValueError(f"'{given[0]}' beside 'backend: openai' only: it is of a server")
        if (self.hub is None) == (self.path is None):
            raise ValueError("either 'hub' (with 'revision') or 'path', not both and not neither")
        if self.revision is not None and self.hub is None:
            raise ValueError("'revision' beside 'hub' only: a local directory has none")
        return self

    def _check_served(self) -> None:
        if given := self._given((*LOCAL_FIELDS, "dtype", "device")):
            raise ValueError(
                f"no '{given[0]}' beside 'backend: openai': the server has the model (name, url), and its "
                "own number type and device"
            )
        if self.name is None or self.url is None:
            raise ValueError("'name' and 'url' beside 'backend: openai'")
        check_body(self.arguments)


def check_body(arguments: dict[str, Any]) -> None:
    """ValueError (for the study's schema) for a field of a request's body that is axiograph's own."""
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError):
        kinds = "texts, numbers, true, false, null, lists, maps"
        raise ValueError(f"arguments that JSON can hold ({kinds})") from None
    for name, value in arguments.items():
        if name.lower() in _RESERVED:
            raise ValueError(f"arguments without '{name}', for which there is {_RESERVED[name.lower()]}")
        if name in _SET_BY_SAMPLING and value is not None:
            raise ValueError(f"'{name}' in the section sampling; among arguments it can only be null")
