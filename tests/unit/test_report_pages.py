"""The files of a report: the page, Markdown, CSV, JUnit, the picture."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from made_up_run import made_up_run, point

from harness.__main__ import main
from harness.errors import UnreadableResults
from harness.keep.summary import read_summary
from harness.report.style import COLOURS, Colour
from harness.report.write import write_report

HEADLINE = "Our claims: 5 pass. The paper's of its own method: 1 invalid."


def written(folder: Path, run: dict[str, Any]) -> Path:
    """Write a run's report; return its folder."""
    (folder / "raw").mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(run))
    write_report(read_summary(folder), folder)
    return folder


def small_run() -> dict[str, Any]:
    """A run with one figure, which is drawn soon."""
    run = made_up_run()
    run["experiments"] = run["experiments"][:1]
    return run


def paper_claim_that_failed(run: dict[str, Any]) -> None:
    run["claims"][-1] |= {"kind": "paper", "value": 0.1, "outcome": "fail", "reason": "0.1; no"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report") / "20260102-030405", made_up_run())


class Page(HTMLParser):
    """What the tests want to know of a page."""

    VOID = ("meta", "link", "br", "img", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"] or "")
        if tag == "a":
            self.links.append(values["href"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


class TestPage:
    def test_is_well_formed_and_no_id_occurs_twice(self, page: Page) -> None:
        assert page.open == []
        assert len(page.ids) == len(set(page.ids))

    def test_has_no_program_and_loads_nothing(self, folder: Path, page: Page) -> None:
        assert not {"script", "img", "iframe", "object", "image", "video"} & set(page.tags)
        text = (folder / "report.html").read_text()
        assert "default-src 'none'" in text
        assert "@import" not in text
        assert set(re.findall(r"url\((.)", text)) <= {"#"}
        loaded = re.findall(r'(?:src|href)="(?!#)([^"]*)"', text)
        assert not [path for path in loaded if ":" in path and path != "data:,"]

    def test_links_within_the_page_lead_somewhere(self, page: Page) -> None:
        inside = {link[1:] for link in page.links if link.startswith("#")}
        assert {"verdicts", "fig2", "fig4", "fig5", "fig6", "g500", "ablation"} <= inside
        assert inside <= set(page.ids)

    def test_links_to_files_are_relative_and_there(self, folder: Path, page: Page) -> None:
        files = {link for link in page.links if not link.startswith("#")}
        assert {"summary.json", "summary.csv", "junit.xml", "report.md", "raw/"} <= files
        assert "raw/n1-unsplit-r2.json" in files  # every repetition
        missing = {f for f in files if not (folder / f).exists() and not f.startswith("raw/")}
        assert missing == {"logs/"}  # collected after the report is made

    def test_every_drawing_has_a_title_and_all_its_numbers_in_words(self, folder: Path) -> None:
        text = (folder / "report.html").read_text()
        drawings = re.findall(r"<svg [^>]*role=\"img\".*?</svg>", text, re.DOTALL)
        assert len(drawings) == 14
        for drawing in drawings:
            labelled = re.search(r'aria-labelledby="(\S+)-title \1-desc"', drawing)
            assert labelled
            assert f'<title id="{labelled[1]}-title">' in drawing
            assert re.search(r"<desc id=\S+>.+n = 1: .+</desc>", drawing)

    def test_drawings_have_no_colour_of_their_own(self, folder: Path) -> None:
        """Each is a role of the page's, which has another colour in the dark."""
        text = (folder / "report.html").read_text()
        body = text[text.index("<body>") :]
        assert not re.findall(r"(?:fill|stroke): #\w+", body)
        assert set(re.findall(r"var\(--(\w+)\)", body)) <= set(COLOURS)

    def test_says_that_the_gpu_is_emulated(self, page: Page) -> None:
        assert "The GPU is emulated." in page.text
        assert page.text.count("emulated GPU") >= 6

    def test_does_not_say_so_of_a_real_one(self, tmp_path: Path) -> None:
        run = small_run()
        run["environment"]["gpu_vm"]["device"] = "Made-up real GPU"
        page = Page((written(tmp_path / "real", run) / "report.html").read_text())
        assert "emulated GPU" not in page.text
        assert "GPU is emulated" not in page.text

    def test_verdicts_are_counted_and_explained(self, page: Page) -> None:
        assert HEADLINE in page.text
        assert "cpu3 <was restarted> & the GPU job did not overlap" in page.text

    def test_a_claim_of_the_papers_that_fails_is_not_reproduced(self, tmp_path: Path) -> None:
        run = small_run()
        paper_claim_that_failed(run)
        page = Page((written(tmp_path / "paper", run) / "report.html").read_text())
        assert "The paper's of its own method: 1 not reproduced." in page.text
        assert "≠ not reproduced" in page.text

    def test_verdicts_name_the_conditions_that_they_are_about(self, tmp_path: Path) -> None:
        run = small_run()
        paper_claim_that_failed(run)
        run["environment"]["gpu_vm"]["opencl_driver"] = "emugpu 1.0 exec=none wait=poll scale=1"
        run["environment"]["host"]["xen_scheduler"] = "credit2"
        page = Page((written(tmp_path / "under", run) / "report.html").read_text())
        under = "under the driver's wait poll and Xen's scheduler credit2"
        assert f"The paper's of its own method {under}: 1 not reproduced." in page.text
        assert f"All of it was found {under}." in page.text

    def test_a_claim_whose_limit_lies_within_its_interval_is_inconclusive(
        self, tmp_path: Path
    ) -> None:
        run = small_run()
        reason = "0.8002 (95 %: 0.79 to 0.81); must be at least 0.8, which lies within"
        run["claims"][0] |= {
            "value": 0.8002,
            "interval": [0.79, 0.81],
            "outcome": "inconclusive",
            "reason": reason,
        }
        folder = written(tmp_path / "near", run)
        page = Page((folder / "report.html").read_text())
        markdown = (folder / "report.md").read_text()
        for text in (page.text, markdown):
            assert "Our claims: 4 pass, 1 inconclusive." in text
            assert "≈ inconclusive" in text
            assert "0.8002 ± 0.0100" in text
            assert reason in text

    def test_says_how_well_a_point_repeats(self, page: Page) -> None:
        assert "CPU throughput 0.21%, GPU job 0.12%" in page.text

    def test_every_limit_has_its_reason(self, folder: Path, page: Page) -> None:
        assert "Why this limit: the GPU VM <keeps> a twentieth | of the CPU" in page.text
        assert "Why these limits:" in (folder / "report.md").read_text()

    def test_what_a_machine_said_is_text_and_not_markup(self, tmp_path: Path) -> None:
        run = small_run()
        point(run, "n1-unsplit")["problems"] = ["<script>alert(1)</script> & so on"]
        run["environment"]["host"]["xen_commandline"] = "<img src=x>"
        run["experiments"][0]["title"] = "<b>"
        folder = written(tmp_path / "hostile", run)
        page = Page((folder / "report.html").read_text())
        assert not {"script", "img", "b"} & set(page.tags)
        assert "<script>alert(1)</script> & so on" in page.text
        assert "<script>" not in (folder / "report.md").read_text()

    def test_a_repetition_that_was_left_out_is_named(self, tmp_path: Path) -> None:
        run = small_run()
        point(run, "n1-unsplit")["samples"][1]["problems"] = ["a guest was restarted"]
        page = Page((written(tmp_path / "left-out", run) / "report.html").read_text())
        assert "n1-unsplit: repetition 2 was left out: a guest was restarted" in page.text

    def test_a_run_of_few_points_has_a_report_too(self, tmp_path: Path) -> None:
        run = made_up_run(repetitions=1)
        run |= {"experiments": [], "calibration": [], "claims": [], "verification": None}
        run["points"] = run["points"][:1]
        folder = written(tmp_path / "one", run)
        page = Page((folder / "report.html").read_text())
        assert "This run measured no figure." in page.text
        assert "No claim was judged." in page.text
        assert not (folder / "throughput.png").exists()

    def test_is_the_same_whenever_it_is_made(self, folder: Path) -> None:
        before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        write_report(read_summary(folder), folder)
        assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


class TestColours:
    """WCAG 2: text 4.5, what must be seen 3, in both schemes."""

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize(
        ("role", "ratio"),
        [
            *((role, 3) for role in ("no_gpu", "unsplit", "unsplit_cooperative")),
            *((role, 3) for role in ("paper", "gpusplit")),
            *((role, 4.5) for role in ("ink", "muted", "link", "limit")),
            *((role, 4.5) for role in ("pass", "fail", "invalid", "not_reproduced")),
            ("inconclusive", 4.5),
        ],
    )
    def test_contrast(self, role: str, ratio: float, scheme: str) -> None:
        for ground in ("surface", "raised") if ratio > 3 else ("surface",):
            colours = [getattr(COLOURS[name], scheme) for name in (role, ground)]
            low, high = sorted(map(luminance, colours))
            assert (high + 0.05) / (low + 0.05) >= ratio

    def test_no_light_colour_has_two_roles(self) -> None:
        assert len({colour.light for colour in COLOURS.values()}) == len(COLOURS)

    def test_every_role_has_a_dark_colour_of_its_own(self) -> None:
        assert not [c for c in COLOURS.values() if isinstance(c, Colour) and c.light == c.dark]


def luminance(colour: str) -> float:
    """Return a colour's relative luminance, by the definition of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


class TestMarkdown:
    def test_has_the_verdicts_and_the_numbers(self, folder: Path) -> None:
        text = (folder / "report.md").read_text()
        assert HEADLINE in text
        assert "### Fig. 6: The best alpha per VM count (emulated GPU)" in text
        assert "| CPU VMs | physical limit | 128.0 | 64.00 | 42.67 | 32.00 |" in text

    def test_tables_are_tables(self, folder: Path) -> None:
        """Every row of a table has as many cells as its head."""
        blocks = re.findall(r"(?:^\|.*\n)+", (folder / "report.md").read_text(), re.MULTILINE)
        assert len(blocks) == 2 + 7 + 3
        for block in blocks:
            rows = [re.findall(r"(?<!\\)\|", line) for line in block.splitlines()]
            assert len(rows) > 2
            assert len({len(row) for row in rows}) == 1
            assert re.fullmatch(r"\|( -+:? \|)+", block.splitlines()[1])


class TestCsv:
    def test_has_a_row_for_each_repetition_of_each_point(self, folder: Path) -> None:
        run = made_up_run()
        with (folder / "summary.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 3 * len(run["points"])
        row = next(r for r in rows if (r["point"], r["repetition"]) == ("n2-unsplit", "2"))
        sample = point(run, "n2-unsplit")["samples"][1]
        assert float(row["cpu_throughput"]) == sample["cpu_throughput"]
        assert float(row["cpu_throughput_cpu2"]) == sample["cpu_throughputs"]["cpu2"]
        assert row["cpu_throughput_cpu3"] == ""
        assert (row["mode"], row["cpu_vms"], row["raw"]) == ("unsplit", "2", sample["raw"])
        assert row["host"] == "xen1"


class TestJunit:
    def test_every_claim_is_a_case(self, folder: Path) -> None:
        suite = ElementTree.parse(folder / "junit.xml").getroot()[0]
        assert [case.get("name") for case in suite] == [c["id"] for c in made_up_run()["claims"]]
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("6", "0", "1")

    @pytest.mark.parametrize(
        ("kind", "outcome", "element"),
        [
            ("ours", "fail", "failure"),
            ("ours", "invalid", "error"),
            ("paper", "invalid", "error"),
            ("paper", "fail", "skipped"),
            ("ours", "inconclusive", "skipped"),
            ("paper", "inconclusive", "skipped"),
        ],
    )
    def test_outcomes_are_told_apart(
        self, tmp_path: Path, kind: str, outcome: str, element: str
    ) -> None:
        run = small_run()
        run["claims"] = [run["claims"][-1] | {"kind": kind, "outcome": outcome, "reason": "why"}]
        suite = ElementTree.parse(written(tmp_path / "run", run) / "junit.xml").getroot()[0]
        (case,) = suite
        (found,) = case
        assert (found.tag, found.get("message")) == (element, "why")
        told = "not_reproduced" if (kind, outcome) == ("paper", "fail") else outcome
        assert found.get("type") == told
        counts = {"failure": "failures", "error": "errors", "skipped": "skipped"}
        assert {name: suite.get(name) for name in counts.values()} == {
            name: str(int(name == counts[element])) for name in counts.values()
        }


class TestCommand:
    def test_makes_a_report_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "summary.json").write_text(json.dumps(small_run()))
        assert main(["report", str(tmp_path / "summary.json")]) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
        assert (tmp_path / "report.html").stat().st_size > 50_000
        assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize("content", [None, "{", '{"schema": 1, "points": []}'])
    def test_says_what_is_no_run(
        self, tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        if content is not None:
            (tmp_path / "summary.json").write_text(content)
        assert main(["report", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert "summary.json" in error
        assert "What to do:" in error
        assert not (tmp_path / "report.html").exists()

    def test_an_unreadable_summary_is_an_error_of_its_own_kind(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableResults):
            read_summary(tmp_path)
