"""The own YAML form of an item file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from axiograph.engine.study.item_files.contents import Contents, Origin
from axiograph.engine.study.item_files.norms import read_norms
from axiograph.engine.study.item_files.rows import REVERSE, add_item, clean_text
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import LINE, bad_character, close_matches, load_yaml

TOP_KEYS = (
    "questionnaire",
    "definitions",
    "items",
    "scales",
    "scale",
    "instruction",
    "source",
    "licence",
    "notes",
    "norms",
)
ITEM_KEYS = ("id", "value", "agreement", "question", "statement", "facet", "scale", "options", *REVERSE)


def read_yaml(path: Path, contents: Contents) -> None:
    """Add what the file holds to `contents`."""
    document = load_yaml(path, lines=True)
    if not isinstance(document, dict):
        contents.fault(str(path), "a mapping with questionnaire and items", type(document).__name__)
        return
    _check_keys(contents, str(path), document, TOP_KEYS)
    _read_definitions(path, document.get("definitions"), contents)
    scales = _read_scales(path, document.get("scales"), contents)
    default = _named(contents, str(path), document.get("scale"), scales)
    instruction = _optional(contents, f"{path}, instruction", document.get("instruction"))
    _read_origin(path, document, contents)
    items = document.get("items")
    if not isinstance(items, list):
        contents.fault(str(path), "a list under items", "none" if items is None else repr(items))
        return
    for number, entry in enumerate(items, start=1):
        if not isinstance(entry, dict):
            where = f"{path}, item {number}"
            contents.fault(where, "a mapping with id, value, agreement, question", repr(entry))
            continue
        where = f"{path}, line {entry[LINE]}"
        if _check_keys(contents, where, entry, ITEM_KEYS):
            row = {**entry, "item_id": entry.get("id"), "questionnaire": document.get("questionnaire")}
            scale = _scale_of(contents, where, entry, scales, default)
            add_item(contents, where, row, scale, instruction)
    _read_norms(path, document, contents)
    _check_used(path, scales, document, contents)


def _check_keys(contents: Contents, where: str, mapping: Mapping[Any, Any], known: Collection[str]) -> bool:
    extra = [key for key in mapping if key != LINE and key not in known]
    if extra:
        names = ", ".join(close_matches(str(key), list(known)) for key in extra)
        contents.fault(where, f"the keys {', '.join(known)}", names)
    return not extra


def _read_scales(path: Path, entries: Any, contents: Contents) -> dict[str, Scale | None]:
    """By name; None for one with faults, so that items that name it are no faults of their own."""
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        contents.fault(f"{path}, scales", "a mapping of name to {labels: […]}", repr(entries))
        return {}
    scales: dict[str, Scale | None] = {}
    for name, entry in entries.items():
        if name == LINE:
            continue
        where = f"{path}, scale {name!r}"
        if isinstance(entry, dict):
            where = f"{path}, line {entry[LINE]}"
        scales[str(name)] = _read_scale(where, name, entry, contents)
    return scales


def _read_scale(where: str, name: Any, entry: Any, contents: Contents) -> Scale | None:
    if not isinstance(name, str) or not isinstance(entry, dict) or not isinstance(entry.get("labels"), list):
        contents.fault(where, "a name with {labels: […]}, and perhaps codes and weights", repr(entry))
        return None
    if not _check_keys(contents, where, entry, ("labels", "codes", "weights")):
        return None
    codes, weights = entry.get("codes"), entry.get("weights")
    try:
        if not (codes is None or _all_numbers(codes, int)):
            raise ValueError("whole numbers as codes")
        if not (weights is None or _all_numbers(weights, (int, float))):
            raise ValueError("numbers as weights")
        return Scale.of(name, _labels(entry["labels"]), weights, codes)
    except ValueError as error:
        contents.fault(where, str(error), f"in the scale {name!r}")
        return None


def _all_numbers(values: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, kinds) and not isinstance(value, bool) for value in values
    )


def _labels(labels: list[Any]) -> list[str]:
    texts = []
    for position, label in enumerate(labels, start=1):
        try:
            texts.append(clean_text(label, "\n\t"))
        except ValueError as error:
            raise ValueError(f"a text for option {position}, not {error}") from error
    return texts


def _scale_of(
    contents: Contents,
    where: str,
    entry: Mapping[str, Any],
    scales: Mapping[str, Scale | None],
    default: Scale | None,
) -> Scale | None:
    """The scale of one item: its own options, the one that it names, or the file's."""
    options = entry.get("options")
    if options is None:
        return default if "scale" not in entry else _named(contents, where, entry["scale"], scales)
    if "scale" in entry:
        contents.fault(where, "options or a scale", "both")
        return None
    try:
        return _own_scale(str(entry.get("id")), options)
    except ValueError as error:
        contents.fault(where, str(error), "in its options")
        return None


