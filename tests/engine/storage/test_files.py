"""A file is complete or it is the old one, whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import polars as pl
import pytest

from axiograph.engine.errors import RunError
from axiograph.engine.storage.files import atomic_path, remove_leftovers, write_atomic, write_json


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_written_and_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"é": [1, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": [1, None]}
    write_json(path, 2)
    assert content(path.parent) == {"a.json": "2\n"}


def test_nothing_is_seen_before_it_is_complete(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        assert temporary.name.startswith(".")
        temporary.write_text("whole")
        number = temporary.stat().st_ino
    assert content(tmp_path) == {"a": "whole"}
    assert path.stat().st_ino == number  # it took the name; nothing was copied


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.ENOENT, "no file")])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomic(path, fail)
    assert caught.value is error
    assert content(tmp_path) == {"a": "old"}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((number, "room on the disk") for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        *((number, "a place that can be written") for number in (errno.EROFS, errno.EACCES, errno.EIO)),
    ],
)
def test_errors_of_the_disk_say_what_to_do(tmp_path, number, expected):
    def fail(temporary):
        temporary.write_text("half")
        raise OSError(number, "as a library words it")

    with pytest.raises(RunError, match=f"expected {expected}, found '{os.strerror(number)}'") as caught:
        write_atomic(tmp_path / "a", fail)
    assert str(tmp_path / "a") in str(caught.value)
    assert "stored so far is intact" in str(caught.value)
    assert content(tmp_path) == {}


def test_polars_words_for_a_full_disk_are_understood(tmp_path):
    def fail(temporary):
        raise pl.exceptions.ComputeError("parquet: IO error: No space left on device (os error 28)")

    with pytest.raises(RunError, match="'No space left on device'"):
        write_atomic(tmp_path / "a", fail)


def test_no_nan_gets_into_json(tmp_path):
    write_json(tmp_path / "a", [1])
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a", [float("nan")])
    assert content(tmp_path) == {"a": "[\n 1\n]\n"}


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    code = (
        "import os, sys, signal; from pathlib import Path\n"
        "from axiograph.engine.storage.files import write_atomic\n"
        "def write(temporary):\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(Path(sys.argv[1]), write)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["a"]
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path)
    assert content(tmp_path) == {"a": "old"}
