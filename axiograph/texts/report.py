"""What commands that end with a report print: where it is."""

from __future__ import annotations


def report_text(where: str, figures: int, tables: int) -> str:
    """`where`: the page, by the name under which a person reaches it; how many files lie beside it."""
    return f"The report is {where} ({figures} figures, {tables} tables beside it)"
