"""The page in a real browser: it loads alone and says nothing wrong, and its controls do what they say."""

import csv
import json
from contextlib import contextmanager, suppress

import polars as pl
import pytest

from axiograph.report.build import write_report
from tests.axiograph.report import made_run


@contextmanager
def opened(browser, path, **context):
    """The page, fully drawn; no console message of any kind, no error and no request may come up."""
    size = {"width": 1280, "height": 900}
    # Without it the page scrolls smoothly, and a click would meet what is still moving.
    pages = browser.new_context(accept_downloads=True, viewport=size, reduced_motion="reduce", **context)
    page = pages.new_page()
    page.set_default_timeout(120_000)  # a busy machine is no failure
    trouble, requests = [], []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("axiograph.drawn")
    yield page
    assert trouble == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    pages.close()


@pytest.fixture(scope="module")
def shown(browser, page_file):
    with opened(browser, page_file) as page:
        yield page


def graph(page, key="graph"):
    return page.locator(f'[data-graph="{key}"]')


def test_everything_is_drawn(shown):
    data = json.loads(shown.locator("#report-data").text_content())
    assert len(data["charts"]) >= 8 and len(data["tables"]) >= 12
    assert shown.locator('[data-chart][data-drawn="yes"] svg.marks').count() == len(data["charts"])
    for table in data["tables"]:
        assert shown.locator(f"#{table['key']}-table tbody tr").count() >= min(1, len(table["rows"]))


def test_the_slider_hides_pairs_below_its_threshold(shown, run):
    frequencies = pl.read_parquet(run.graph / "edges.parquet")["adjacent"]
    for threshold in (0.05, 0.5, 0.95):
        graph(shown).locator('[data-role="threshold"]').fill(str(threshold))
        expected = int((frequencies >= threshold).sum())
        assert graph(shown).get_attribute("data-edges") == str(expected)
        assert f"{expected} edge" in graph(shown).locator('[data-role="shown"]').text_content()
    assert int((frequencies >= 0.05).sum()) > int((frequencies >= 0.95).sum())
    graph(shown).locator('[data-role="threshold"]').fill("0.5")


def test_a_graph_is_shown_whole_whatever_the_threshold(shown, run):
    saved = json.loads((run.graph / "graph.json").read_text())
    graph(shown).locator('[data-role="choice"]').select_option("graph")
    assert graph(shown).get_attribute("data-edges") == str(len(saved["edges"]))
    assert graph(shown).locator(".slider").is_hidden()
    graph(shown).locator('[data-role="choice"]').select_option("frequency")


