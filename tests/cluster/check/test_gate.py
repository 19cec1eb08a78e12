"""A run stops behind a hopeless pilot, keeps what was answered, and goes on where it is told to."""

import pytest

from axiograph.engine.runs.run_dir import open_run
from tests import studies


@pytest.fixture
def study(study_assets, tmp_path):
    """A tiny random model, which says neither yes nor no, asked by 80 roles."""
    lines = "".join(f"r{number},I am person {number}.\n" for number in range(80))
    (tmp_path / "roles.csv").write_text(f"name,text\n{lines}")
    roles = {"files": [{"path": str(tmp_path / "roles.csv")}], "no_role": False}
    changes = {"roles": roles, "steering": [], "hints": [], "scoring": {"mode": "generate"}}
    return studies.write(tmp_path, study_assets, **changes)


def test_a_hopeless_pilot_ends_the_run_and_its_answers_stay(axiograph, study, tmp_path):
    code, out, err = axiograph("run", study, "--jobs", "1")
    stored = open_run(tmp_path / "run").store().rows()
    planned = open_run(tmp_path / "run").manifest()["requests"]
    assert code == 1 and "Nothing can be learned from this model in this way" in out
    said = err.splitlines()[-1]
    assert said.startswith("axiograph: pilot of 144 answers, before the sweep:") and "--anyway" in said
    assert 0 < stored < planned
    # The same again is told the same, from the store.
    code, _, err = axiograph("run", study, "--jobs", "1")
    assert code == 1 and open_run(tmp_path / "run").store().rows() == stored
    code, out, err = axiograph("run", study, "--jobs", "1", "--anyway")
    assert open_run(tmp_path / "run").store().rows() == planned
    assert "Nothing can be learned" in out


def test_check_says_it_beforehand_and_stores_nothing(axiograph, study, tmp_path):
    code, out, err = axiograph("check", study, "--roles", "4", "--requests", "60")
    assert code == 1 and not err
    assert out.startswith("Pilot: ") and "commonest texts that could not be read" in out
    assert "Other ways of asking the same:" in out and "this template, logprob" in out
    assert max(map(len, out.splitlines())) <= 80
    assert not (tmp_path / "run").exists()
