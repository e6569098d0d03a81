"""The pages in a real browser, at three widths: no errors, sorting, filters in links, keyboard, speed."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("sqlalchemy")
pytest.importorskip("playwright")

import msgspec
from lb_board import made, small
from playwright import sync_api

from leaderboard.board import Board
from leaderboard.site import build
from leaderboard.site.pages import POLICY

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("FUSELIP_NEED_BROWSER"), reason="no Chromium on this machine"
    ),
]

WIDTHS = (360, 768, 1280)
NASTY = "<img src=x onerror=\"document.title='owned'\"><svg onload=\"document.title='owned'\">"


def hostile() -> Board:
    board = small()
    first = msgspec.structs.replace(board.rows[0], name=NASTY, organisation=NASTY, licence=NASTY, training_data=NASTY)
    return msgspec.structs.replace(board, rows=[first, *board.rows[1:]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    build(hostile(), out)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page that fails the test for any error, warning or violated policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    yield page
    context.close()
    assert wrong == []


def names(tab: Any) -> list[str]:
    found: list[str] = tab.eval_on_selector_all(
        "#board tbody tr:not([hidden]) th a", "links => links.map(link => link.textContent)"
    )
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_without_errors(tab: Any, site: Path, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    first = hostile().rows[0].id
    pages = ("index", "plots", "compare", "tasks", "about", f"encoder/{first}", "task/tgit__crop")
    for page in pages:
        tab.goto((site / f"{page}.html").as_uri())
        assert tab.title() != "owned"
        assert tab.locator("main h1").count() == 1
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, page


def test_a_strangers_markup_is_text_everywhere(tab: Any, site: Path) -> None:
    id_ = hostile().rows[0].id
    for where in ("index.html", f"plots.html#ids={id_}", f"compare.html#ids={id_}", f"encoder/{id_}.html"):
        tab.goto(f"{site.as_uri()}/{where}")
        assert tab.evaluate("document.body.textContent").count("<img src=x onerror") > 0, where
        assert tab.locator("img, [onerror], [onload]").count() == 0, where
        assert tab.title() != "owned"


def test_sorting_by_click_and_by_key(tab: Any, site: Path) -> None:
    tab.goto((site / "index.html").as_uri())
    shown = names(tab)
    assert shown[0] == NASTY
    head = tab.locator("#board th[data-sort=name]")
    assert tab.locator("#board th[data-sort=average]").get_attribute("aria-sort") == "descending"
    head.locator("button").focus()
    tab.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = names(tab)
    assert rising[1:] == sorted(rising[1:])
    tab.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert names(tab) == rising[::-1]
    tab.locator("#board th[data-sort=average] button").click()
    assert names(tab) == shown
    tab.locator("#board th[data-sort=average] button").click()
    # The row that lacks a task has no average: it stays last, whichever way.
    assert names(tab) == [*shown[:-1][::-1], shown[-1]]


def test_filters_are_kept_in_the_link_and_told_to_a_reader(tab: Any, site: Path) -> None:
    tab.goto((site / "index.html").as_uri())
    everything = names(tab)
    tab.keyboard.press("/")
    tab.keyboard.type("enc-0003 laboratory")
    assert names(tab) == ["Encoder 3"]
    assert tab.locator("#count").text_content() == f"1 of {len(everything)} encoders"
    assert tab.locator("#count").get_attribute("aria-live") == "polite"
    tab.locator("#board th[data-sort=name] button").click()
    link = tab.url
    tab.goto("about:blank")
    tab.goto(link)
    assert names(tab) == ["Encoder 3"]
    assert tab.locator("#filters [name=q]").input_value() == "enc-0003 laboratory"
    assert tab.locator("#board th[data-sort=name]").get_attribute("aria-sort") == "ascending"
    tab.get_by_role("link", name="Plots").click()
    tab.wait_for_url("**/plots.html*")
    assert tab.locator("#count").text_content() == f"1 of {len(everything)} encoders"
    tab.get_by_role("link", name="Table").click()
    tab.wait_for_url("**/index.html*")
    tab.locator("#filters [name=q]").fill("nobody at all")
    assert tab.locator("#empty").is_visible()
    tab.locator("#clear").click()
    assert len(names(tab)) == len(everything)


def test_columns_of_tasks_are_made_when_asked_for(tab: Any, site: Path) -> None:
    tab.goto((site / "index.html").as_uri())
    before = tab.locator("#board thead th:visible").count()
    tab.locator("#columns summary").click()
    tab.locator('#columns input[value="t:tgit/crop"]').check()
    tab.locator('#columns input[value="dimension"]').uncheck()
    assert tab.locator("#board thead th:visible").count() == before
    assert tab.locator('#board tbody td[data-column="dimension"]:visible').count() == 0
    cells = tab.locator('#board tbody td[data-column="t:tgit/crop"]')
    by_id = {row.name: row for row in hostile().rows}
    for place, name in enumerate(names(tab)):
        score = by_id[name].scores.get("tgit/crop")
        assert cells.nth(place).text_content() == (f"{100 * score.value:.1f}" if score else "–")
    tab.reload()
    assert tab.locator('#board th[data-column="t:tgit/crop"]').is_visible()
    tab.locator('#board th[data-column="t:tgit/crop"] button').click()
    found = [float(text) for text in cells.all_text_contents() if text != "–"]
    assert found == sorted(found, reverse=True)
    tab.keyboard.press("Escape")


def test_two_are_chosen_and_compared(tab: Any, site: Path) -> None:
    board = hostile()
    tab.goto((site / "index.html").as_uri())
    boxes = tab.locator("#board tbody input[type=checkbox]")
    boxes.nth(2).check()
    boxes.nth(0).focus()
    tab.keyboard.press("Space")
    third, first = names(tab)[2], names(tab)[0]
    tab.locator("#compare").click()
    tab.wait_for_url("**/compare.html*")
    heads = tab.locator("#averages tbody th").all_text_contents()
    assert heads == [third, first]
    ids = {row.name: row.id for row in board.rows if row.comparable}
    paired = board.pairs.of(ids[first], ids[third])
    assert paired is not None
    told = tab.locator("#averages tbody tr").nth(1).locator("td").nth(3).text_content().replace("−", "-")
    assert told.startswith(f"{100 * paired[0]:+.1f} (")
    assert tab.locator("#differences tbody tr:not(.family)").count() == 5


def test_plots_are_read_with_the_keyboard(tab: Any, site: Path) -> None:
    tab.goto((site / "plots.html").as_uri())
    assert tab.locator("#scatters svg.plot").count() == 3
    tab.locator("#scatters svg.plot").first.focus()
    tab.keyboard.press("ArrowRight")
    before = tab.locator("#scatters .readout").first.text_content()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#scatters .readout").first.text_content() != before
    assert tab.locator("#skills svg.plot").count() == 1
    assert tab.locator("#profile circle").count() > 0


def test_the_theme_is_kept(tab: Any, site: Path) -> None:
    tab.emulate_media(color_scheme="light")
    tab.goto((site / "index.html").as_uri())
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(ground)
    tab.locator("#theme").click()
    tab.locator("#theme").click()
    dark = tab.evaluate(ground)
    assert dark != light
    tab.reload()
    assert tab.evaluate(ground) == dark
    assert tab.locator("#theme").get_attribute("aria-label") == "Colours: dark"
    tab.emulate_media(color_scheme="dark")
    tab.locator("#theme").click()
    assert tab.evaluate(ground) == dark


def test_the_first_stop_skips_to_the_content_and_focus_is_seen(tab: Any, site: Path) -> None:
    tab.goto((site / "index.html").as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_on_a_phone_the_table_scrolls_and_the_names_stay(tab: Any, site: Path) -> None:
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.goto((site / "index.html").as_uri())
    place = "document.querySelector('#board tbody th').getBoundingClientRect().left"
    before = tab.evaluate(place)
    tab.evaluate("document.querySelector('.scroll').scrollLeft = 300")
    assert tab.evaluate("document.querySelector('.scroll').scrollLeft") == 300
    assert abs(tab.evaluate(place) - before) < 2


def test_a_server_with_the_strict_policy_breaks_nothing(tab: Any, site: Path) -> None:
    class Strict(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", POLICY)
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Strict, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        for page in ("index", "plots", "compare"):
            tab.goto(f"http://127.0.0.1:{server.server_port}/{page}.html")
            assert tab.locator("main svg").count() > 3, page
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_first_paint_of_500_rows_and_60_tasks_comes_within_a_second(tab: Any, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build(made(500, 60), out)
    tab.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((entry) => {"
        " if (!entry.hadRecentInput) window.shift += entry.value; })).observe({type: 'layout-shift', buffered: true});"
    )
    tab.goto((out / "index.html").as_uri())
    paint = tab.wait_for_function("performance.getEntriesByName('first-contentful-paint')[0]?.startTime").json_value()
    ready = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    sort = tab.evaluate(
        """async () => { const began = performance.now();
        document.querySelector('#board th[data-sort="speed"] button').click();
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        return performance.now() - began; }"""
    )
    found = {"first paint": paint, "ready": ready, "sort": sort, "shift": tab.evaluate("window.shift")}
    assert len(names(tab)) == 500
    assert paint < 1000, found
    assert found["shift"] < 0.01, found
