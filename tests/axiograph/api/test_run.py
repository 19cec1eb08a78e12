"""A run by its directory: every frame by name, with ids and texts that a person can read."""

import shutil

import polars as pl
import pytest

import axiograph as ax
from axiograph.engine.errors import InputError
from tests import studies


@pytest.fixture
def run(finished):
    return ax.open(finished / "run")


def test_frames_are_those_that_the_stages_stored(run, finished):
    folder = finished / "run"
    for name in ("profiles", "rates", "reliability", "acquiescence"):
        assert getattr(run, name).equals(pl.read_parquet(folder / "scores" / f"{name}.parquet"))
    assert run.effects.changes.equals(pl.read_parquet(folder / "effects" / "changes.parquet"))
    assert run.effects.between_roles.equals(pl.read_parquet(folder / "effects" / "between_roles.parquet"))
    assert run.study.name == "tiny"


def test_responses_carry_hex_ids_and_the_texts_of_items_and_roles(run, finished):
    responses = run.responses
    stored = pl.read_parquet(finished / "run" / "responses" / "*.parquet")
    assert responses.height == stored.height and responses["id"].n_unique() == stored.height
    assert set(responses["id"]) == {identifier.hex() for identifier in stored["request_id"]}
    row = responses.filter(pl.col("item_id") == "Joy1").row(0, named=True)
    assert (
        row["question"] == "Do you avoid joy number 1?" and row["value"] == "Joy" and row["agreement"] == -1
    )
    assert responses.filter(pl.col("role") != "").select(pl.col("role_text").str.len_chars().min()).item() > 0
    assert responses.null_count().select("role_text", "question", "value").sum_horizontal().item() == 0


def test_every_response_of_a_role_bears_that_roles_text(run, finished):
    inputs = run.directory.inputs()
    texts = {role.name: role.text for role in inputs.roles}
    pairs = run.responses.select("role", "role_text").unique()
    assert dict(pairs.iter_rows()) == {name: texts[name] for name in pairs["role"]}


def test_show_gives_the_response_of_an_id(run):
    identifier = run.responses["id"][0]
    view = run.show(identifier[:12])
    assert identifier in view.text and "prompt" in str(view)
    assert view._repr_html_().startswith("<pre")
    assert identifier[:10] in run.find(limit=1000).text


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="axiograph run"):
        ax.open(tmp_path)


def test_a_run_shows_itself_without_html_from_outside(run):
    html = run._repr_html_()
    assert "<svg" in html and "Joy" in html and repr(run).startswith("Run(")


def test_discover_with_other_settings_is_stored_in_the_run(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    run = ax.open(tmp_path / "run")
    result = run.discover(replicates=20, alpha=0.2, jobs=1)
    assert result.discovery.bootstrap.replicates.asked == 20
    assert run.graph.edges.equals(result.graph.edges)
    assert set(run.graph.values) | set(result.discovery.profiles.excluded) == set(studies.VALUES)
    with pytest.raises(InputError, match="alpha"):
        run.discover(alpha=7)


def test_effects_and_scores_again_are_the_same(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    run = ax.open(tmp_path / "run")
    before, profiles = run.effects, run.profiles
    assert run.score().profiles.equals(profiles)
    assert run.test_effects().changes.equals(before.changes)
    assert str(run.effects) == str(before)


def test_the_report_says_where_it_is(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    page = ax.open(tmp_path / "run").report(figures=False)
    assert page.page.is_file() and str(page.page) in str(page) and "href" in page._repr_html_()