def _own_scale(name: str, options: Any) -> Scale:
    if not isinstance(options, list):
        raise ValueError("a list of options")
    weighted = [isinstance(option, dict) for option in options]
    if not any(weighted):
        return Scale.of(name, _labels(options))
    if not all(weighted) or any(set(option) - {LINE} != {"text", "weight"} for option in options):
        raise ValueError("texts, or {text, weight} for every option")
    weights = [option["weight"] for option in options]
    if not _all_numbers(weights, (int, float)):
        raise ValueError("numbers as weights")
    return Scale.of(name, _labels([option["text"] for option in options]), weights)


def _named(contents: Contents, where: str, name: Any, scales: Mapping[str, Scale | None]) -> Scale | None:
    if name is None:
        return None
    if name not in scales:
        known = "a scale of this file" if scales else "a scale under scales"
        contents.fault(where, known, close_matches(str(name), list(scales)))
        return None
    return scales[name]


def _check_used(
    path: Path, scales: Mapping[str, Scale | None], document: Mapping[str, Any], contents: Contents
) -> None:
    """A scale that nothing names is most often a forgotten `scale:`, and its items would be asked yes or
    no."""
    entries = [entry for entry in document["items"] if isinstance(entry, dict)]
    named = [document.get("scale"), *(entry.get("scale") for entry in entries)]
    for name in scales:
        if name not in named:
            expected = "a scale that the file or an item names (scale: …)"
            contents.fault(f"{path}, scale {name!r}", expected, "no use of it")


def _optional(contents: Contents, where: str, cell: Any) -> str:
    if cell is None:
        return ""
    try:
        if not isinstance(cell, str):
            raise ValueError(repr(cell))
        return clean_text(cell, "\n\t")
    except ValueError as error:
        contents.fault(where, "a text", str(error))
        return ""


def _read_origin(path: Path, document: Mapping[str, Any], contents: Contents) -> None:
    notes = document.get("notes")
    texts = tuple(
        _optional(contents, f"{path}, notes", note)
        for note in (notes if isinstance(notes, list) else [notes])
        if note is not None
    )
    source, licence = (_optional(contents, f"{path}, {k}", document.get(k)) for k in ("source", "licence"))
    if source or licence or texts:
        contents.origins.append(Origin(str(document.get("questionnaire")), source, licence, texts))


def _read_norms(path: Path, document: Mapping[str, Any], contents: Contents) -> None:
    entries = document.get("norms")
    if entries is None:
        return
    if not isinstance(entries, dict):
        contents.fault(f"{path}, norms", "a mapping of value to a list of groups", repr(entries))
        return
    measured = {str(entry.get("value")) for entry in document["items"] if isinstance(entry, dict)}
    for value, groups in entries.items():
        if value == LINE:
            continue
        where = f"{path}, norms of {value!r}"
        if value not in measured:
            expected = "the name of a value that some item measures"
            contents.fault(where, expected, close_matches(str(value), sorted(measured)))
            continue
        try:
            norms = read_norms(groups)
        except ValueError as error:
            contents.fault(where, str(error), repr(groups)[:200])
            continue
        contents.norms[str(document.get("questionnaire")), value] = (where, norms)


def _read_definitions(path: Path, entries: Any, contents: Contents) -> None:
    if entries is None:
        return
    if not isinstance(entries, dict):
        contents.fault(f"{path}, definitions", "a mapping of value to text", repr(entries))
        return
    for value, text in entries.items():
        if value == LINE:
            continue
        where = f"{path}, definition of {value!r}"
        if not isinstance(value, str) or not isinstance(text, str) or not text.strip():
            contents.fault(where, "a value name with a text", repr(text))
        elif bad := bad_character(text, "\n\t"):
            contents.fault(where, "printable characters", bad)
        else:
            first, known = contents.definitions.setdefault(value, (where, text.strip()))
            if known != text.strip():
                contents.fault(where, f"the text of {first}", "another one")
