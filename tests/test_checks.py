"""Linters, formatter, types and import rules: what `make check` runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ("mypy", "ruff check .", "ruff format --check .", "lint-imports")


@pytest.mark.parametrize("command", CHECKS)
def test_check(command):
    program, *arguments = command.split()
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_these_are_the_checks_of_the_makefile():
    section = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:\n")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\t\$\(BIN\)(.+)$", section, re.MULTILINE)) == sorted(CHECKS)
