"""Choosing classes in the report by mouse, keys and limits, and what is saved, up to the export of their particles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from averages_of_views import BOX, average, noisy, view
from report_files import classification, particle_set, run_of

from alignpca2d_core.commands.pictures import draw
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.results.class_quality import ClassVerdicts
from alignpca2d_core.results.result_files import write_results

pytest.importorskip("PIL")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

NARROW = {"width": 400, "height": 800}
VERDICTS = ("good",) * 5 + ("doubtful",) * 3 + ("junk",) * 4
SCORES = np.array([9.0, 3.0, 8.0, 4.0, 7.0, 5.0, 6.0, 2.0, 1.0, 0.5, 0.4, 0.3])

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of twelve classes of 599 particles, with verdicts and scores; no stream."""
    return run_in(tmp_path_factory.mktemp("chosen"), {"stream": {}})


def run_in(folder: Path, more: dict[str, Any]) -> Path:
    result = classification(12, 600, 32)
    figures = {name: np.full(12, 0.9) for name in ("clear", "strength", "detail", "bulk")}
    verdicts = ClassVerdicts(VERDICTS, result.quality, **figures, score_mean=SCORES, score_deviation=np.ones(12))
    summary = {**run_of(12), **more}
    write_results(
        folder / "out",
        particle_set(folder / "input", 600, 32),
        replace(result, verdicts=verdicts),
        3.0,
        summary,
        draw,
    )
    return folder / "out"


def chosen(page: Any) -> set[int]:
    return {
        int(n) for n in page.eval_on_selector_all('[aria-selected="true"]', "all => all.map(x => x.dataset.number)")
    }


def order(page: Any) -> list[int]:
    return [int(text) for text in page.locator(".card .facts b").all_text_contents()]


def click(page: Any, number: int, **options: Any) -> None:
    page.click(f'.card[data-number="{number}"] img', **options)


def saved(page: Any) -> dict[str, Any]:
    with page.expect_download() as download:
        page.click("text=Save selection.json")
    assert download.value.suggested_filename == "selection.json"
    return dict(json.loads(Path(download.value.path()).read_text(encoding="utf-8")))


def test_clicks_choose_and_the_choice_is_counted(results: Path, visit: Open) -> None:
    sizes = json.loads((results / "summary.json").read_text(encoding="utf-8"))["classes"]["size"]
    with visit(results / "report.html") as page:
        assert page.inner_text("#count") == "No class chosen"
        assert page.locator("text=Save selection.json").is_disabled()
        click(page, 3)
        click(page, 5)
        assert chosen(page) == {3, 5}
        held = sizes[2] + sizes[4]
        assert page.inner_text("#count") == f"2 of 12 classes chosen: {held} particles ({100 * held / 599:.0f} %)"
        assert page.locator("#detail").is_hidden()
        click(page, 3)
        assert chosen(page) == {5}
        click(page, 8, modifiers=["Shift"])  # from 3, which is not chosen: none between is
        assert chosen(page) == set()
        click(page, 6)
        click(page, 9, modifiers=["Shift"])
        assert chosen(page) == {6, 7, 8, 9}
        page.keyboard.press("Control+z")
        assert chosen(page) == {6}


def test_a_range_follows_the_order_that_is_shown(results: Path, visit: Open) -> None:
    with visit(results / "report.html") as page:
        page.click("#sort button:has-text('Score')")
        assert order(page)[:4] == [1, 3, 5, 7]
        assert page.inner_text('.card[data-number="1"] .figure') == "score 9.0"
        click(page, 1)
        click(page, 7, modifiers=["Shift"])
        assert chosen(page) == {1, 3, 5, 7}
        page.click("#sort button:has-text('Verdict')")
        assert [VERDICTS[number - 1] for number in order(page)] == list(VERDICTS)
        assert chosen(page) == {1, 3, 5, 7}


