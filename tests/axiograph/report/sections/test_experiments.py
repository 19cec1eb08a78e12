"""Levers left out: what lies outside the interval of its prediction is said to; without levers nothing."""

import json
import shutil

import polars as pl
import pytest

from axiograph.discovery.interventions.prediction import SCHEMA, Prediction
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.section import Facts, Listing, Note
from axiograph.report.build import write_report
from axiograph.report.sections import experiments
from axiograph.report.sections.experiments import NO_INTERVAL, OUTSIDE, WITHIN
from tests.axiograph.report.made_run import HOSTILE, value_names
from tests.axiograph.report.test_browser import opened
from tests.axiograph.report.test_build import text_of

A, B, C = value_names(3)
ROWS = [
    # condition, lever, own value, value, measured, predicted, low, high, error, observational
    ("d0:+2", "d0", A, B, 0.6, 0.4, 0.1, 0.7, 0.1, -0.0),
    ("d0:+2", "d0", A, C, 0.9, 0.1, -0.2, 0.4, 0.1, 0.3),
    ("d1:+2", "d1", B, A, 0.0, -0.0, None, None, 0.1, 0.2),
    ("d1:+2", "d1", B, C, 0.7, 0.6, 0.3, 0.7, 0.1, 0.1),
    ("d2:+2", "d2", C, A, -0.05, 0.0, -0.2, 0.2, 0.1, 0.0),
    ("d2:+2", "d2", C, B, -1.1, -0.9, -1.0, -0.8, 0.1, 0.0),
]
TOTALS = [
    # source, target, direct, total with their ends, share of replicates with a way
    (A, B, 0.5, 0.4, 0.6, 0.5, 0.4, 0.6, 1.0),
    (A, C, 0.0, 0.0, 0.0, -0.7, -0.9, 0.0, 0.9),
    (B, A, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (C, A, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.05),
]
NAMES = (
    "source",
    "target",
    "direct",
    "direct_low",
    "direct_high",
    "total",
    "total_low",
    "total_high",
    "leads",
)
TRIED = {
    "conditions": ["d0:+2", "d1:+2", "d2:+2"],
    "lever_of": {"d0:+2": "d0", "d1:+2": "d1", "d2:+2": "d2", "d2:+9": "d2"},
    "roles": 8,
    "left_out": {"d2:+9": "it breaks the model"},
}


def prediction(rows=ROWS):
    return Prediction(pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def totals():
    return pl.DataFrame(TOTALS, schema=NAMES, orient="row")


def with_experiments(run, folder, name="d0"):
    """A copy of `run` whose graph was made with experiments; the first lever is called `name`."""
    shutil.copytree(run.path, folder)
    made = prediction([(row[0], row[1].replace("d0", name), *row[2:]) for row in ROWS])
    made.table.write_parquet(folder / "graph" / "prediction.parquet")
    totals().write_parquet(folder / "graph" / "total_effects.parquet")
    path = folder / "graph" / "discovery.json"
    tried = TRIED | {"lever_of": TRIED["lever_of"] | {"d0:+2": name}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"experiments": tried}))
    path = folder / "effects" / "effects.json"
    judges = {"d0:+2": "d0", "d1:+2": "d1"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"judges": judges}))
    return folder


