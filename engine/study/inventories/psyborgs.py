"""PsyBORGS' administration sessions (Serapio-García et al., google-research): measures of scales of items.

{measures: {id: {user_readable_name, items: {id: text}, scales: {id: {user_readable_name, item_ids,
reverse_keyed_item_ids, response_scale_ids, item_postamble_ids}}}}, response_scales: {id: {response_choices:
{code: text}}}, item_postambles: {id: text}}. Preambles hold personas and are not read.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.anchors import anchors
from axiograph.engine.study.inventories.documents import part
from axiograph.engine.study.inventories.inventory import Builders, Entry, Inventory, Request, is_statement
from axiograph.engine.study.scales import Scale


def recognises(document: Any) -> bool:
    """Whether it is a session of this form."""
    return isinstance(document, dict) and {"measures", "response_scales"} <= set(document)


def builders(document: Any, request: Request) -> Builders:
    """One for each measure of the session, by its id."""
    where = str(request.path)
    measures = part(where, document, "measures", dict)
    return {
        name: partial(_build, f"{where}, {name!r}", name, measure, document, request)
        for name, measure in measures.items()
    }


def _build(where: str, name: str, measure: Any, session: Any, request: Request) -> Inventory:
    title = part(where, measure, "user_readable_name", str)
    inventory = Inventory(name, source=title)
    texts = part(where, measure, "items", dict)
    if redacted := [key for key, text in texts.items() if str(text).strip(" []").lower() in ("", "redacted")]:
        remedy = "The items are not in this file; take another one, or measures that are whole: --name."
        fault = f"{len(redacted)} that are blanked out ({texts[redacted[0]]!r})"
        raise InputError(f"{where}, items", "texts of items", fault, remedy)
    used: set[str] = set()
    for key, scale in part(where, measure, "scales", dict).items():
        at = f"{where}, scale {key!r}"
        value = _without_prefix(part(at, scale, "user_readable_name", str), name, title)
        options = inventory.add(_options(at, scale, session, inventory, request))
        reverse = part(at, scale, "reverse_keyed_item_ids", list)
        ids = part(at, scale, "item_ids", list)
        if unknown := [i for i in (*ids, *reverse) if i not in texts or i not in ids]:
            raise InputError(at, "ids of the measure's items", repr(unknown[0]), "Correct the ids.")
        for item in ids:
            item_id = f"{item}@{value}" if item in used else str(item)
            used.add(item)
            agreement, text = -1 if item in reverse else 1, str(texts[item])
            entry = Entry(item_id, value, agreement, text, options, is_statement=is_statement(text))
            inventory.entries.append(entry)
    if left := [item for item in texts if item not in used]:
        inventory.notes.append(f"{len(left)} items of no scale are left out: {', '.join(map(str, left))}.")
    inventory.notes = list(dict.fromkeys(inventory.notes))
    inventory.note_centring(title)
    return inventory


def _without_prefix(value: str, *prefixes: str) -> str:
    """ "BFI Extraversion" of the measure BFI is Extraversion."""
    for prefix in prefixes:
        if value.startswith(f"{prefix} "):
            return value[len(prefix) + 1 :]
    return value


def _options(where: str, scale: Any, session: Any, inventory: Inventory, request: Request) -> Scale:
    ids = part(where, scale, "response_scale_ids", list)
    if not ids:
        remedy = "An open scale has no options to choose from."
        raise InputError(where, "a response scale", "none", remedy)
    if len(ids) > 1:
        others = ", ".join(map(str, ids[1:]))
        inventory.notes.append(f"Of several response scales, {ids[0]} is taken; the others are {others}.")
    chosen = part(where, session.get("response_scales"), ids[0], dict)
    choices = part(where, chosen, "response_choices", dict)
    try:
        texts = {int(code): str(text) for code, text in choices.items()}
        codes = sorted(texts)
        if all(text == str(code) for code, text in texts.items()):
            texts |= _said_in_postambles(scale, session, codes)
            if request.options and all(text == str(code) for code, text in texts.items()):
                return request.options
        return Scale.of(str(ids[0]), [texts[code] for code in codes], codes=codes)
    except ValueError as error:
        raise InputError(where, str(error), f"in {ids[0]!r}", "Correct the response scale.") from error


def _said_in_postambles(scale: Any, session: Any, codes: list[int]) -> dict[int, str]:
    postambles = session.get("item_postambles", {})
    for postamble in scale.get("item_postamble_ids", []):
        texts = anchors(str(postambles.get(postamble, "")), codes)
        if len(texts) == len(codes):
            return texts
    return {}