def test_keys_alone_choose(results: Path, visit: Open) -> None:
    with visit(results / "report.html") as page:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.classList.contains('card')"):
                break
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        assert chosen(page) == {2}
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        assert chosen(page) == {2, 3, 4}
        page.keyboard.press("g")
        assert chosen(page) == {1, 2, 3, 4, 5}
        page.keyboard.press("n")
        assert chosen(page) == set()
        page.click("#verdicts button:has-text('junk 4')")
        page.keyboard.press("a")  # those that are shown
        assert chosen(page) == set(range(1, 9))
        page.focus('.card[tabindex="0"]')
        page.keyboard.press("Enter")
        assert page.inner_text("#detail h3").startswith("Class ")
        page.click("#pick")
        assert len(chosen(page)) == 7


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"score": "5"}, {1, 3, 5, 6, 7}),
        ({"score": "5", "verdict": "good"}, {1, 3, 5}),
        ({"verdict": "good or doubtful"}, set(range(1, 9))),
        ({"resolution": "10"}, None),
        ({"size": "50"}, None),
    ],
)
def test_limits_choose_what_fulfils_all_of_them(
    results: Path, visit: Open, limits: dict[str, str], wanted: set[int] | None
) -> None:
    figures = json.loads((results / "summary.json").read_text(encoding="utf-8"))["classes"]
    if wanted is None:
        values, least = (
            (figures["size"], True) if "size" in limits else ([-x for x in figures["resolution_angstrom"]], False)
        )
        bound = float(limits["size"]) if least else -float(limits["resolution"])
        wanted = {number for number, value in enumerate(values, start=1) if value >= bound}
    assert 0 < len(wanted) < 12
    with visit(results / "report.html") as page:
        page.click("#choose button:has-text('Limits')")
        for name, value in limits.items():
            (page.select_option if name == "verdict" else page.fill)(f"#limit-{name}", value)
        assert page.inner_text("#limits button") == f"Choose {len(wanted)} classes"
        assert chosen(page) == set()
        page.keyboard.press("Enter") if "verdict" not in limits else page.click("#limits button")
        assert chosen(page) == wanted


def test_what_is_saved_is_exported(results: Path, visit: Open, run_cli: Open, tmp_path: Path) -> None:
    with visit(results / "report.html", permissions=["clipboard-read", "clipboard-write"]) as page:
        click(page, 2)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        selection = saved(page)
        assert selection == {"version": 1, "classes": [2, 4]}
        page.click("text=Copy as text")
        page.wait_for_selector("text=Copied")
        assert json.loads(page.evaluate("navigator.clipboard.readText()")) == selection
        page.keyboard.press("g")
        assert page.inner_text("#numbers") == "1-5"
    path = tmp_path / "selection.json"
    path.write_text(json.dumps(selection), encoding="utf-8")
    run_cli("export", results, "--select", path)
    whole, exported = read_particles(results / "particles.xmd"), read_particles(results / "particles.star")
    for number in selection["classes"]:
        wanted = whole.index_in_stack[whole.table["ref"] == number]
        assert sorted(exported.index_in_stack[exported.table["rlnClassNumber"] == number]) == sorted(wanted)
    assert set(exported.table["rlnClassNumber"]) == {2, 4}


def test_a_choice_survives_a_reload_but_not_another_run(tmp_path: Path, visit: Open) -> None:
    out = run_in(tmp_path, {"stream": {}})
    with visit(out / "report.html") as page:
        click(page, 7)
        page.reload()
        assert chosen(page) == {7}
        text = (out / "report.html").read_text(encoding="utf-8")
        (out / "report.html").write_text(text.replace('"size":', '"size":1', 1), encoding="utf-8")
        page.reload()
        assert chosen(page) == set()