def kinds(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_what_lies_outside_its_interval_is_said_to_and_comes_first():
    data = experiments.judged(prediction())
    assert [(r["value"], r["condition"], r["lies"]) for r in data.iter_rows(named=True)] == [
        (C, "d0:+2", OUTSIDE),
        (B, "d2:+2", OUTSIDE),
        (B, "d0:+2", WITHIN),
        (C, "d1:+2", WITHIN),
        (A, "d2:+2", WITHIN),
        (A, "d1:+2", NO_INTERVAL),
    ]
    assert data.filter(lies=OUTSIDE).height == 2 and prediction().coverage == (3, 5)
    table = experiments.prediction_table(data)
    first = dict(zip([column.name for column in table.columns], table.rows[0], strict=True))
    assert first["measured lies"] == OUTSIDE and first["predicted"] == (0.1, -0.2, 0.4)
    assert not {"-0.0"} & set(table.csv().replace("\n", ",").split(","))


def test_predictions_of_before_there_were_intervals_have_none():
    older = Prediction(prediction().table.drop("low", "high"))
    assert set(experiments.judged(older)["lies"]) == {NO_INTERVAL}


def test_the_chart_draws_what_lies_outside_above_the_others_in_its_own_colour_and_shape():
    made = prediction()
    chart = experiments.prediction_chart(made, experiments.judged(made))
    assert "2 of them outside" in chart.alt
    with_lever, alone = chart.spec["hconcat"]
    points = with_lever["layer"][-1]
    drawn = chart.spec["datasets"][points["data"]["name"]]
    assert [row["lies"] for row in drawn[-2:]] == [OUTSIDE, OUTSIDE]
    assert drawn[-1]["interval"] == "−0.200 to +0.400" and drawn[0]["interval"] == "– to –"
    for channel in ("color", "shape"):
        scale = points["encoding"][channel]["scale"]
        assert scale["domain"] == [WITHIN, OUTSIDE, NO_INTERVAL] and len(set(scale["range"])) == 3
    lines = [chart.spec["datasets"][layer["data"]["name"]] for layer in with_lever["layer"][1:3]]
    assert [len(rows) for rows in lines] == [3, 2]
    ends = points["encoding"]["x"]["scale"]["domain"]
    assert ends == points["encoding"]["y"]["scale"]["domain"] and ends[0] < -1.1 and ends[1] > 0.9
    assert alone["layer"][1]["encoding"]["x"]["field"] == "observational"


def test_an_interval_as_wide_as_the_sky_leaves_the_points_readable():
    wide = [(*row[:6], None if row[6] is None else -90.0, row[7], *row[8:]) for row in ROWS]
    made = prediction(wide)
    spec = experiments.prediction_chart(made, experiments.judged(made)).spec
    ends = spec["hconcat"][0]["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert ends[0] == pytest.approx(-1.1 - 1.0 - 0.1)


def test_of_very_many_effects_a_part_is_drawn_and_all_are_in_the_table(monkeypatch):
    monkeypatch.setattr(experiments, "MOST_DRAWN", 2)
    data = experiments.judged(prediction())
    chart = experiments.prediction_chart(prediction(), data)
    assert "One of 3 points is drawn" in chart.caption
    name = chart.spec["hconcat"][0]["layer"][-1]["data"]["name"]
    assert len(chart.spec["datasets"][name]) == 2
    assert len(experiments.prediction_table(data).rows) == 6


def test_total_effects_come_by_size_without_pairs_that_nothing_joins():
    table = experiments.total_table(totals())
    assert [row[:2] for row in table.rows] == [[A, C], [A, B], [C, A]]
    assert table.rows[0][2:] == [(0.0, 0.0, 0.0), (-0.7, -0.9, 0.0), 0.9]
    assert "1 pairs" in table.caption
    assert table.csv().splitlines()[0].endswith("total,total low,total high,leads there")


def test_the_section_says_who_took_part_and_who_did_not(run, tmp_path):
    found = Artefacts.find(with_experiments(run, tmp_path / "run"))
    section = experiments.experiments_section(found)
    facts = dict(kinds(section, Facts)[0].rows)
    assert facts["Levers"].startswith(f"3: d0 ({A}), d1 ({B}), d2 ({C})")
    assert facts["Conditions"] == "3, on 8 roles"
    assert kinds(section, Listing)[0].lines == ["d2:+9: it breaks the model"]
    words = text_of(write_report(found.run, tmp_path / "page", figures=False).page)
    assert "Each of 3 levers left out in turn" in words
    assert "each of 2 levers is held against a graph made without it" in words
    assert [line.split(",")[0] for line in (tmp_path / "page/tables/prediction.csv").open()][1] == "d0"


def test_a_graph_that_does_not_predict_is_a_warning(run, tmp_path):
    folder = with_experiments(run, tmp_path / "run")
    by_chance = prediction().table.with_columns(predicted=-pl.col("predicted"))
    by_chance.write_parquet(folder / "graph" / "prediction.parquet")
    notes = kinds(experiments.experiments_section(Artefacts.find(folder)), Note)
    assert "Chance may do as well" in notes[0].text and notes[0].kind == "warning"


def test_one_lever_alone_has_no_figure(run, tmp_path):
    folder = with_experiments(run, tmp_path / "run")
    prediction([]).table.write_parquet(folder / "graph" / "prediction.parquet")
    (folder / "graph" / "total_effects.parquet").unlink()
    section = experiments.experiments_section(Artefacts.find(folder))
    texts = [note.text for note in kinds(section, Note)]
    assert texts[0].startswith("Not known") and "axiograph discover" in texts[1]
    assert not any(getattr(block, "key", None) for block in section.blocks)


def test_many_levers_are_folded_away(run, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "_NAMED_UP_TO", 2)
    section = experiments.experiments_section(Artefacts.find(with_experiments(run, tmp_path / "run")))
    assert dict(kinds(section, Facts)[0].rows)["Levers"] == "3"
    assert kinds(section, Listing)[0].lines[0] == f"d0 ({A})"


def test_a_run_without_experiments_has_no_section(run, written):
    assert experiments.experiments_section(Artefacts.find(run)) is None
    words = text_of(written.page)
    assert "left out in turn" not in words and "held against" not in words
    assert 'id="experiments"' not in written.page.read_text()


def test_in_a_browser_a_point_tells_its_names_and_a_hostile_name_is_text(browser, run, tmp_path):
    folder = with_experiments(run, tmp_path / "run", HOSTILE)
    made = write_report(folder, figures=False)
    with opened(browser, made.page) as page:
        figure = page.locator('[data-chart="prediction"]')
        figure.scroll_into_view_if_needed()
        points = figure.locator('path[aria-roledescription="point"]')
        assert points.count() == 12  # of both panels
        points.nth(5).hover()
        tip = page.locator("#vg-tooltip-element")
        tip.wait_for(state="visible")
        text = tip.inner_text()
        assert HOSTILE in text and C in text and "d0:+2" in text and "−0.200 to +0.400" in text
        assert page.title() != "pwned" and page.locator("img[src='x']").count() == 0
        page.set_viewport_size({"width": 380, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
