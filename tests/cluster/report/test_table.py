"""Tables: one content, three forms."""

import csv
import io

import pytest

from cluster.report.latex import escaped
from cluster.report.table import Column, Table

TABLE = Table(
    "made",
    "A caption of\n100 %",
    (Column("value & name"), Column("n", "count"), Column("share", "estimate", 2), Column("p", "number", 3)),
    [["A_b → c", 1200, (0.5, 0.25, 0.753), 0.0316], ["<script>", None, None, None]],
)


def test_csv_has_every_digit_and_empty_cells_for_what_is_missing():
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows[0] == ["value & name", "n", "share", "share low", "share high", "p"]
    assert rows[1] == ["A_b → c", "1200", "0.5", "0.25", "0.753", "0.0316"]
    assert rows[2] == ["<script>", "", "", "", "", ""]


def test_latex_escapes_and_shows_intervals():
    text = TABLE.latex()
    assert text.startswith("% A caption of 100 %\n\\begin{tabular}{lrrr}")
    assert r"value \& name & n & share & p \\" in text
    assert r"A\_b $\rightarrow$ c & 1,200 & 0.50 [0.25, 0.75] & 0.032 \\" in text
    assert r"\textless{}script\textgreater{} & -- & -- & -- \\" in text


def test_long_and_wide_tables_fit_a_page():
    long = Table("l", "", (Column("a"),), [["x"]] * 46)
    assert r"\begin{longtable}" in long.latex() and r"\endhead" in long.latex()
    wide = Table("w", "", tuple(Column(f"c{k}") for k in range(9)), [])
    assert wide.latex().count(r"\rotatebox{90}") == 8


@pytest.mark.parametrize("text", ["a\nb", "a   b"])
def test_escaped_text_stays_on_its_line(text):
    assert escaped(text) == "a b"


def test_escaped_text_cannot_run_a_command():
    assert escaped(r"\input{x}%") == r"\textbackslash{}input\{x\}\%"


def test_payload_keeps_numbers_that_json_has():
    nan = Table(
        "n",
        "",
        (Column("a", "number", 1), Column("b", "estimate", 1)),
        [[float("nan"), (0.123456, None, float("nan"))]],
    )
    assert nan.payload()["rows"] == [[None, [0.123, None, None]]]
