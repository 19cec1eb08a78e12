"""Tables: one content, three forms."""

import csv
import io

from axiograph.report.blocks.table import Column, Table

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


def test_payload_keeps_numbers_that_json_has():
    nan = Table(
        "n",
        "",
        (Column("a", "number", 1), Column("b", "estimate", 1)),
        [[float("nan"), (0.123456, None, float("nan"))]],
    )
    assert nan.payload()["rows"] == [[None, [0.123, None, None]]]
