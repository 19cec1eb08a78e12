"""A real Chromium, headless, for tests of pages: Debian's own, or the one that AXIOGRAPH_CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

REQUIRED = "AXIOGRAPH_REQUIRE_BROWSER"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Where the browser is; None where there is none, or where AXIOGRAPH_CHROMIUM names no program."""
    named = os.environ.get("AXIOGRAPH_CHROMIUM")
    found = [shutil.which(name) for name in ([named] if named else _NAMES)]
    return next((path for path in found if path), None)


def absent(why: str) -> None:
    """A visible skip, and a failure where the environment says that there has to be a browser."""
    if os.environ.get(REQUIRED, "") not in ("", "0"):
        pytest.fail(f"{REQUIRED} is set, but {why}")
    pytest.skip(f"{why}: pages are not tested (install Debian's chromium, or set AXIOGRAPH_CHROMIUM)")


@contextmanager
def browser() -> Iterator[Any]:
    """Playwright's browser. Skips, or fails, without Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed")
    path = chromium()
    if path is None:
        absent("no Chromium was found")
    with sync_playwright() as driver:
        # In a container the browser's own sandbox cannot start; what it opens is written by the tests.
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()
