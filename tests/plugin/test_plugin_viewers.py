"""What the viewers draw and what the wizards propose, without a screen; the windows are in test_plugin_gui.py."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
figure_module = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
pytestmark = pytest.mark.scipion

SUMMARY: dict[str, Any] = {
    "classes": {
        "size": [50, 30, 20],
        "resolution_angstrom": [9.0, 11.0, 30.0],
        "verdict": ["good", "doubtful", "junk"],
        "frc": [
            [1, 0.9, 0.8, 0.7, 0.3, 0, 0, 0, 0],
            [1, 0.9, 0.5, 0.2, 0.1, 0, 0, 0, 0],
            [1, 0.2, 0.0, 0.0, 0.0, 0, 0, 0, 0],
        ],
    },
    "history": {
        "rounds": [{"round": 1, "classes": 2, "changed": None}, {"round": 2, "classes": 3, "changed": 0.25}],
        "batches": [
            {"batch": 1, "particles": 60, "classes": 2, "resolution": [12.0, 14.0, 40.0]},
            {"batch": 2, "particles": 100, "classes": 3, "resolution": [9.0, 11.0, 30.0]},
        ],
    },
    "stream": {"batch": 2, "missing": 0, "closed": False, "particles": 100},
}


@pytest.fixture
def figure() -> Any:
    return figure_module.Figure()


def test_frc_curves_end_where_the_comparison_did(figure: Any) -> None:
    from alignpca2d_plugin.viewers import charts

    assert charts.frc_curves(figure, SUMMARY, 2.0)
    (axes,) = figure.axes
    curves = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert [line.get_color() for line in curves] == [charts.COLOURS[v] for v in ("junk", "doubtful", "good")]
    np.testing.assert_allclose(curves[-1].get_xdata(), [k / 16 / 2.0 for k in (1, 2, 3, 4)])
    assert curves[-1].get_ydata().tolist() == [0.9, 0.8, 0.7, 0.3]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["good (1)", "doubtful (1)", "junk (1)"]
    ticks = dict(zip([label.get_text() for label in axes.get_xticklabels()], axes.get_xticks(), strict=True))
    assert ticks["10"] == pytest.approx(0.1)


def test_sizes_and_resolutions(figure: Any) -> None:
    from alignpca2d_plugin.viewers import charts

    assert charts.class_sizes(figure, SUMMARY)
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [50, 30, 20]
    # Better is higher, on an axis in 1/Å that one coarse class does not squeeze.
    np.testing.assert_allclose(below.collections[0].get_offsets(), [[1, 1 / 9], [2, 1 / 11], [3, 1 / 30]])
    assert below.get_ylim()[0] < 1 / 30 < 1 / 9 < below.get_ylim()[1]
    ticks = dict(zip([label.get_text() for label in below.get_yticklabels()], below.get_yticks(), strict=True))
    assert ticks["10"] == pytest.approx(0.1)
    # The median is of the classes that are not junk.
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["median 10.0 Å"]


def test_frc_curves_have_the_names_of_their_classes(figure: Any) -> None:
    from alignpca2d_plugin.viewers import charts

    charts.frc_curves(figure, SUMMARY, 2.0)
    named = {line.get_gid(): line.get_ydata()[0] for line in figure.axes[0].lines if line.get_gid()}
    assert named == {"Class 1, 9.0 Å, good": 0.9, "Class 2, 11.0 Å, doubtful": 0.9, "Class 3, 30.0 Å, junk": 0.2}
    numbers = {text.get_text(): text.xy for text in figure.axes[0].texts if text.get_text().isdigit()}
    assert numbers["1"] == pytest.approx((4 / 16 / 2.0, 0.3))  # where the curve falls below one half
    assert numbers["2"] == pytest.approx((3 / 16 / 2.0, 0.2))


def test_rounds(figure: Any) -> None:
    from alignpca2d_plugin.viewers import charts

    assert charts.convergence(figure, SUMMARY)
    above, below = figure.axes
    assert above.lines[0].get_ydata()[1] == 25.0
    assert below.lines[0].get_ydata().tolist() == [2, 3]


def night(good: list[int], each: int = 1000, minutes: float = 10.0) -> dict[str, Any]:
    """The summary of a stream of so many batches, with so many particles in good classes after each."""
    begin = datetime(2026, 11, 28, 22, 0, tzinfo=timezone.utc)
    batches = [
        {
            "batch": number + 1,
            "particles": each * (number + 1),
            "good": count,
            "verdicts": {"good": 6, "doubtful": 1, "junk": 3},
            "resolution": [12.0, 8.0, 20.0],
            "time": (begin + timedelta(minutes=minutes * number)).isoformat(),
        }
        for number, count in enumerate(good)
    ]
    return {"history": {"batches": batches}, "stream": {"particles": each * len(good)}}


def test_the_rate_is_by_the_clock() -> None:
    """1,000 particles in ten minutes; then a pause of the microscope for three hours."""
    from alignpca2d_plugin.protocols.session import moments, rates

    summary = night([800 * n for n in range(1, 8)])
    history = moments(summary)
    assert [round(rate) for _, rate in rates(history)] == [6000] * 6
    summary["history"]["batches"][-1]["time"] = "2026-11-29T02:00:00+00:00"
    assert 300 < rates(moments(summary))[-1][1] < 350
    assert rates(history[:1]) == []


@pytest.mark.parametrize(
    ("good", "falls"),
    [
        ([800, 1600, 2400, 3200, 4000, 4800, 5600], False),
        ([800, 1600, 2400, 3200, 3300, 3400, 3500], True),  # ice grows
        ([800, 1600, 2400, 3200, 3000, 2900, 2800], True),  # and classes turn to junk
        ([800, 1600, 2400, 3200, 3920, 4640, 5360], False),  # 80 to 72 %
        ([100, 200, 300, 400, 900, 1700, 2500], False),  # it rises
        ([800, 1600, 2400, 2500, 2600], False),  # too soon to tell
    ],
)
def test_an_alert_when_fewer_particles_are_good(good: list[int], falls: bool) -> None:
    from alignpca2d_plugin.protocols.report import summary
    from alignpca2d_plugin.protocols.session import alert, moments

    said = alert(moments(night(good)))
    assert bool(said) == falls
    if falls:
        assert "10 % of the last 3,000" in said or "0 % of the last 3,000" in said
        assert "80 % of those before" in said
        protocol = SimpleNamespace(isActive=lambda: True)
        assert f"*{said}*" in summary(protocol, night(good), {}, "")


def test_no_alert_over_a_few_particles() -> None:
    from alignpca2d_plugin.protocols.session import alert, moments

    assert not alert(moments(night([5, 9, 14, 18, 19, 20, 21], each=6)))
    assert not alert(moments({"history": {"batches": [{"batch": 1, "particles": 9, "time": "soon"}, {"batch": 2}]}}))


def test_the_monitor_draws_by_the_clock(figure: Any) -> None:
    from alignpca2d_plugin.protocols.session import moments
    from alignpca2d_plugin.viewers.session_chart import backlog, session_chart

    summary = night([800, 1600, 2400, 3200, 3300, 3400, 3500])
    times = [one.time for one in moments(summary)]
    found = [(times[0] - timedelta(minutes=5), 1500), (times[1] + timedelta(minutes=1), 4500)]
    waiting = backlog(moments(summary), found)
    assert [number for _, number in waiting[:4]] == [1500, 500, 0, 2500]
    assert waiting[-1] == (times[-1], 0)
    assert session_chart(figure, summary, found)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "Particles",
        "Particles per hour",
        "Particles in good classes (%)",
        "Backlog (particles)",
        "Classes",
        "Resolution (Å)",
    ]
    particles, rate, good, *_, resolution = figure.axes
    assert particles.lines[0].get_xdata().tolist() == times
    assert rate.lines[0].get_ydata() == pytest.approx([6000.0] * 6)
    assert good.lines[0].get_ydata().tolist() == [80, 80, 80, 80, 66, pytest.approx(56.667, abs=0.001), 50]
    assert [round(share) for share in good.lines[1].get_ydata()] == [80] * 4 + [10] * 3
    assert len(good.lines) == 3  # with the alert
    assert resolution.lines[0].get_ydata().tolist() == [12.0] * 7
    figure.clear()
    assert session_chart(figure, summary, [])  # of a stream that was begun before arrivals were recorded


def test_the_monitor_of_a_run_in_one_go_draws_its_rounds(figure: Any) -> None:
    from alignpca2d_plugin.viewers.session_chart import session_chart

    rounds = [{"round": 1, "changed": None, "classes": 5}, {"round": 2, "changed": 0.25, "classes": 4}]
    assert session_chart(figure, {"classes": {"size": [7, 5]}, "history": {"rounds": rounds}}, [])
    changed, classes = figure.axes
    assert changed.lines[0].get_ydata().tolist()[1] == 25
    assert classes.lines[0].get_ydata().tolist() == [5, 4]


def test_arrivals_are_recorded_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignpca2d_plugin.protocols import stream_folder

    clock = SimpleNamespace(now=1000.0, time=lambda: clock.now)
    monkeypatch.setattr(stream_folder, "time", clock)
    folder = stream_folder.StreamFolder(str(tmp_path))
    assert folder.found_over_time() == []
    for seconds, found in ((0, 10), (1, 20), (15, 30), (30, 30), (45, 40)):
        clock.now = 1000.0 + seconds
        folder.note(found=found, initial=5, missing=0)
    with (tmp_path / stream_folder.FOUND).open("a") as stream:
        stream.write('{"time": 1, "fou')  # killed while it was written
    *recorded, now = stream_folder.StreamFolder(str(tmp_path)).found_over_time()
    assert [(one["time"], one["found"]) for one in recorded] == [(1000.0, 10), (1015.0, 30), (1045.0, 40)]
    assert now["found"] == 40


@pytest.mark.parametrize("name", ["class_sizes", "convergence", "session_chart", "frc_curves"])
@pytest.mark.parametrize("summary", [{}, {"classes": {}, "history": {}}, {"stream": {"batch": 0, "missing": 7}}])
def test_what_is_not_there_yet_is_said(figure: Any, name: str, summary: dict[str, Any]) -> None:
    from alignpca2d_plugin.viewers import charts, session_chart

    arguments = {"frc_curves": (2.0,), "session_chart": ([],)}.get(name, ())
    module = session_chart if name == "session_chart" else charts
    assert not getattr(module, name)(figure, summary, *arguments)
    assert len(figure.texts) == 1


def test_charts_do_without_verdicts(figure: Any) -> None:
    from alignpca2d_plugin.viewers import charts

    summary = {"classes": {key: value for key, value in SUMMARY["classes"].items() if key != "verdict"}}
    assert charts.frc_curves(figure, summary, 2.0)
    assert figure.axes[0].get_legend() is None
    figure.clear()
    assert charts.class_sizes(figure, summary)


def test_a_stream_says_how_it_goes() -> None:
    from alignpca2d_plugin.protocols.report import progress_lines

    assert progress_lines({}, {"found": 40, "initial": 60, "missing": 20}) == [
        "No classes yet.",
        "*40* of the 60 particles that start the classes have come: *20* are missing.",
    ]
    assert progress_lines(SUMMARY, {"found": 104, "initial": 60, "missing": 0}) == [
        "*100* particles in *3* classes. Resolution: best *9.0 Å*, 11.0 Å median.",
        "Verdicts: 1 good, 1 doubtful, 1 junk.",
        "4 more have come and wait for their turn.",
    ]
    closed = {**SUMMARY, "stream": {**SUMMARY["stream"], "closed": True}}
    assert progress_lines(closed, {"found": 100})[-1] == "The input is complete."
