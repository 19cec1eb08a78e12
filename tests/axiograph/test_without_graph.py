"""Steering studies without a graph: changes and doses are there, and what is not there is said."""

from __future__ import annotations

import polars as pl
import pytest

import axiograph as ax
from tests import studies

NEEDS_A_GRAPH = ("relations", "responses", "pooled", "contrasts", "between_roles")


def small(assets, folder, **changes):
    """Seven roles, all of which effects are tested on: too few for a graph."""
    roles = {"generate": [{"fields": str(assets / "fields.yaml"), "n": 7}], "no_role": False}
    sae = {"path": str(assets / "sae")}
    sweep = [{"operations": [{"sae": sae, "features": [3], "strengths": [-40, 40]}]}]
    settings = {"roles": roles, "steering": sweep, "steer_roles": "all", "effects": {"roles": "all"}}
    return studies.write(folder, assets, **(settings | changes))


@pytest.fixture
def run(axiograph, study_assets, tmp_path):
    code, out, err = axiograph("run", small(study_assets, tmp_path), "--jobs", 1)
    assert code == 0, err
    assert "no graph: " in out and "There is no graph" in out
    return tmp_path / "run"


def test_changes_and_doses_are_written_printed_and_reported(run, axiograph):
    changes = pl.read_parquet(run / "effects" / "changes.parquet")
    assert set(changes["condition"]) == {"hint inclined:asked", "f3:-40", "f3:+40"}
    assert changes["pairs"].to_list() == [7] * 9 and changes["p"].null_count() == 0
    trends = pl.read_parquet(run / "effects" / "trends.parquet")
    assert trends["strengths"].to_list() == [3] * 3 and trends["p"].null_count() == 0
    assert not any((run / "effects" / f"{name}.parquet").exists() for name in NEEDS_A_GRAPH)
    page = (run / "report" / "report.html").read_text()
    for text in ("of 9 contrasts changed", "Changes were tested without a graph", "No graph here yet"):
        assert text in page
    assert "No contrast between roles: it sorts" in page

    found = ax.open(run).effects
    assert found.changes.equals(changes) and found.relations.is_empty() and found.between_roles.is_empty()
    assert "of 9 condition × value contrasts changed" in found.text and "There is no graph" in found.text
    assert len(found.shown_frames()) == 1 and found._repr_html_()

    code, out, _ = axiograph("effects", run)
    assert code == 0 and "There is no graph" in out
    assert axiograph("report", run)[0] == 0


def test_more_roles_make_it_whole(run, axiograph, study_assets, tmp_path):
    roles = {"generate": [{"fields": str(study_assets / "fields.yaml"), "n": 24}], "no_role": False}
    code, out, err = axiograph("run", small(study_assets, tmp_path, roles=roles), "--jobs", 1)
    assert code == 0, err
    assert "There is no graph" not in out
    assert all((run / "effects" / f"{name}.parquet").exists() for name in NEEDS_A_GRAPH)
    assert ax.open(run).effects.effects.has_graph


def test_a_graph_that_is_possible_and_fails_is_an_error_after_the_effects(axiograph, study_assets, tmp_path):
    unknown = {"discovery": {"replicates": 5, "knowledge": {"tiers": {"Nobody": 1}}}}
    roles = {"generate": [{"fields": str(study_assets / "fields.yaml"), "n": 24}], "no_role": False}
    code, out, err = axiograph("run", small(study_assets, tmp_path, roles=roles, **unknown), "--jobs", 1)
    assert code == 2 and "Nobody" in err
    assert "There is no graph" in out
    assert (tmp_path / "run" / "effects" / "changes.parquet").is_file()


def test_without_conditions_the_error_comes_at_once(axiograph, study_assets, tmp_path):
    code, out, err = axiograph("run", small(study_assets, tmp_path, steering=[], hints=[]))
    assert code == 2 and "at least 5 roles in a replicate" in " ".join(err.split())
    assert "There is no graph" not in out