def test_a_choice_beside_a_stream_is_taken_up_and_followed_by_the_next(
    tmp_path: Path, visit: Open, run_cli: Open
) -> None:
    """As Scipion's windows leave it; what is saved then counts as the choice after it."""
    out = run_in(tmp_path, {})
    (out / "selection.json").write_text('{"version": 3, "classes": [2, 9]}', encoding="utf-8")
    run_cli("report", out)
    with visit(out / "report.html") as page:
        assert chosen(page) == {2, 9}
        click(page, 1)
        assert saved(page) == {"version": 4, "classes": [1, 2, 9]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_choosing_fits_a_narrow_screen(results: Path, visit: Open, scheme: str) -> None:
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with visit(results / "report.html", NARROW, is_mobile=True, has_touch=True, color_scheme=scheme) as page:
        page.tap('.card[data-number="2"] img')
        page.tap("#choose button:has-text('Limits')")
        assert chosen(page) == {2}
        assert page.evaluate(overflow) == 0
        bar = page.locator("#chosen").bounding_box()
        assert bar["y"] + bar["height"] <= NARROW["height"] + 1
        assert bar["height"] < NARROW["height"] / 2


def test_similar_classes_stand_side_by_side_and_a_branch_chooses_them(tmp_path: Path, visit: Open) -> None:
    """Nine classes of three views, turned and in no order: the report's tree has a branch for each view."""
    of = np.array([2, 0, 1, 1, 0, 2, 0, 1, 2])
    averages, frc = noisy([average(view(v), 41.0 * k) for k, v in enumerate(of)])
    result = replace(classification(9, 300, BOX), averages=averages, frc=frc)
    write_results(tmp_path / "out", particle_set(tmp_path / "input", 300, BOX), result, 3.0, run_of(9), draw)
    with visit(tmp_path / "out" / "report.html") as page:
        page.click("#sort button:has-text('Similarity')")
        views = [of[number - 1] for number in order(page)]
        assert [one for one, other in zip(views, [None, *views], strict=False) if one != other] == list(
            dict.fromkeys(views)
        )
        figures = page.locator(".card .figure").all_text_contents()
        assert figures == [f"group {1 + list(dict.fromkeys(views)).index(one)}" for one in views]
        branches = page.locator("#similar .branch[role=button]")
        assert branches.count() == 3
        branches.first.focus()
        page.keyboard.press("Enter")
        first = chosen(page)
        assert len(first) == 3
        assert len({of[number - 1] for number in first}) == 1
        branches.nth(1).locator(".hit").dispatch_event("click")
        assert len({of[number - 1] for number in chosen(page)}) == 2
        page.keyboard.press("Enter")
        assert len(chosen(page)) == 3


def test_few_classes_have_no_tree(tmp_path: Path, visit: Open) -> None:
    result = classification(2, 60, 32)
    write_results(tmp_path / "out", particle_set(tmp_path / "input", 60, 32), result, 3.0, run_of(2), draw)
    with visit(tmp_path / "out" / "report.html") as page:
        assert page.locator("#similar").count() == 0
        assert page.locator("#sort button:has-text('Similarity')").count() == 0
        page.keyboard.press("a")
        assert chosen(page) == {1, 2}


@pytest.mark.parametrize("preferred", [True, False])
def test_a_preferred_view_is_a_warning_with_a_picture(tmp_path: Path, visit: Open, preferred: bool) -> None:
    of = np.array([0, 0, 0, 1, 2, 3, 4, 5] if preferred else [0, 1, 2, 3, 4, 5, 0, 1])
    averages, frc = noisy([average(view(v), 41.0 * k) for k, v in enumerate(of)])
    sizes = np.array([200, 200, 200, 40, 40, 40, 40, 40] if preferred else [60] * 8)
    result = replace(classification(8, 300, BOX), averages=averages, frc=frc, sizes=sizes)
    write_results(tmp_path / "out", particle_set(tmp_path / "input", 300, BOX), result, 3.0, run_of(8), draw)
    with visit(tmp_path / "out" / "report.html") as page:
        said = page.inner_text("#similar")
        assert "6 distinct views" in said
        assert page.locator("#similar .bar-mark").count() == 6
        warned = "Preferred orientation? One view (classes 1, 2, 3) holds 75 % of the particles, 15 times"
        assert (warned in page.inner_text("#warnings")) == preferred
        assert ("No view is preferred" in said) != preferred
        page.locator("#similar .leaf rect").first.dispatch_event("click")
        assert chosen(page) in ([{1, 2, 3}] if preferred else [{1, 7}, {2, 8}])
