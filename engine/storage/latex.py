"""Text as LaTeX prints it."""

from __future__ import annotations

import unicodedata

_ESCAPES = {c: "\\" + c for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # as it stands it is a command in some languages
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↔": r"$\leftrightarrow$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "√": r"$\surd$",
}
_GREEK_AS_LATIN = {"ο": "o", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M"}
_GREEK_AS_LATIN |= {"Ν": "N", "Ο": "O", "Ρ": "P", "Τ": "T", "Χ": "X"}


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is, on one line. Letters of other scripts stay: they need a font that has
    them (XeLaTeX or LuaLaTeX)."""
    return "".join(_letter(c) for c in " ".join(text.split()))


def _letter(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    if "\u0391" <= c <= "\u03c9":
        return _greek(c)
    if "\u2070" <= c <= "\u209c" or c in "¹²³":
        return _raised(c)
    return "" if unicodedata.category(c) in ("Cc", "Cf") else c


def _greek(c: str) -> str:
    if c in _GREEK_AS_LATIN:
        return _GREEK_AS_LATIN[c]
    name = unicodedata.name(c, "").split()
    if len(name) != 4 or name[0] != "GREEK" or name[1] not in ("SMALL", "CAPITAL"):
        return c  # with an accent: a word of Greek, no symbol
    word = name[3].lower().replace("lamda", "lambda")
    return rf"$\{word if name[1] == 'SMALL' else word.capitalize()}$"


def _raised(c: str) -> str:
    plain = unicodedata.normalize("NFKC", c).replace("−", "-")
    return f"${'_' if unicodedata.decomposition(c).startswith('<sub>') else '^'}{{{plain}}}$"
