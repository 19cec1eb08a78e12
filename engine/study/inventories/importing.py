"""Reading a file of some public form: which form it is, and which of its inventories can be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories import own, psyborgs, psychobench, rupsycho, tables
from axiograph.engine.study.inventories.documents import load_json
from axiograph.engine.study.inventories.inventory import Builders, Inventory, Request
from axiograph.engine.study.textfiles import close_matches, read_text

_JSON = {"psychobench": psychobench, "psyborgs": psyborgs, "rupsycho": rupsycho}


@dataclass(frozen=True)
class Imported:
    """`form`: of the file; `refused`: (name, error) of inventories that cannot be had."""

    form: str
    inventories: tuple[Inventory, ...]
    refused: tuple[tuple[str, InputError], ...]


def read_inventories(request: Request, form: str = "auto", names: Sequence[str] = ()) -> Imported:
    """The inventories of a file of this form ("auto": by its keys or columns), all or these.

    Raises InputError where the form is unknown, a name is not in the file, or an inventory that was asked for
    by name, or every one, cannot be had."""
    path = request.path
    if _is_json(path):
        form, builders = _from_json(form, request)
    else:
        form, builders = _from_table(form, request)
    if unknown := [name for name in names if name not in builders]:
        found = ", ".join(close_matches(name, list(builders)) for name in unknown)
        expected = f"names of questionnaires in {path} ({', '.join(builders)})"
        raise InputError("--name", expected, found, "Correct the name, or leave --name out for all.")
    inventories: list[Inventory] = []
    refused: list[tuple[str, InputError]] = []
    for name in names or builders:
        try:
            inventories.append(_built(builders[name], f"{path}, {name!r}", form))
        except InputError as error:
            if names or len(builders) == 1:
                raise
            refused.append((name, error))
    if not inventories:
        raise refused[0][1]
    return Imported(form, tuple(inventories), tuple(refused))


def _built(builder: Callable[[], Inventory], where: str, form: str) -> Inventory:
    try:
        inventory = builder()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # The parts that matter are checked one by one; a document can be crooked in any other place.
        fault = f"something else ({type(error).__name__}: {error})"
        raise InputError(where, f"a questionnaire of the form {form}", fault, "Correct the file.") from error
    if not inventory.entries:
        notes = " ".join(inventory.notes) or "none"
        raise InputError(where, "at least one item", notes, "Take another file.")
    return inventory


def _is_json(path: Path) -> bool:
    return path.suffix.lower() in (".json", ".jsonl") or read_text(path).lstrip().startswith(("{", "["))


def _from_json(form: str, request: Request) -> tuple[str, Builders]:
    document = load_json(request.path)
    if form == "auto":
        form = next((name for name, reader in _JSON.items() if reader.recognises(document)), form)
    if form not in _JSON:
        where, expected = str(request.path), f"JSON of one of the forms {', '.join(_JSON)}"
        keys = (
            ", ".join(map(str, list(document)[:8])) if isinstance(document, dict) else type(document).__name__
        )
        found = f"{form}, which is a table" if form != "auto" else f"another one ({keys})"
        raise InputError(where, expected, found, "Write it as YAML (docs: questionnaire files).")
    return form, _JSON[form].builders(document, request)


def _from_table(form: str, request: Request) -> tuple[str, Builders]:
    if request.path.suffix.lower() in (".yaml", ".yml"):
        remedy = "If it is of axiograph's own form, a study can name it as it is."
        raise InputError(str(request.path), "JSON or a table", "YAML", remedy)
    if form in _JSON:
        raise InputError(str(request.path), f"JSON, as {form} has", "no JSON", "Name another form: --as.")
    header, rows = tables.read_table(request.path)
    if form == "auto":
        if "item_id" in header:
            form = "csv"
        else:
            known = ((name, columns) for name, (columns, _) in tables.FORMS.items())
            form = next((name for name, columns in known if set(columns) <= set(header)), form)
    if form == "csv":
        return form, own.builders(request)
    if form == "auto":
        forms = "; ".join(f"{name}: {', '.join(columns)}" for name, (columns, _) in tables.FORMS.items())
        expected = f"the columns of a known form ({forms})"
        raise InputError(f"{request.path}, line 1", expected, ", ".join(header), "Rename the columns.")
    columns, reader = tables.FORMS[form]
    if missing := [column for column in columns if column not in header]:
        found = f"no column {', '.join(missing)} (columns: {', '.join(header)})"
        expected = f"the columns {', '.join(columns)} of {form}"
        raise InputError(f"{request.path}, line 1", expected, found, "Name another form: --as.")
    return form, reader(header, rows, request)
