"""The report in a browser: clicking through it, keys, themes, a phone's width, and silence on the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_files import classification, particle_set, results, run_of

from alignpca2d_core.commands.pictures import draw
from alignpca2d_core.results.result_files import write_results

pytest.importorskip("PIL")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

NARROW = {"width": 390, "height": 844}
EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve classes whose quality runs against their size, so that each order is another."""
    folder = tmp_path_factory.mktemp("report")
    result = classification(12, 600, 32)
    result = replace(result, quality=result.quality[::-1].copy())
    write_results(folder, particle_set(folder / "input", 600, 32), result, 3.0, run_of(12), draw)
    return folder / "report.html"


def order(page: Any) -> list[int]:
    # Not their inner text: what is out of view may not be laid out yet.
    return [int(text) for text in page.locator(".card .facts b").all_text_contents()]


def test_a_class_opens_and_shows_everything_of_it(report: Path, visit: Open) -> None:
    with visit(report) as page:
        assert page.locator("#detail").is_hidden()
        page.click('.card[data-number="3"] .facts')
        detail = page.locator("#detail")
        assert "Class 3" in detail.inner_text()
        assert detail.locator("svg").count() == 3  # FRC, rotations, offsets
        assert detail.locator(".tile").count() == 16
        assert "score" in (detail.locator(".tile").first.get_attribute("title") or "")
        assert page.locator(".card[aria-current]").count() == 1
        page.click("#close")
        assert detail.is_hidden()
        for name in ("stream", "overall", "convergence", "run"):
            assert page.locator(f"#{name} svg, #{name} table").count() >= 1, name
        assert "alignpca2d classify particles.xmd -o out" in page.inner_text("#command")
        assert "a warning of the run" in page.inner_text("#warnings")


def test_pictures_are_drawn(report: Path, visit: Open) -> None:
    with visit(report) as page:
        page.click(".card .facts")
        loaded = page.evaluate("[...document.images].map(one => one.complete && one.naturalWidth > 32)")
        assert len(loaded) == 13
        assert all(loaded)
        paths = page.evaluate("[...document.querySelectorAll('svg path.line')].map(one => one.getAttribute('d'))")
        assert paths
        assert all(d.startswith("M") and "NaN" not in d and "Infinity" not in d for d in paths)


def test_order_changes_with_the_button_and_the_key(report: Path, visit: Open) -> None:
    with visit(report) as page:
        assert order(page) == list(range(1, 13))
        page.click("#sort button:has-text('Quality')")
        assert order(page) == list(range(12, 0, -1))
        assert page.locator("#sort button[aria-pressed='true']").inner_text() == "Quality"
        page.keyboard.press("s")
        page.keyboard.press("s")
        assert page.locator("#sort button[aria-pressed='true']").inner_text() == "Number"


def test_everything_can_be_done_by_keyboard(report: Path, visit: Open) -> None:
    with visit(report) as page:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.classList.contains('card')"):
                break
        focused = "document.activeElement.dataset.number"
        assert page.evaluate(focused) == "1"
        page.keyboard.press("ArrowRight")
        assert page.evaluate(focused) == "2"
        assert page.locator("#detail").is_hidden()
        page.keyboard.press("Enter")
        assert "Class 2" in page.inner_text("#detail h3")
        page.keyboard.press("ArrowDown")
        below = int(page.evaluate(focused))
        assert below > 3
        assert f"Class {below}" in page.inner_text("#detail h3")
        page.keyboard.press("End")
        assert "Class 12" in page.inner_text("#detail h3")
        page.keyboard.press("Escape")
        assert page.locator("#detail").is_hidden()
        assert page.evaluate(focused) == "12"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_system_and_the_button(report: Path, visit: Open, scheme: str) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    brightness = "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    with visit(report, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        before = page.evaluate(brightness)
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == other
        assert (page.evaluate(brightness) > before) == (other == "light")
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_a_phone_shows_it_without_scrolling_sideways(report: Path, visit: Open) -> None:
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with visit(report, NARROW, is_mobile=True, has_touch=True) as page:
        assert page.evaluate(overflow) == 0
        page.tap('.card[data-number="2"] .facts')
        box = page.locator("#detail").bounding_box()
        assert (box["x"], box["width"]) == (0, 390)
        assert page.evaluate(overflow) == 0
        assert page.evaluate("document.activeElement.id") == "close"
        page.tap("#ArrowRight")
        assert "Class 3" in page.inner_text("#detail h3")
        page.tap("#close")
        assert page.locator("#detail").is_hidden()


LONG = "/data/facility/projects/2026-11-28_session_of_a_user/Runs/000123_ProtAlignPCA2D/extra/input.xmd"
BROKEN_WORDS = """() => [...document.querySelectorAll("th, td, dt, dd")].flatMap((cell) => {
  const text = cell.firstChild;
  if (cell.childNodes.length !== 1 || text.nodeType !== Node.TEXT_NODE || !cell.offsetParent) return [];
  return [...text.data.matchAll(/\\S+/g)].filter((word) => {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    return word[0].length <= 24 && range.getClientRects().length > 1;
  }).map((word) => word[0]);
})"""


