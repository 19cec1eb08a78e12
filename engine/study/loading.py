"""Reading of study files: variables, paths, and errors with the path of the field."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
from pydantic import BaseModel

from axiograph.engine.errors import InputError
from axiograph.engine.storage.remote import is_remote
from axiograph.engine.study.fields import Spec
from axiograph.engine.study.model import SECRET
from axiograph.engine.study.schema import Study
from axiograph.engine.study.strengths import StrengthGrid
from axiograph.engine.study.textfiles import load_yaml


def load_study(path: Path | str) -> Study:
    """Read and check a study file; InputError names the file and the path of the field."""
    path = Path(path)
    return parse_study(load_yaml(path), where=f"study file {path}", base=path.resolve().parent)


def parse_study(data: Any, where: str, base: Path) -> Study:
    """Validate the mapping `data`; relative paths in it are resolved against the folder `base`."""
    if not isinstance(data, dict):
        raise InputError(where, "a mapping of study fields", type(data).__name__, "See examples/.")
    try:
        study = Study.model_validate(data)
    except pydantic.ValidationError as error:
        raise as_input_error(error, where) from error
    absolute: Study = _absolute(study, base, where)
    return absolute


def as_input_error(
    error: pydantic.ValidationError,
    where: str,
    models: Sequence[type[BaseModel]] | None = None,
    example: str = "examples/ has complete studies",
) -> InputError:
    """The faults of a file in one paragraph, with the path of the first field. `models`: whose keys may stand
    in it, None for a study's; `example`: where to see a complete one."""
    first, *others = error.errors(include_url=False)
    whole = "the study as a whole" if models is None else "the file as a whole"
    field = ".".join(str(part) for part in first["loc"]) or whole
    # A list that lost its faulty member is not too short as well.
    others = [e for e in others if e["type"] != "too_short" or first["loc"][: len(e["loc"])] != e["loc"]]
    value = repr(first["input"])
    value = value if len(value) < 200 else f"{value[:200]} …"
    if first["type"] == SECRET:
        value = "another text (not shown: it may hold a key)"
    expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    remedy = "Mend the field."
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        close = difflib.get_close_matches(key, _all_keys(models), n=3)
        expected, value = "a known key", f"the unknown key '{key}'"
        remedy = f"Did you mean {' or '.join(close)}?" if close else "Remove it or mend its spelling."
    elif first["type"] == "missing":
        expected, value, remedy = "this field", "nothing", f"Add it; {example}."
    if others:
        rest = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'study'}: {e['msg']}" for e in others[:5])
        remedy += f" ({len(others)} more: {rest})"
    return InputError(f"{where}, field {field}", expected, value, remedy)


def _all_keys(models: Sequence[type[BaseModel]] | None) -> set[str]:
    """Every key that may stand anywhere in a file of `models` (None: in a study), for "did you mean"."""
    keys: set[str] = set()
    for cls in models or (Study, StrengthGrid, *Spec.__subclasses__()):
        keys.update(field.alias or name for name, field in cls.model_fields.items())
    return keys


def _with_variables(path: str, where: str) -> str:
    """`path` with environment variables filled in, so that a study can name a folder of the user's own."""
    expanded = os.path.expandvars(path)
    if missing := re.findall(r"\$\{?(\w+)\}?", expanded):
        raise InputError(
            where,
            f"the environment variable {missing[0]}",
            f"none, in the path {path}",
            f"Set it (export {missing[0]}=…) or write the path out.",
        )
    return expanded


def _absolute(value: Any, base: Path, where: str, field: str = "") -> Any:
    """`value` with every Path inside made absolute against `base` (models are frozen, so copies); an address
    in an object store, which only `out` may be, stays one."""
    if isinstance(value, Path) or field == ".out":
        text = _with_variables(str(value), f"{where}, field {field[1:]}")
        if field == ".out" and is_remote(text):
            return text
        expanded = Path(text).expanduser()
        return expanded if expanded.is_absolute() else (base / expanded).resolve()
    if isinstance(value, BaseModel):
        names = type(value).model_fields
        parts = {name: _absolute(getattr(value, name), base, where, f"{field}.{name}") for name in names}
        return value.model_copy(update=parts)
    if isinstance(value, tuple):
        return tuple(_absolute(item, base, where, f"{field}.{i}") for i, item in enumerate(value))
    return value
