"""docs/notebook.md and docs/api.md: every name that they show is one of the face."""

import re
from pathlib import Path

import axiograph as ax
from axiograph.api.graph import ValueGraph
from axiograph.api.run import Run

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "notebook.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))


def test_names_are_those_of_the_face():
    for pattern, owner in ((r"\bax\.(\w+)", ax), (r"\brun\.(\w+)", Run), (r"\bgraph\.(\w+)", ValueGraph)):
        names = set(re.findall(pattern, re.sub(r'"[^"]*"', '""', CODE)))
        assert names and [name for name in sorted(names) if not hasattr(owner, name)] == []


def test_the_api_page_documents_every_name_of_the_face():
    page = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"members: \[(.*?)\]", page))))
    objects = {
        name: getattr(getattr(ax, name), "__name__", name) for name in ax.__all__ if name != "__version__"
    }
    assert [name for name, real in objects.items() if real not in documented] == []
