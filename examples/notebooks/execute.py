"""Executes the notebooks of this folder and keeps their outputs: `python examples/notebooks/execute.py`.

What depends on the machine is left out of the outputs: paths of the clone, the host's name, and what
libraries say on stderr.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
NOTEBOOKS = ("first_study", "exploring_a_run")  # in this order: the second opens the run of the first
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def execute(notebook: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of an execution in `folder`. CellExecutionError where a cell fails."""
    node = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(node, timeout=300, kernel_name="python3", resources=resources).execute()
    node.metadata = nbformat.from_dict({**KERNEL, "language_info": {"name": "python"}})
    for cell in node.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [_without_paths(output) for output in cell.outputs if not _is_stderr(output)]
    return node


def _is_stderr(output: nbformat.NotebookNode) -> bool:
    return bool(output.output_type == "stream" and output.name == "stderr")


def _without_paths(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    root = str(FOLDER.parents[1])
    text = json.dumps(output).replace(f"file://{root}/", "").replace(f"{root}/", "")
    text = text.replace(f" on {platform.node()}", "")
    return nbformat.from_dict(json.loads(text))


def main() -> None:
    for name in NOTEBOOKS:
        path = FOLDER / f"{name}.ipynb"
        nbformat.write(execute(path, FOLDER), path)
        print(f"{path.name}: executed", file=sys.stderr)


if __name__ == "__main__":
    main()
