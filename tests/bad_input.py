"""Cases of bad and odd input: what holds for every one of them, whatever is wrong with it."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from particle_files import ParticleFiles

COUNT = 16
QUICK = ("--classes", "2", "--resolution", "20", "--threads", "1", "--iterations", "1", "--quiet")
RESULTS = {"particles.xmd", "classes.xmd", "classes.mrcs", "summary.json"}
SECONDS = 60
"""A case that takes longer hangs."""

HEAD = "data_particles\nloop_\n_image\n_ctfDefocusU\n_ctfVoltage\n_ctfSphericalAberration\n_ctfQ0\n"
ROW = "{}@particles.mrcs 12000 300 2.7 0.1\n"
ROWS = "".join(ROW.format(number) for number in range(1, COUNT + 1))


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Fail where the block takes longer; even where it waits in the kernel."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Corpus:
    """Runs cases and counts them."""

    def __init__(self, run_cli: Callable[..., Any], folder: Path, tally: Counter[str]) -> None:
        self._run, self._tally, self.out = run_cli, tally, folder / "out"
        self.files = ParticleFiles(folder / "input")

    def classify(self, metadata: Path | str, *options: str) -> Any:
        """Run one case and check what holds for every case."""
        with limited(SECONDS):
            outcome = self._run("classify", metadata, "-o", self.out, *QUICK, *options)
        assert outcome.code in (0, 2), outcome
        assert "Traceback" not in outcome.err
        self._tally["used" if outcome.code == 0 else "refused"] += 1
        made = {path.name for path in self.out.iterdir()} if self.out.exists() else set()
        assert not [name for name in made if ".part" in name]
        if outcome.code == 0:
            assert made >= RESULTS
        else:
            assert not made & RESULTS
            assert outcome.out == ""
            said = [line for line in outcome.err.splitlines() if not line.startswith("Warning: ")]
            assert len(said) == 1, outcome.err
        return outcome

    def refused(self, metadata: Path | str, *words: str) -> None:
        """This case must be refused, in these words."""
        outcome = self.classify(metadata)
        assert outcome.code == 2, self.summary()["warnings"]
        for word in words:
            assert word in outcome.err

    def used(self, metadata: Path | str, *options: str, warning: str | None = None) -> dict[str, Any]:
        """This case must be classified, with this warning, or with none; returns the summary."""
        outcome = self.classify(metadata, *options)
        assert outcome.code == 0, outcome.err
        warnings = self.summary()["warnings"]
        assert bool(warnings) == (warning is not None), warnings
        assert warning is None or warning in "\n".join(warnings)
        return self.summary()

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "summary.json").read_text(encoding="utf-8")))
