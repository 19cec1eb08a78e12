"""How modules import each other: one way, at the top of the file, and nothing heavy before it is needed.

The order of packages and rooms is held by import-linter (pyproject.toml, `lint-imports`)."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx
import pytest

from tests.compatibility.test_earlier_run import unpacked
from tests.packages import PACKAGES, ROOT, files_of, modules

MOST_FILES, MOST_LINES = 16, 400
# Never loaded by an import alone: they take seconds or hundreds of megabytes.
HEAVY = [
    "torch",
    "transformers",
    "ray",
    "vllm",
    "sae_lens",
    "transformer_lens",
    "causallearn",
    "matplotlib",
    "altair",
    "vl_convert",
    "networkx",
    "statsmodels",
    "joblib",
    "moto",
    "xml.etree",
]
# Loaded only by the modules that hold compiled loops, and by those that name such loops at their top.
COMPILING = ("numba", "scipy")
RUNNING_MODELS = ("torch", "transformers", "ray", "vllm", "sae_lens")
COMPILED = {
    f"axiograph.{name}"
    for name in [
        "discovery.effects.relation_sums",
        "discovery.graph.descendants",
        "discovery.interventions.kernel",
        "discovery.interventions.local",
        "discovery.matrix.em_loop",
        "discovery.numerics.compiled",
        "discovery.numerics.lanes",
        "discovery.numerics.philox",
        "discovery.orders.climb",
        "discovery.orders.equivalence",
        "discovery.orders.exhaustive",
        "discovery.orders.kernel",
        "discovery.orders.trees",
        "discovery.pc.colliders",
        "discovery.pc.kernel",
        "discovery.pc.orientation",
        "discovery.pc.skeleton",
        "discovery.pc.walk",
        "discovery.resampling.weighted",
        "engine.kernels.attention",
        "engine.kernels.compiled",
        "engine.kernels.steps",
        "engine.kernels.vectors",
    ]
}
# Only the command line writes to the terminal.
PRINTING = ("axiograph.cli", "axiograph.commands")


MODULES = modules()
TREES = {name: ast.parse(file.read_text()) for name, file in MODULES.items()}


def imports(node: ast.AST) -> list[str]:
    """What an import statement loads: modules, submodules of packages included; [] for other statements."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        named = [f"{node.module}.{alias.name}" for alias in node.names]
        return [node.module, *(name for name in named if name in MODULES)]
    return []


def at_the_top(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def in_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when a function is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from ast.walk(node)


def loaded(names: list[str]) -> dict[str, list[str]]:
    """What each of the modules brings in, imported one after the other in a new process."""
    code = f"""
import importlib, json, sys
heavy, loaded = {[*HEAVY, *COMPILING]!r}, {{}}
for name in {names!r}:
    before = set(sys.modules)
    importlib.import_module(name)
    new = [library for library in heavy if library in sys.modules and library not in before]
    if new:
        loaded[name] = new
print(json.dumps(loaded))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return dict(json.loads(done.stdout))


def test_importing_a_module_loads_nothing_heavy():
    assert loaded([name for name in MODULES if name not in COMPILED]) == {}


def test_modules_with_compiled_loops_load_numba_and_nothing_heavier():
    new = {library for libraries in loaded(sorted(COMPILED)).values() for library in libraries}
    assert new <= {"numba", "scipy"}


def test_the_list_of_compiled_modules_is_that_of_the_modules_that_load_numba_at_their_top():
    top = {
        name: {target for node in at_the_top(tree) for target in imports(node)}
        for name, tree in TREES.items()
    }
    compiled: set[str] = set()
    while True:
        more = {
            name
            for name, targets in top.items()
            if targets & compiled or any(target.partition(".")[0] in COMPILING for target in targets)
        }
        if more == compiled:
            break
        compiled = more
    assert compiled == COMPILED


def test_modules_of_this_project_are_imported_at_the_top_unless_they_hold_compiled_loops():
    hidden = {
        f"{name}:{node.lineno} imports {target}"
        for name, tree in TREES.items()
        for node in in_functions(tree)
        for target in imports(node)[-1:]
        if target.partition(".")[0] == "axiograph" and target not in COMPILED
    }
    assert hidden == set()


def test_no_two_files_import_each_other_in_a_circle_also_inside_functions():
    graph = grimp.build_graph("axiograph", cache_dir=None)
    assert graph.modules == set(MODULES)
    arrows = networkx.DiGraph(
        (name, target) for name in graph.modules for target in graph.find_modules_directly_imported_by(name)
    )
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(arrows) if len(circle) > 1]
    assert circles == []


def test_only_the_command_line_prints():
    printing = {
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        if not name.startswith(PRINTING)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_and_files_stay_small_enough_to_be_seen_at_once(package):
    folders: dict[Path, int] = {}
    for file in files_of(ROOT / package):
        folders[file.parent] = folders.get(file.parent, 0) + 1
    assert {folder: count for folder, count in folders.items() if count > MOST_FILES} == {}
    lines = {file: len(file.read_text().splitlines()) for file in files_of(ROOT / package, "*.py")}
    assert {file: count for file, count in lines.items() if count > MOST_LINES} == {}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run."""
    return unpacked(tmp_path_factory.mktemp("run")) / "run"


@pytest.mark.parametrize(
    "command",
    [
        "-h",
        "--version",
        "plan --help",
        "status RUN",
        "show RUN",
        "compare RUN RUN/graph/averaged.json",
    ],
)
def test_commands_that_need_no_model_do_not_load_what_runs_one(command, run, tmp_path):
    code = f"""
import json, sys
from axiograph.cli import main
try:
    main()
except SystemExit as stop:
    print(json.dumps([stop.code, [library for library in {RUNNING_MODELS!r} if library in sys.modules]]))
"""
    arguments = command.replace("RUN", str(run)).split()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []], done.stderr