@pytest.mark.parametrize("width", [320, 360, 400, 480, 768])
def test_long_names_neither_scroll_sideways_nor_break_words(tmp_path: Path, visit: Open, width: int) -> None:
    summary = {
        "command": f"alignpca2d classify {LONG} -o out",
        "working_directory": LONG,
        "settings": {"initial_particles": 123456789, "references": LONG, "mask_diameter": None, "preset": "default"},
        "input": {"file": LONG, "box": 32, "sampling_rate": 3.0, "ctf": "none"},
        "counts": {"particles": 600, "unusable": 1},
        "times": {"Looking for new views among all": {"wall_s": 4000.0, "cpu_s": 90000.0}},
        "warnings": [LONG],
    }
    folder = tmp_path / "a_folder_with_a_name_that_is_as_long_as_the_names_of_sessions"
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with visit(results(folder, summary=summary) / "report.html", {"width": width, "height": 800}) as page:
        assert page.evaluate(overflow) == 0
        assert page.evaluate(BROKEN_WORDS) == []
        page.click(".card .facts")
        assert page.evaluate(overflow) == 0
        assert page.evaluate("detail = document.getElementById('detail'); detail.scrollWidth <= detail.clientWidth")
        assert page.evaluate(BROKEN_WORDS) == []


def test_every_average_has_a_scale_bar_of_the_length_it_states(report: Path, visit: Open) -> None:
    with visit(report) as page:
        page.click(".card .facts")
        width = "(one) => one.getBoundingClientRect().width"
        bars = page.evaluate(
            f"width = {width}; [...document.querySelectorAll('.scale')]"
            ".map((bar) => [bar.textContent, width(bar), width(bar.parentElement.querySelector('img'))])"
        )
        assert len(bars) == 13
        for text, length, side in bars:
            assert float(text.removesuffix(" Å")) / (32 * 3.0) == pytest.approx(length / side, abs=0.02)
        assert len({text for text, _, _ in bars}) == 1


def test_the_time_of_a_stream_is_that_of_all_its_batches(report: Path, visit: Open) -> None:
    """Five of 1.5 s; what the last run took, 12 s, stands below under its own name."""
    with visit(report) as page:
        facts = page.inner_text("#overview")
        assert "Time of all batches\n7.5 s" in facts
        assert "12 s" not in facts
        assert "Time of the last batch" in page.inner_text("#run")


def test_the_figures_of_a_verdict_are_explained_where_they_stand(tmp_path: Path, visit: Open, run_cli: Open) -> None:
    out = results(tmp_path, classes=6, particles=120)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    names = ("clear", "strength", "detail", "score_mean", "score_deviation")
    summary["classes"].update({name: [0.5] * 6 for name in names}, verdict=["good"] * 6)
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    run_cli("report", out)
    with visit(out / "report.html") as page:
        page.click(".card .facts")
        page.click("#detail summary")
        explained = page.locator("#detail .meanings dt").all_inner_texts()
        assert explained == ["score", "clear", "strength", "detail", "quality"]
        assert all(len(text) > 30 for text in page.locator("#detail .meanings dd").all_inner_texts())
        page.click("#ArrowRight")  # they stay open for the next class
        assert page.locator("#detail .meanings dd").first.is_visible()


def test_protein_can_be_black(report: Path, visit: Open) -> None:
    with visit(report) as page:
        shown = "getComputedStyle(document.querySelector('.card img')).filter"
        assert page.evaluate(shown) == "none"
        page.click("#contrast")
        assert page.evaluate(shown) == "invert(1)"
        page.keyboard.press("i")
        assert page.evaluate(shown) == "none"


def test_verdicts_dim_and_filter(tmp_path: Path, visit: Open, run_cli: Open) -> None:
    out = results(tmp_path, classes=6, particles=120)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    summary["classes"]["verdict"] = ["good", "doubtful", "good", "junk", "good", "junk"]
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    run_cli("report", out)
    with visit(out / "report.html") as page:
        opacity = [
            float(page.evaluate(f"getComputedStyle(document.querySelector('[data-number=\"{n}\"] img')).opacity"))
            for n in (1, 2, 4)
        ]
        assert opacity[0] == 1
        assert opacity[2] < opacity[1] < 1
        page.click("#verdicts button:has-text('junk 2')")
        assert order(page) == [1, 2, 3, 5]
        page.click("#verdicts button:has-text('junk 2')")
        assert len(order(page)) == 6


def test_what_is_set_aside_is_seen_kind_by_kind(tmp_path: Path, visit: Open) -> None:
    result = classification(3, 90, 32)
    score = np.where(result.assignments == 2, -1, result.score).astype(np.float32)
    summary = {**run_of(3), "classes": {"verdict": ["good", "good", "junk"]}}
    out, particles = tmp_path / "out", particle_set(tmp_path, 90, 32)
    write_results(out, particles, replace(result, score=score), 3.0, summary)
    draw(out, particles, replace(result, score=score), summary)
    count = int((result.assignments == 2).sum())
    with visit(out / "report.html", NARROW) as page:
        page.click('#sections a[href="#aside"]')
        titles = page.locator("#aside h3").all_text_contents()
        assert titles == [f"No clearer than noise: {count}", "Not classified: 1"]
        assert page.locator("#aside .tile").count() == min(count, 24)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    plain = results(tmp_path / "plain")
    with visit(plain / "report.html") as page:
        assert page.locator("#aside h3").all_text_contents() == ["Not classified: 1"]


def test_names_that_are_scripts_do_not_run(tmp_path: Path, visit: Open) -> None:
    times = {EVIL: {"wall_s": 1}}
    summary = {"settings": {"classes": EVIL, EVIL: EVIL}, "warnings": [EVIL], "command": EVIL, "times": times}
    folder = tmp_path / "<img src=x onerror=window.hacked=1>"
    with visit(results(folder, summary=summary) / "report.html") as page:
        page.click(".card .facts")
        page.hover("#detail .tile")
        assert page.evaluate("window.hacked") is None
        assert page.inner_text("#command") == EVIL
        assert page.locator("#warnings li").inner_text() == EVIL
