"""Inventories in the forms that others keep them in, as item files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from axiograph.api.display import Shown
from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.importing import read_inventories
from axiograph.engine.study.inventories.inventory import Request
from axiograph.engine.study.inventories.tables import read_keys
from axiograph.engine.study.inventories.writing import write_inventory
from axiograph.engine.study.questionnaire import Questionnaire, one_way_keyed
from axiograph.engine.study.scales import Scale


@dataclass(frozen=True, repr=False)
class ImportedItems(Shown):
    """`form`: of the file that was read; `files`: what was written, with what it loads as; `notes`: (name of
    a questionnaire, what has to be known); `refused`: (name, why it cannot be had)."""

    form: str
    files: tuple[tuple[Path, Questionnaire], ...]
    notes: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        lines = [f"Read as {self.form}."]
        lines += [f"{path}: {_described(questionnaire)}" for path, questionnaire in self.files]
        lines += [f"Note: {name}: {note}" for name, note in self.notes]
        lines += [f"Refused: {name}: {reason}" for name, reason in self.refused]
        return "\n".join(lines)


def import_items(
    path: Path | str,
    output: Path | str,
    *,
    form: str = "auto",
    names: Sequence[str] = (),
    options: Sequence[str] | None = None,
    keys: Path | str | None = None,
) -> ImportedItems:
    """Rewrite the questionnaires of a public form, all or those of these `names`, into axiograph's own.

    `output`: a YAML file, or for several questionnaires a folder, which gets one file each. `form`:
    psychobench, psyborgs, rupsycho (JSON), ipip, mpi, psych, qstn, valuebench, csv (tables), or auto.
    `options`: the answers, low to high, of items that have none in the file; `keys`: a table with the
    columns item_id, value, agreement and perhaps facet, for forms without. Raises InputError for what is not
    understood, and for a file in the place of a folder or the reverse."""
    scale = None
    if options is not None:
        try:
            scale = Scale.of("options", options)
        except ValueError as error:
            raise InputError("options", str(error), repr(list(options)), "Name them low to high.") from error
    request = Request(Path(path), scale, None if keys is None else read_keys(Path(keys)))
    imported = read_inventories(request, form, names)
    out = Path(output)
    is_file = out.suffix.lower() in (".yaml", ".yml")
    if is_file and len(imported.inventories) > 1:
        found = ", ".join(inventory.name for inventory in imported.inventories)
        remedy = "Name a folder, or one questionnaire by --name."
        raise InputError(f"output {out}", "one questionnaire for one file", found, remedy)
    if out.is_dir() if is_file else out.is_file():
        raise InputError(f"output {out}", "a YAML file, or a folder", "the other one", "Name another place.")
    files = [(out if is_file else out / f"{_file_name(i.name)}.yaml", i) for i in imported.inventories]
    if len({file.name.lower() for file, _ in files}) < len(files):
        remedy = "Import them one by one: --name."
        raise InputError(f"output {out}", "names that differ as file names", "some that do not", remedy)
    return ImportedItems(
        imported.form,
        tuple((file, write_inventory(inventory, file)) for file, inventory in files),
        tuple((inventory.name, note) for _, inventory in files for note in inventory.notes),
        tuple((name, str(error)) for name, error in imported.refused),
    )


def _file_name(name: str) -> str:
    text = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
    return text.lstrip(".")[:100] or "items"


def _described(questionnaire: Questionnaire) -> str:
    items = questionnaire.items
    reverse = sum(item.agreement == -1 for item in items)
    options = sorted({2 if item.scale is None else len(item.scale.labels) for item in items})
    answers = (
        "yes or no" if all(item.scale is None for item in items) else f"{'/'.join(map(str, options))} options"
    )
    parts = [f"{len(items)} items, {reverse} reverse-keyed", f"{len(questionnaire.values)} values", answers]
    if questionnaire.norms:
        parts.append(f"norms of {sum(map(len, questionnaire.norms.values()))} groups")
    if one_way := one_way_keyed(items):
        parts.append(f"{len(one_way)} values keyed one way only")
    return ", ".join(parts)
