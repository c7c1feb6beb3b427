"""A map in the report, in a browser: pairs, curves, the order by agreement and the picture of covered views."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_files import results

from alignpca2d_core.maps.map_views import MapViews, write_map_views
from alignpca2d_core.report.map_comparison import flat, on_sphere
from alignpca2d_core.report.writing import report_on
from alignpca2d_core.results.result_files import read_results

pytest.importorskip("PIL")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

NARROW = {"width": 390, "height": 844}

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve classes; the later agree better with the map."""
    out = results(tmp_path_factory.mktemp("report"))
    result, count = read_results(out)[1], 12
    about = {"file": "/data/<b>map.mrc", "voxel_size": 3.0, "side": 32, "symmetry": "D2", "contrast": 1.0}
    angles = np.random.default_rng(0).uniform(0, [360, 180, 360], (count, 3))
    agreement = np.linspace(0.2, 0.9, count)
    measured = agreement, 0.9 * result.frc, np.linspace(30, 12, count)
    write_map_views(
        out, MapViews(about, angles, np.zeros((count, 2)), *measured, result.averages), result.averages, 3.0
    )
    report_on(out)
    return out / "report.html"


def test_averages_stand_beside_projections(report: Path, visit: Open) -> None:
    with visit(report) as page:
        pairs = page.locator("#map .beside")
        assert [int(one.get_attribute("data-number")) for one in pairs.all()] == list(range(12, 0, -1))
        assert "cc 0.90" in pairs.first.inner_text()
        assert "<b>map.mrc" in page.locator("#map").inner_text()
        pairs.first.click()
        detail = page.locator("#detail")
        assert detail.locator(".pair img").count() == 2
        assert detail.locator("svg path.line.second").count() == 1
        assert "FRC 0.5 at 12.0 Å" in detail.inner_text()
        page.click("#sort button:has-text('Map')")
        # Not inner_text: what is out of sight is not laid out.
        assert page.locator(".card .figure").first.text_content() == "cc 0.90"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_covered_views_are_drawn_on_a_phone_too(report: Path, visit: Open, scheme: str) -> None:
    with visit(report, NARROW, color_scheme=scheme) as page:
        sky = page.locator("#map svg.sky")
        assert sky.locator(".star").count() == 12
        assert sky.locator(".cell").count() > 1000
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert "NaN" not in sky.inner_html()


def test_the_disc_is_half_the_sphere() -> None:
    places = np.random.default_rng(1).uniform(-0.7, 0.7, (50, 2))
    directions = on_sphere(places)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    np.testing.assert_allclose(flat(directions), places)
