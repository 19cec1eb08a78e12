"""LaTeX of tables: every letter escaped, every row whole, none wider than its page, and it compiles."""

import re
import shutil
import subprocess

import pytest

from axiograph.report.blocks.latex import escaped
from axiograph.report.blocks.table import Column, Table

PACKAGES = ("booktabs", "longtable", "rotating", "adjustbox", "pdflscape")
NASTY = [
    r"\input{x}%",
    "[0, 1]",
    "* starred",
    "50 % & $3_000 #1 {a}",
    "~^\\",
    "Größe, naïve, Łódź",
    "α τ Σ Ο λ",
    'he said "a|b"',
    "p ≤ 0.05 ± 2 → −1 … √2 R² x₁ 10⁻³",
    "zero\u200bwidth\x07",
    "<b>",
]


def table_of(cells, *kinds):
    columns = tuple(Column(f"{k} & {name}", "text") for k, name in enumerate(kinds or ("a",)))
    return Table("made", "A caption of\n100 %", columns, [[cell] * len(columns) for cell in cells])


def test_escapes_and_shows_intervals():
    columns = (
        Column("value & name"),
        Column("n", "count"),
        Column("share", "estimate", 2),
        Column("p", "number", 3),
    )
    rows = [["A_b → c", 1200, (0.5, 0.25, 0.753), 0.0316], ["<script>", None, None, None]]
    text = Table("made", "A caption of\n100 %", columns, rows).latex()
    assert text.startswith("% A caption of 100 %\n\\begin{adjustbox}{max width=\\linewidth")
    assert r"\begin{tabular}{lrrr}" in text
    assert r"value \& name & n & share & p \\" in text
    assert r"A\_b $\rightarrow$ c & 1,200 & 0.50 [0.25, 0.75] & 0.032 \\" in text
    assert r"\textless{}script\textgreater{} & -- & -- & -- \\" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a b"),
        ("a   b", "a b"),
        (r"\input{x}%", r"\textbackslash{}input\{x\}\%"),
        ("λΣΑ", r"$\lambda$$\Sigma$A"),
        ("R² x₁ 10⁻³", "R$^{2}$ x$_{1}$ 10$^{-}$$^{3}$"),
        ("a\u200bb\x07", "ab"),
        ("Größe", "Größe"),
    ],
)
def test_every_letter_is_one_that_latex_prints(text, shown):
    assert escaped(text) == shown


def test_a_row_cannot_begin_with_an_option():
    lines = table_of(["[0, 1]", "*"]).latex().splitlines()
    assert r"{}[0, 1] \\" in lines and r"{}* \\" in lines


def parts(text):
    """(column letters, rows of cells) of every tabular in a file; braces and environments are checked."""
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end){(\w+)}", text):
        assert kind == "begin" or opened.pop() == name
        opened += [name] if kind == "begin" else []
    assert not opened
    assert all(line.count("%") == line.count(r"\%") for line in text.splitlines()[1:])
    for letters, body in re.findall(r"\\begin{(?:tabular|longtable)}{(\w+)}(.*?)\\end{", text, re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        yield letters, [re.split(r"(?<!\\)&", line) for line in lines]


def test_every_table_of_a_report_is_whole(written):
    files = [path for path in written.tables if path.suffix == ".tex"]
    assert len(files) >= 15
    for path in files:
        found = list(parts(path.read_text()))
        assert found
        for letters, rows in found:
            assert rows and all(len(row) == len(letters) for row in rows), path.name
    for _, rows in parts(table_of(NASTY, "a", "b", "c").latex()):
        assert len(rows) == len(NASTY) + 1 and {len(row) for row in rows} == {3}


def test_long_tables_go_over_pages_and_wide_ones_are_turned():
    assert r"\begin{longtable}{l}" in table_of(["x"] * 46).latex()
    assert r"\begin{landscape}" in table_of(["x" * 40] * 46, *"abc").latex()
    assert "angle=90" in table_of(["x" * 30] * 5, *"abcd").latex()
    assert "angle=90" not in table_of(["x"] * 5, *"abcd").latex()


def test_headings_stand_upright_where_they_are_what_makes_it_wide():
    names = [f"long heading {k}" for k in range(9)]
    assert table_of(["x"], *names).latex().count(r"\rotatebox{90}") == 8
    assert r"\rotatebox" not in table_of(["longer than its heading"], *names).latex()


def test_a_table_of_very_many_columns_is_split_and_loses_none():
    columns = (Column("condition"), Column("roles"), *(Column(f"value {k}", "count") for k in range(224)))
    table = Table("t", "", columns, [["c", "test", *range(224)]], keys=2)
    found = list(parts(table.latex()))
    assert len(found) > 5 and all(rows[1][:2] == ["c ", " test "] for _, rows in found)
    cells = [cell.strip().removesuffix(r" \\") for _, rows in found for cell in rows[1][2:]]
    assert cells == [str(k) for k in range(224)]


def has_latex():
    if shutil.which("pdflatex") is None:
        return False
    return all(
        subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True).returncode == 0 for name in PACKAGES
    )


@pytest.mark.slow
@pytest.mark.skipif(not has_latex(), reason="no pdflatex with its packages: tables are not compiled")
def test_all_of_it_compiles_and_nothing_stands_out(written, tmp_path):
    (tmp_path / "nasty.tex").write_text(table_of(NASTY, "a", "b").latex(), encoding="utf-8")
    (tmp_path / "long.tex").write_text(table_of(NASTY * 5, *"abcdefgh").latex(), encoding="utf-8")
    files = [path for path in written.tables if path.suffix == ".tex"]
    files += [tmp_path / "nasty.tex", tmp_path / "long.tex"]
    packages = f"\\usepackage[T1]{{fontenc}}\\usepackage{{{','.join(PACKAGES)}}}"
    body = "\n\\clearpage\n".join(f"\\input{{{path}}}" for path in files)
    (tmp_path / "all.tex").write_text(
        f"\\documentclass{{article}}{packages}\\begin{{document}}\n{body}\n\\end{{document}}"
    )
    for _ in range(3):  # a longtable knows its widths when it was read before
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
    assert table_of([]).latex().count(r"\begin{tabular}") == 1
