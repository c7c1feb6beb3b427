"""What the report of a large classification costs: to make, to store and to open.

Run from the root of the checkout: ``python benchmarks/bench_report.py [--classes 400] [--particles 1000000]``.
The classification is made up (all particles share the images of one small stack, which the disk will have at hand);
CPU seconds are those of one thread.  Chromium, where there is one, opens the report three times.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

MOST_MEGABYTES, MOST_SECONDS = 20.0, 3.0


def seconds_to_open(report: Path) -> float | None:
    """The slowest of three openings, from the request to the first complete picture; None without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    browser = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if browser is None:
        return None
    drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
    times = []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for _ in range(3):
            page = started.new_page()
            page.goto(report.as_uri())
            page.wait_for_selector("[data-ready]", state="attached")
            times.append(page.evaluate(drawn) / 1000)
            page.close()
        started.close()
    return max(times)


def measure(folder: Path, classes: int, particles: int, box: int) -> tuple[float, float | None]:
    """Print the figures; megabytes of the report and seconds to open it."""
    import torch
    from report_files import SAMPLING_RATE, classification, particle_set, run_of

    from alignpca2d_core.report import report_on, write_pictures
    from alignpca2d_core.results.result_files import write_results

    torch.set_num_threads(1)
    result, given = classification(classes, particles, box), particle_set(folder, particles, box)
    begun = time.process_time()
    write_results(folder / "out", given, result, SAMPLING_RATE, run_of(classes))
    whole = time.process_time() - begun
    begun = time.process_time()
    write_pictures(folder / "out", given, result, run_of(classes))
    pictures = time.process_time() - begun
    begun = time.process_time()
    report, missing = report_on(folder / "out")
    again = time.process_time() - begun
    assert not missing
    megabytes, opened = report.stat().st_size / 1e6, seconds_to_open(report)
    print(f"{classes} classes of {particles:,} particles of {box} px")
    print(f"  all files of the result  {whole:6.1f} CPU s, of which gallery and report {pictures:.1f} CPU s")
    print(f"  alignpca2d report        {again:6.1f} CPU s")
    print(f"  report.html              {megabytes:6.1f} MB, opens in {f'{opened:.1f} s' if opened else '(no browser)'}")
    print(f"  peak memory              {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:6.2f} GB")
    return megabytes, opened


def main() -> None:
    """Measure a usual and a large classification."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=400)
    parser.add_argument("--particles", type=int, default=1_000_000)
    parser.add_argument("--box", type=int, default=128)
    options = parser.parse_args()
    for classes, particles in ((50, 20_000), (options.classes, options.particles)):
        with tempfile.TemporaryDirectory() as folder:
            megabytes, opened = measure(Path(folder), classes, particles, options.box)
        assert megabytes < MOST_MEGABYTES
        assert opened is None or opened < MOST_SECONDS


@pytest.mark.benchmark
def test_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    monkeypatch.setattr(sys, "argv", ["bench_report.py"])
    with capsys.disabled():
        main()


if __name__ == "__main__":
    main()
