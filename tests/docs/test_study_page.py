"""docs/study_file.md against the schema: every field has a row, with its default and its choices."""

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pydantic
import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.schema import Study
from axiograph.engine.study.strengths import StrengthGrid

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "study_file.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.\[\]]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)
ROWS = {name: (default, about) for name, default, about in ROW.findall(TEXT)}


def parts(annotation: Any) -> Iterator[Any]:
    """The types inside an annotation: of tuples, unions and annotated types."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        yield from parts(get_args(annotation)[0])
    elif origin in (tuple, typing.Union, types.UnionType):
        for inner in get_args(annotation):
            yield from parts(inner)
    else:
        yield annotation


def fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    """Path and field of everything that may stand in a study."""
    for name, field in model.model_fields.items():
        inside = [part for part in parts(field.annotation) if isinstance(part, type)]
        models = [part for part in inside if issubclass(part, BaseModel)]
        listed = any(get_origin(part) is tuple for part in (field.annotation, *get_args(field.annotation)))
        path = f"{before}{field.alias or name}"
        if not (models and not before):  # sections have a heading, and no row
            yield path, field
        for part in models:
            yield from fields(part, f"{path}{'[]' if listed else ''}.")


FIELDS = {**dict(fields(Study)), **dict(fields(StrengthGrid, "strengths."))}


def test_every_field_has_a_row_and_no_row_is_of_another():
    assert set(ROWS) == set(FIELDS)


@pytest.mark.parametrize("path", FIELDS)
def test_choices_are_all_named(path):
    choices = [
        choice
        for part in parts(FIELDS[path].annotation)
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    named = " ".join(ROWS[path])
    assert [choice for choice in choices if str(choice) not in named] == []


@pytest.mark.parametrize("path", FIELDS)
def test_defaults_are_those_of_the_schema(path):
    field, written = FIELDS[path], ROWS[path][0]
    assert (written == "—") == field.is_required()
    default = field.default
    if default is PydanticUndefined or isinstance(default, BaseModel) or default in (None, ()):
        return
    stated = yaml.safe_load(written.strip("`"))
    assert (tuple(stated) if isinstance(stated, list) else stated) == default


def test_the_example_is_a_study(tmp_path):
    example = TEXT.partition("```yaml\n")[2].partition("```")[0]
    study = parse_study(yaml.safe_load(example), "docs/study_file.md", tmp_path)
    assert study.name == "my-study"
    with pytest.raises(pydantic.ValidationError):
        Study.model_validate(yaml.safe_load(example) | {"unknown": 1})
