"""The example notebooks run from start to end, and what they keep has the form of what they give today."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml

from examples.notebooks.execute import FOLDER, NOTEBOOKS, execute

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """name → (kept, executed): the second opens the run of the first."""
    folder = tmp_path_factory.mktemp("notebooks")
    study = yaml.safe_load((FOLDER / "first_study.yaml").read_text())
    assets = str(REPOSITORY / "engine" / "assets")
    text = yaml.safe_dump(study, sort_keys=False).replace("../../engine/assets", assets)
    (folder / "first_study.yaml").write_text(text)
    pairs = {}
    for name in NOTEBOOKS:
        shutil.copy2(FOLDER / f"{name}.ipynb", folder)
        kept = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        pairs[name] = kept, execute(folder / f"{name}.ipynb", folder)
    return pairs


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_kept_and_of_the_same_form(executed, name):
    kept, now = executed[name]
    code = [(a, b) for a, b in zip(kept.cells, now.cells, strict=True) if a.cell_type == "code"]
    assert all(a.outputs for a, _ in code), "execute the notebooks: python examples/notebooks/execute.py"
    same = [(a, b) for a, b in code if "same" in a.metadata.get("tags", [])]
    assert len(same) >= 6
    for before, after in same:
        assert _forms(before) == _forms(after), before.source


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_kept_outputs_name_no_machine(name):
    text = (FOLDER / f"{name}.ipynb").read_text()
    assert (
        str(REPOSITORY) not in text and "/home/" not in text and "/root/" not in text and "/tmp/" not in text
    )


def _forms(cell):
    """What every output begins with (of a table: its columns), without its numbers: another processor rounds
    otherwise, so that now and then another token is the likeliest, and with it a few numbers change."""
    texts = [output.get("text") or output["data"].get("text/plain") for output in cell.outputs]
    return [re.sub(r"[-+]?\d[\d,.]*", "#", "\n".join(text.splitlines()[:3])) for text in texts]
