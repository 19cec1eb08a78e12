"""Pages of the site that lie elsewhere in the repository, beside what they are about.

Links between the two are written as they are in the repository, and turned here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "slurm.md": "examples/slurm/README.md",
    "kuberay.md": "examples/kuberay/README.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by mkdocs with the files that it found."""
    for uri, source in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs with every page before it is rendered."""
    for uri, source in PAGES.items():
        for link in (source, f"../{source}"):
            markdown = markdown.replace(f"]({link}", f"]({uri}")
    return markdown.replace("](docs/", "](")
