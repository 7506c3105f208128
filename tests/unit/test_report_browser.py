"""report.html in a real browser, Debian's Chromium without a screen: what a reader gets to see."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_run import made_up_run, point
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness.keep.summary import read_summary
from harness.report.style import COLOURS
from harness.report.write import write_report

pytestmark = pytest.mark.browser

DESKTOP, PHONE = (1280, 900), (360, 740)
FIGURES = ["fig6", "fig2", "fig4", "fig5", "g500", "ablation", "adaptive"]
"""As they stand on the page: the one that answers comes first."""

DRAWINGS = """
return [...document.querySelectorAll('figure svg[role=img]')].map(svg => {
  const box = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll('text')];
  return {
    figure: svg.closest('figure').id, id: svg.id,
    left: box.left, right: box.right, width: box.width, height: box.height,
    bars: [...svg.querySelectorAll('[id*="-patch_"] path')]
      .filter(path => path.getBoundingClientRect().height > 0).length,
    letters: texts.map(text => text.textContent).join('').length,
    outside: texts.filter(text => {
      const own = text.getBoundingClientRect();
      return own.left < box.left - 1 || own.right > box.right + 1
        || own.top < box.top - 1 || own.bottom > box.bottom + 1;
    }).map(text => text.textContent),
    smallest: Math.min(...texts.map(
      text => parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a)),
  };
});
"""

WIDER_THAN_THE_SCREEN = """
return [...document.querySelectorAll('body *')].filter(element =>
  element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.scroll table')
).map(element => element.outerHTML.slice(0, 100));
"""


class Browser:
    """A browser that has a report open."""

    def __init__(self, page: Path, driver: webdriver.Chrome) -> None:
        self.page = page.as_uri()
        self.driver = driver

    def open(self, size: tuple[int, int], scheme: str = "light") -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(self.page)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def style(self, selector: str, name: str) -> str:
        return str(
            self.run(f"return getComputedStyle(document.querySelector({selector!r}))[{name!r}]")
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("run")
    run = made_up_run()
    # A number in doubt and a missing one are drawn too.
    point(run, "n1-gpusplit-alpha2")["problems"] = ["cpu1 was restarted"]
    point(run, "n2-no_gpu")["cpu_throughput"] = None
    (folder / "summary.json").write_text(json.dumps(run))
    page = write_report(read_summary(folder), folder)

    program, driver_program = shutil.which("chromium"), shutil.which("chromedriver")
    assert program, "Debian's chromium is needed: make test"
    assert driver_program, "Debian's chromium-driver is needed: make test"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--hide-scrollbars",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",  # which is small in containers
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which refuses to work for root
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_program))
    try:
        driver.set_page_load_timeout(60)
        driver.set_script_timeout(60)
        yield Browser(page, driver)
    finally:
        driver.quit()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
class TestBothSizes:
    def test_every_figure_is_there_and_to_be_seen(
        self, browser: Browser, size: tuple[int, int]
    ) -> None:
        browser.open(size)
        drawings = browser.run(DRAWINGS)
        assert list(dict.fromkeys(d["figure"] for d in drawings)) == FIGURES
        assert len(drawings) == 14
        for drawing in drawings:
            assert drawing["width"] >= 250
            assert drawing["height"] >= 180
            assert drawing["bars"] >= 4
            assert drawing["letters"] >= 30
            assert drawing["outside"] == []
            assert 0 <= drawing["left"] < drawing["right"] <= size[0]

    def test_nothing_is_wider_than_the_screen(
        self, browser: Browser, size: tuple[int, int]
    ) -> None:
        browser.open(size)
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.run("return document.documentElement.scrollWidth") == size[0]
        assert browser.run(WIDER_THAN_THE_SCREEN) == []

    def test_letters_in_drawings_can_be_read(self, browser: Browser, size: tuple[int, int]) -> None:
        browser.open(size)
        assert min(drawing["smallest"] for drawing in browser.run(DRAWINGS)) >= 9


def test_on_a_phone_diagrams_stand_below_each_other(browser: Browser) -> None:
    lefts = {}
    for size in (DESKTOP, PHONE):
        browser.open(size)
        lefts[size] = {round(d["left"]) for d in browser.run(DRAWINGS)}
    assert len(lefts[DESKTOP]) == 2
    assert len(lefts[PHONE]) == 1


def test_on_a_phone_wide_tables_scroll_by_themselves(browser: Browser) -> None:
    browser.open(PHONE)
    wide = browser.run(
        "return [...document.querySelectorAll('.scroll')]"
        ".filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => [getComputedStyle(box).overflowX, box.tabIndex])"
    )
    assert wide  # the ablation's table at least
    assert browser.run(
        "const box = document.querySelector('.verdicts').parentElement;"
        "return box.scrollWidth <= box.clientWidth"
    )  # but what matters most is seen at once
    assert all(each == ["auto", 0] for each in wide)  # and can be scrolled by keys


def test_the_answer_is_on_the_first_screen(browser: Browser) -> None:
    """Sentences, figure and table, on a screen as laptops have it."""
    browser.open((1280, 1000))
    ends = browser.run(
        "return ['.headline', '#fig6-cpu', '#fig6-gpu', '#answer > .scroll table']"
        ".map(name => document.querySelector(name).getBoundingClientRect().bottom)"
    )
    assert all(0 < end <= 1000 for end in ends)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_scheme(browser: Browser, scheme: str) -> None:
    browser.open(DESKTOP, scheme)
    want = {role: rgb(getattr(colour, scheme)) for role, colour in COLOURS.items()}
    assert browser.style("body", "backgroundColor") == want["surface"]
    assert browser.style("h1", "color") == want["ink"]
    assert browser.style("#fig6-cpu text", "fill") == want["ink"]
    assert browser.style(".badge.pass", "color") == want["pass"]
    fills = browser.run(
        "return [...new Set([...document.querySelectorAll('#fig6-cpu path')]"
        ".map(path => getComputedStyle(path).fill))]"
    )
    assert {want[mode] for mode in ("no_gpu", "unsplit", "paper", "gpusplit")} <= set(fills)


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_refused(browser: Browser) -> None:
    browser.driver.get("about:blank")
    for log in ("performance", "browser"):
        browser.driver.get_log(log)  # what was before
    browser.open(DESKTOP)
    browser.run("window.scrollTo(0, document.body.scrollHeight)")
    messages = [
        json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")
    ]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert asked - {"data:,"} == {browser.page}
    assert browser.driver.get_log("browser") == []  # the page's policy had nothing to refuse


def rgb(colour: str) -> str:
    """Write a colour as browsers do."""
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"
