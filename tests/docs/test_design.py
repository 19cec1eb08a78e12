"""Every "DESIGN n" in code and texts names a decision of docs/design.md."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "engine",
    "steering",
    "discovery",
    "cluster",
    "axiograph",
    "tests",
    "benchmarks",
    "examples",
    "docs",
)
SUFFIXES = {".py", ".js", ".md", ".yaml", ".yml", ".toml"}
CITED = re.compile(r"DESIGN[\s#/]+(\d+(?:\s*(?:,|and|or)\s*\d+)*)")


def decisions() -> list[int]:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    return [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)]


def citations() -> list[tuple[Path, int]]:
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                text = path.read_text(encoding="utf-8")
                lists = [match.group(1) for match in CITED.finditer(text)]
                found += [(path, int(number)) for numbers in lists for number in re.findall(r"\d+", numbers)]
    return found


def test_decisions_are_numbered_in_order():
    assert decisions() == list(range(1, len(decisions()) + 1))


def test_every_citation_names_a_decision():
    cited = citations()
    assert len(cited) > 50, "the pattern finds what the code cites"
    known = set(decisions())
    assert [
        f"{path.relative_to(ROOT)}: DESIGN {number}" for path, number in cited if number not in known
    ] == []


def test_a_list_of_decisions_over_two_lines_is_read_whole():
    assert CITED.search("rounding (DESIGN 3, 13)").group(1) == "3, 13"
    assert CITED.search("to one role (DESIGN\n11)").group(1) == "11"
