"""A model that a server answers for, and what the server says that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest, digest_json
from axiograph.engine.openai.client import Client, EndedError, UnansweredError
from axiograph.engine.study.model import ModelSpec
from axiograph.engine.workers.models import ModelSource

NOT_SAID = "not said"  # of what only the server could know
# Of a model in the server's list; `created` is the moment of the question for some servers.
_SAID = ("id", "root", "parent", "owned_by")
_LISTED = 8


@dataclass(frozen=True)
class ServedModel(ModelSource):
    """`spec`: the study's; `chat`: whether it is sent messages; `said`: (field, text) of the server's list of
    models; `max_length`: in tokens, where the server says so. There is no folder."""

    spec: ModelSpec
    chat: bool
    said: tuple[tuple[str, str], ...] = ()
    max_length: int | None = None
    notes: tuple[str, ...] = ()

    def digest(self) -> bytes:
        """Over the name, what the server says of it, and how it is asked; not over where it is."""
        return digest(b"served", digest_json([self.name, self.chat, self.said, self.spec.arguments]))


def served_model(spec: ModelSpec, chat: bool) -> ServedModel:
    """The model of a study after a look at the server's list of models, which costs nothing.

    InputError where there is no server at the address, or where it refuses the key."""
    client = Client(spec)
    try:
        listed = client.models()
    except (EndedError, UnansweredError) as error:
        raise InputError(
            "study, field model.url",
            f"a server at {spec.url} that lists its models",
            str(error),
            f"Check address, network and the key in the environment variable {spec.key}.",
        ) from None
    finally:
        client.close()
    return _described(spec, chat, listed, client.note)


def _described(
    spec: ModelSpec, chat: bool, listed: Sequence[Mapping[str, Any]] | None, note: str | None
) -> ServedModel:
    assert spec.name is not None
    notes = [] if note is None else [note]
    entry = next((model for model in listed or () if model.get("id") == spec.name), None)
    if listed and entry is None:
        names = sorted(str(model.get("id"))[:80] for model in listed)
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        notes.append(
            f"the server at {spec.url} does not list a model '{spec.name}'; it lists "
            f"{', '.join(names[:_LISTED])}{more}."
        )
    said = tuple((key, entry[key]) for key in _SAID if isinstance(entry.get(key), str)) if entry else ()
    length = entry.get("max_model_len") if entry else None
    return ServedModel(
        name=spec.name,
        folder=Path(),
        revision=None,
        dtype=NOT_SAID,
        trust_remote_code=False,
        spec=spec,
        chat=chat,
        said=said,
        max_length=length if isinstance(length, int) and not isinstance(length, bool) else None,
        notes=tuple(notes),
    )