def until(page, condition):
    """Wait for a JavaScript condition; Playwright's own wait evaluates text, which the page forbids."""
    for _ in range(1200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(condition)


def click_value(page, key, name):
    """A real click in the middle of a value's box, once it stays where it is."""
    spot, before = spot_of(page, key, name), None
    while spot != before:
        page.wait_for_timeout(200)
        spot, before = spot_of(page, key, name), spot
    page.mouse.click(*spot)


def spot_of(page, key, name):
    return page.evaluate(
        """([key, name]) => {
          const view = axiograph.graphs[key], box = view.cy.container().getBoundingClientRect();
          const at = view.cy.nodes().filter((n) => n.data("label") === name).renderedPosition();
          return [box.left + at.x, box.top + at.y];
        }""",
        [key, name],
    )


def test_a_click_marks_ancestors_and_descendants(shown):
    names = made_run.value_names(6)
    page = shown
    # The reference graph is known: 1 → 2 → 3 → 4, 5 → 6.
    other = graph(page, "comparison-other")
    other.scroll_into_view_if_needed()
    click_value(page, "comparison-other", names[1])
    assert other.get_attribute("data-chosen") == names[1]
    panel = other.locator('[data-role="panel"]')
    text = panel.inner_text()
    assert "Ancestors (1)" in text and "Descendants (2)" in text
    classes = page.evaluate(
        """axiograph.graphs["comparison-other"].cy.nodes()
             .map((n) => [n.data("label"), n.classes().sort().join(" ")])"""
    )
    found = {name: set(text.split()) for name, text in classes}
    assert found[names[0]] == {"ancestor"} and found[names[1]] == {"chosen"}
    assert found[names[2]] == found[names[3]] == {"descendant"}
    assert found[names[4]] == found[names[5]] == {"faded"}
    panel.get_by_role("button", name=names[3]).click()
    assert "Ancestors (3)" in panel.inner_text()
    other.locator('[data-role="canvas"]').focus()
    page.keyboard.press("Escape")
    assert other.get_attribute("data-chosen") == ""


def test_the_keyboard_reaches_a_value_and_moves_the_graph(shown):
    page = shown
    chosen = graph(page).locator('[data-role="value"]')
    chosen.focus()
    page.keyboard.press("ArrowDown")
    assert graph(page).get_attribute("data-chosen") == sorted(made_run.value_names(6))[0]
    graph(page).locator('[data-role="canvas"]').focus()
    zoom, pan = "axiograph.graphs.graph.cy.zoom()", "axiograph.graphs.graph.cy.pan().x"
    before = page.evaluate(zoom), page.evaluate(pan)
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(zoom) > before[0] and page.evaluate(pan) != before[1]


EDGE_SPOT = """() => {
  const view = axiograph.graphs.graph, box = view.cy.container().getBoundingClientRect();
  const at = view.cy.edges(":visible")[0].renderedMidpoint();
  return [box.left + at.x, box.top + at.y];
}"""


def hover_edge(page):
    """The text beside the pointer over an edge. What is drawn above the graph may still move it."""
    from playwright.sync_api import TimeoutError as NotYet

    # Other tests have chosen a value, which fades most edges, and moved the graph.
    graph(page).locator('[data-role="value"]').select_option("")
    graph(page).locator('[data-role="fit"]').click()
    graph(page).scroll_into_view_if_needed()
    hover = page.locator("#hover")
    for _ in range(60):
        spot = page.evaluate(EDGE_SPOT)
        page.mouse.move(spot[0] - 3, spot[1] - 3)
        page.mouse.move(*spot)
        with suppress(NotYet):
            hover.wait_for(state="visible", timeout=2000)
            return hover.inner_text()
    raise AssertionError("nothing stands beside the pointer over an edge")


def test_hovering_an_edge_tells_its_numbers(shown):
    lines = hover_edge(shown)
    assert "joined" in lines and "→" in lines and "←" in lines and "[" in lines


def test_what_stood_under_the_pointer_goes_with_it(shown):
    hover_edge(shown)
    shown.mouse.move(2, 2)
    shown.locator("#hover").wait_for(state="hidden")


def test_a_value_chosen_in_one_of_two_graphs_is_chosen_in_both(shown):
    name = made_run.value_names(6)[2]
    one, other = graph(shown, "comparison"), graph(shown, "comparison-other")
    one.locator('[data-role="value"]').select_option(label=name)
    assert one.get_attribute("data-chosen") == other.get_attribute("data-chosen") == name
    assert graph(shown).get_attribute("data-chosen") != name
    other.locator('[data-role="value"]').select_option("")
    assert one.get_attribute("data-chosen") == ""


def test_charts_with_the_same_choice_follow_each_other(shown):
    selects = [shown.locator(f'[data-chart="{key}"] select') for key in ("dose-response", "dose-reading")]
    assert [select.input_value() for select in selects] == ["d0", "d0"]
    selects[1].select_option("d1")
    until(shown, """document.querySelector('[data-chart="dose-response"] select').value === 'd1'""")
    selects[0].select_option("d0")
    until(shown, """document.querySelector('[data-chart="dose-reading"] select').value === 'd0'""")


def test_an_edge_is_made_when_it_is_first_shown(browser, page_file):
    with opened(browser, page_file) as page:
        made = "axiograph.graphs.graph.cy.edges().length"
        graph(page).locator('[data-role="threshold"]').fill("0.95")
        before, shown = page.evaluate(made), int(graph(page).get_attribute("data-edges"))
        graph(page).locator('[data-role="threshold"]').fill("0.05")
        assert page.evaluate(made) == int(graph(page).get_attribute("data-edges")) > before >= shown
        graph(page).locator('[data-role="threshold"]').fill("0.95")
        assert int(graph(page).get_attribute("data-edges")) == shown
        # Cytoscape may still remember what was visible a moment ago.
        until(page, f'axiograph.graphs.graph.cy.edges(":visible").length === {shown}')


def test_a_narrow_window_needs_no_sideways_scrolling_and_keeps_words_whole(browser, page_file):
    with opened(browser, page_file) as page:
        page.set_viewport_size({"width": 380, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        widths = page.locator(".facts dd").evaluate_all("(all) => all.map((node) => node.clientWidth)")
        assert min(widths) > 200


def test_places_change_and_are_where_python_put_them(shown):
    page = shown
    at = 'axiograph.graphs.graph.cy.nodes().map((n) => [n.data("k"), n.position("x"), n.position("y")])'
    data = json.loads(page.locator("#report-data").text_content())["graphs"]["graph"]["nodes"]
    for layout in ("layered", "fixed"):
        graph(page).locator('[data-role="layout"]').select_option(layout)
        assert all(data[k][layout] == pytest.approx([x, y]) for k, x, y in page.evaluate(at))


FIRSTS = """((key) => {
  const cells = document.querySelectorAll(`#${key}-table tbody td:first-child`);
  return [...cells].map((cell) => cell.textContent);
})"""


def test_tables_sort_search_and_save(shown, run, tmp_path):
    page = shown
    figure = page.locator('[data-table="edges"]')
    rows = figure.locator("tbody tr")
    figure.locator("th", has_text="value a").locator("[role=button], .dt-column-order").first.click()
    # Sorting and searching are done a moment later: what follows waits for them, or fails after two minutes.
    until(page, f"{FIRSTS}('edges').every((t, k, all) => k === 0 || all[k - 1] <= t)")
    assert rows.count() == 15 and figure.locator("th.dt-ordering-asc").count() == 1
    figure.get_by_role("button", name="Save as CSV").scroll_into_view_if_needed()
    with page.expect_download() as download:
        figure.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "edges.csv")
    saved = list(csv.DictReader((tmp_path / "edges.csv").open()))
    table = pl.read_parquet(run.graph / "edges.parquet")
    assert len(saved) == table.height
    known = {(row["a"], row["b"]): row for row in table.iter_rows(named=True)}
    for row in saved:
        stored = known[row["value a"], row["value b"]]
        assert float(row["adjacent"]) == pytest.approx(stored["adjacent"], abs=1e-4)
        assert float(row["adjacent low"]) == pytest.approx(stored["adjacent_mc_low"], abs=1e-4)
    search = page.locator('[data-table="changes"] input[type="search"]')
    search.fill("d0:+2")
    until(page, f"{FIRSTS}('changes').join() === Array(6).fill('d0:+2').join()")
    search.fill("")


def test_hostile_names_are_text(browser, hostile_page):
    with opened(browser, hostile_page) as page:
        assert page.title() != "pwned" and "made" in page.title()
        assert page.locator("img[src='x']").count() == 0 and page.locator("main b").count() == 0
        assert made_run.HOSTILE in page.locator("h1").inner_text()
        assert made_run.HOSTILE in page.locator('[data-table="edges"] tbody').inner_text()
        heads = page.locator('[data-table="table2"] th').all_inner_texts()
        assert any(made_run.HOSTILE in head for head in heads)
        graph(page).locator('[data-role="value"]').select_option(label=f"A {made_run.HOSTILE}")
        assert made_run.HOSTILE in graph(page).locator('[data-role="panel"] h3').inner_text()


def test_text_can_be_read_in_either_theme_which_the_page_follows(shown):
    for scheme, dark in (("dark", True), ("light", False)):
        shown.emulate_media(color_scheme=scheme)
        page = shown
        pairs = page.evaluate(CONTRASTS)
        assert (pairs["page"] < 0.2) == dark
        assert min(pairs["ratios"].values()) >= 4.5, pairs
        colours = page.locator("[data-chart] svg text").evaluate_all(
            "(all) => [...new Set(all.map((t) => getComputedStyle(t).fill))]"
        )
        text = page.evaluate("getComputedStyle(document.body).color")
        assert text in colours


CONTRASTS = """() => {
  const light = (css) => {
    const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = css.match(/[\\d.]+/g).slice(0, 3).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const css = getComputedStyle(at).backgroundColor;
      if (!css.startsWith("rgba(0, 0, 0, 0")) return css;
    }
    return "rgb(255, 255, 255)";
  };
  const ratios = {};
  const names = "h1 .subtitle .text .note figcaption .files dt td th a button select summary pre .panel>p";
  for (const name of names.split(" ")) {
    const seen = (n) => n.offsetParent !== null && n.textContent.trim();
    const node = [...document.querySelectorAll(name)].find(seen);
    if (!node) continue;
    const [one, other] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
    ratios[name] = (one + 0.05) / (other + 0.05);
  }
  return { page: light(behind(document.body)), ratios };
}"""


def test_print_is_light_and_whole(browser, page_file, run, tmp_path):
    with opened(browser, page_file, color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 29, 33)"
        assert page.locator(".controls").first.is_hidden() and page.get_by_label("Sections").is_hidden()
        assert page.locator("#graph img.print-only").is_visible()
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        changes = pl.read_parquet(run.effects / "changes.parquet")
        assert page.locator('[data-table="changes"] tbody tr').count() == changes.height
        page.pdf(path=str(tmp_path / "page.pdf"))
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_224_values_open_and_stay_usable(browser, tmp_path):
    """Size is asserted; how long it takes to open is measured in benchmarks/results/report.md."""
    made = made_run.Made(made_run.value_names(224), items=3, train=120, replicates=100)
    found = write_report(made_run.make(tmp_path, made))
    assert found.page.stat().st_size < 20e6
    with opened(browser, found.page) as page:
        assert len(page.evaluate("axiograph.graphs.graph.cy.nodes().map((n) => n.id())")) == 224
        before = int(graph(page).get_attribute("data-edges"))
        graph(page).locator('[data-role="threshold"]').fill("0.9")
        assert int(graph(page).get_attribute("data-edges")) < before
        graph(page).locator('[data-role="value"]').select_option(label=made.names[100])
        assert graph(page).get_attribute("data-chosen") == made.names[100]
